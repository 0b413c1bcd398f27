import { useMutation } from '@tanstack/react-query';
import { type FormEvent, useId, useState } from 'react';
import type { VectorFacts } from '../../../src/server/client.ts';
import { queries, server } from '../connection.ts';
import { ActionTrouble } from '../parts/action-trouble.tsx';
import { Name } from '../parts/notes.tsx';
import { VectorLink } from './vector-link.tsx';

/** Takes a vector file in, under a name; `names` are those that there are. */
export function ImportVector({ names }: { readonly names: readonly string[] }) {
  const [file, setFile] = useState<File | null>(null);
  const [name, setName] = useState('');
  const hint = useId();
  const taking = useMutation({
    mutationFn: async ({ file, name }: { readonly file: File; readonly name: string }) =>
      server().putVector(name, new Uint8Array(await file.arrayBuffer())),
    onSuccess: () => {
      for (const queryKey of [['vectors'], ['vector-cosines'], ['vector-layers']])
        void queries.invalidateQueries({ queryKey });
    },
  });
  const replaces = names.includes(name);
  const take = (event: FormEvent): void => {
    event.preventDefault();
    if (file !== null) taking.mutate({ file, name });
  };
  return (
    <section className="card">
      <h2>Import</h2>
      <form className="import-vector" onSubmit={take}>
        <label className="field">
          <span>Vector file</span>
          <input
            type="file"
            accept=".safetensors,.pt,.gguf"
            aria-describedby={hint}
            onChange={(event) => {
              const chosen = event.target.files?.[0] ?? null;
              setFile(chosen);
              if (chosen !== null) setName(nameFor(chosen.name));
            }}
          />
        </label>
        <NameField name={name} onChange={setName} />
        <button
          type="submit"
          className={replaces ? 'danger' : 'primary'}
          disabled={file === null || name === '' || taking.isPending}
        >
          {taking.isPending ? 'Importing…' : replaces ? 'Replace' : 'Import'}
        </button>
      </form>
      <p id={hint} className="soft small">
        {replaces ? 'There is a vector of that name, which this one replaces. ' : ''}A .safetensors file of
        persona extract, a .pt of the paper’s authors, or a GGUF control vector.
      </p>
      <ActionTrouble
        error={taking.error}
        onRetry={() => taking.variables !== undefined && taking.mutate(taking.variables)}
      />
      {taking.data !== undefined && <Taken vector={taking.data} />}
    </section>
  );
}

function NameField({ name, onChange }: { readonly name: string; readonly onChange: (name: string) => void }) {
  return (
    <label className="field">
      <span>Name</span>
      <input
        value={name}
        maxLength={64}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => onChange(event.target.value)}
      />
    </label>
  );
}

function Taken({ vector: { name, notes } }: { readonly vector: VectorFacts }) {
  return (
    <div role="status">
      <p>
        Imported <VectorLink name={name} />.
      </p>
      {notes?.map((note) => (
        <p key={note} className="soft small">
          <Name>{note}</Name>
        </p>
      ))}
    </div>
  );
}

/** A name that the server takes, from that of a file. */
function nameFor(file: string): string {
  const stem = file.replace(/\.(?:safetensors|pt|gguf)$/i, '');
  return stem
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .replace(/^[-_]+/, '')
    .slice(0, 64)
    .replace(/-+$/, '');
}
