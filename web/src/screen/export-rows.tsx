import { useState } from 'react';
import { exportPath } from '../../../src/server/client-parts.ts';
import { server, useSecrets } from '../connection.ts';
import { ErrorNote } from '../parts/notes.tsx';

const forms = { training: 'to train on', scored: 'with all scores' } as const;
type Form = keyof typeof forms;

interface ExportRowsProps {
  readonly id: string;
  readonly trait: string;
  readonly threshold: number;
}

/** Downloads the flagged rows or the others as JSON lines, in the order of the data set. */
export function ExportRows({ id, trait, threshold }: ExportRowsProps) {
  const { apiKey } = useSecrets();
  const [form, setForm] = useState<Form>('training');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const save = async (show: 'flagged' | 'kept'): Promise<void> => {
    const query = { trait, threshold, show, form };
    // A link goes to the disk as it comes, but can carry no key.
    if (apiKey === '') return download(exportPath(id, query), '');
    setBusy(true);
    setError(null);
    try {
      const blob = await new Response(await server().exportScreen(id, query)).blob();
      const address = URL.createObjectURL(blob);
      download(address, `${id}-${show}.jsonl`);
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch (thrown) {
      setError(thrown);
    }
    setBusy(false);
  };
  return (
    <div className="export">
      <label className="row">
        <span className="soft small">Export</span>
        <select value={form} onChange={(event) => setForm(event.target.value as Form)}>
          {Object.entries(forms).map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </select>
      </label>
      {(['flagged', 'kept'] as const).map((show) => (
        <button key={show} type="button" disabled={busy} onClick={() => void save(show)}>
          {show === 'flagged' ? 'Flagged rows' : 'Kept rows'}
        </button>
      ))}
      {busy && (
        <span role="status" className="soft small">
          Reading…
        </span>
      )}
      {error !== null && <ErrorNote error={error} />}
    </div>
  );
}

function download(address: string, name: string): void {
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
}
