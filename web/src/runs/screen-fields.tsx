import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Capabilities, RunRequest } from '../../../src/server/client.ts';
import { server } from '../connection.ts';
import { Command } from '../parts/command.tsx';
import { Empty, ErrorNote, Name } from '../parts/notes.tsx';
import { fitting } from '../playground/settings.ts';
import { visible } from '../text.ts';
import { Choose, Text } from './fields.tsx';
import type { KindProps } from './run-form.tsx';
import { size } from './words.ts';

type Mode = NonNullable<Extract<RunRequest, { kind: 'screen' }>['mode']>;

const modes: Readonly<Record<Mode, string>> = {
  'prompt-last': 'with the state before it: one pass a row',
  full: 'with the model’s own reply, which has to be written first: slow',
  auto: 'by the first, and where that leaves it open by the second',
  raw: 'with nothing',
};

interface ScreenFieldsProps extends KindProps {
  readonly served: Capabilities['models'];
}

/** What a screening is given. */
export function ScreenFields({ options, served, children }: ScreenFieldsProps) {
  const { data, models } = options;
  const [file, setFile] = useState(data?.[0]?.path ?? '');
  const [modelId, setModel] = useState((served.find(({ chat }) => chat) ?? models[0]!).id);
  const [asked, setAsked] = useState<readonly string[] | null>(null);
  const [mode, setMode] = useState<Mode>('prompt-last');
  const [typed, setTyped] = useState<Typed>({ percentile: '95', sample: '' });
  const usable = useUsable(modelId, served);
  if (data === null || data.length === 0) return <NoData served={data !== null} />;
  const names = usable.data ?? [];
  const vectors = (asked ?? names.slice(0, 1)).filter((name) => names.includes(name));
  const numbers = numbersOf(typed);
  const request: RunRequest = { kind: 'screen', model: modelId, data: file, vectors, mode, ...numbers };
  const sizes = data.map(({ path, bytes }) => [path, `${visible(path)}, ${size(bytes)}`]);
  return (
    <>
      <Choose
        label="Data set"
        value={file}
        values={data.map(({ path }) => path)}
        names={Object.fromEntries(sizes)}
        onChange={setFile}
      />
      <Choose label="Model" value={modelId} values={models.map(({ id }) => id)} onChange={setModel} />
      {usable.error !== null && <ErrorNote error={usable.error} onRetry={() => void usable.refetch()} />}
      {usable.data !== undefined && <Along names={names} chosen={vectors} onChange={setAsked} />}
      <Choose
        label="Compare a reply"
        value={mode}
        values={Object.keys(modes)}
        names={modes}
        onChange={(value) => setMode(value as Mode)}
      />
      <Numbers typed={typed} onChange={(some) => setTyped({ ...typed, ...some })} />
      {children(vectors.length > 0 && numbers !== null ? request : null)}
    </>
  );
}

/** Numbers as they are typed. */
interface Typed {
  readonly percentile: string;
  /** Empty for all rows. */
  readonly sample: string;
}

const isPercentile = (text: string): boolean => isWithin(text, 0, 100);
const isSample = (text: string): boolean =>
  text === '' || (isWithin(text, 1, Number.MAX_SAFE_INTEGER) && Number.isInteger(Number(text)));

function isWithin(text: string, least: number, most: number): boolean {
  const value = Number(text);
  return text.trim() !== '' && value >= least && value <= most;
}

/** Null where one of them is no such number. */
function numbersOf({ percentile, sample }: Typed): { percentile: number; sample?: number } | null {
  if (!isPercentile(percentile) || !isSample(sample)) return null;
  return { percentile: Number(percentile), ...(sample !== '' && { sample: Number(sample) }) };
}

interface NumbersProps {
  readonly typed: Typed;
  readonly onChange: (some: Partial<Typed>) => void;
}

function Numbers({ typed: { percentile, sample }, onChange }: NumbersProps) {
  return (
    <>
      <Text
        label="Flag from this percentile on"
        value={percentile}
        hint={
          isPercentile(percentile)
            ? 'When it is done, the line can be drawn elsewhere.'
            : 'Expected a number from 0 to 100.'
        }
        onChange={(text) => onChange({ percentile: text })}
      />
      <Text
        label="Rows, drawn at random"
        value={sample}
        hint={isSample(sample) ? 'Empty: all of them.' : 'Expected a number of rows, or nothing.'}
        onChange={(text) => onChange({ sample: text })}
      />
    </>
  );
}

/** The vectors that rows can be screened along: of the model's shape, and with a layer of their own. */
function useUsable(modelId: string, served: Capabilities['models']) {
  return useQuery({
    queryKey: ['vectors'],
    queryFn: () => server().vectors(),
    select: (vectors) => {
      const model = served.find(({ id }) => id === modelId);
      const fit = model === undefined ? [] : fitting(vectors, model);
      return fit.filter((one) => one.recommended_layer !== null).map(({ name }) => name);
    },
  });
}

interface AlongProps {
  readonly names: readonly string[];
  readonly chosen: readonly string[];
  readonly onChange: (chosen: readonly string[]) => void;
}

/** The vectors, of which one or more are chosen. */
function Along({ names, chosen, onChange }: AlongProps) {
  if (names.length === 0)
    return (
      <p className="error">
        It needs a vector of the model’s shape that recommends a layer: run an extraction first.
      </p>
    );
  return (
    <fieldset>
      <legend className="label">Along</legend>
      <div className="row along">
        {names.map((name) => (
          <label key={name} className="row">
            <input
              type="checkbox"
              checked={chosen.includes(name)}
              onChange={(event) =>
                onChange(names.filter((one) => (one === name ? event.target.checked : chosen.includes(one))))
              }
            />
            <Name>{name}</Name>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

function NoData({ served }: { readonly served: boolean }) {
  return (
    <Empty title={served ? 'No data set' : 'This server screens nothing'}>
      <p>
        {served
          ? 'The folder has no file that ends in .jsonl, .json or .parquet. Put one there, a conversation a line:'
          : 'Start it with the folder that your data sets lie in:'}
      </p>
      <Command>
        {served
          ? '{ "messages": [{ "role": "user", "content": "…" }, { "role": "assistant", "content": "…" }] }'
          : 'persona serve --runs runs/served --data FOLDER'}
      </Command>
    </Empty>
  );
}
