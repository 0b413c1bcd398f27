import { useMutation, useQuery } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useState } from 'react';
import type { Capabilities, RunOptions, RunRequest } from '../../../src/server/client.ts';
import { queries, server } from '../connection.ts';
import { Command } from '../parts/command.tsx';
import { ActionTrouble } from '../parts/action-trouble.tsx';
import { Empty, ErrorNote } from '../parts/notes.tsx';
import { Link, navigate } from '../router.tsx';
import { ExperimentFields } from './experiment-fields.tsx';
import { ExtractFields } from './extract-fields.tsx';
import { Choose } from './fields.tsx';
import { ScreenFields } from './screen-fields.tsx';

const kinds = ['extract', 'train', 'screen', 'experiment'] as const;
type Kind = (typeof kinds)[number];
const kindNames: Readonly<Record<Kind, string>> = {
  extract: 'Extraction',
  train: 'Training',
  screen: 'Screening',
  experiment: 'Experiment',
};

interface RunFormProps {
  readonly kind: string;
  readonly capabilities: Capabilities;
}

/** The form for a new run; the address says of which kind. */
export function RunForm({ kind: asked, capabilities }: RunFormProps) {
  const kind = kinds.find((one) => one === asked) ?? 'extract';
  const options = useQuery({ queryKey: ['run-options'], queryFn: () => server().runOptions() });
  return (
    <div className="page run-form">
      <p className="small">
        <Link href="/app/runs">All runs</Link>
      </p>
      <h1>New run</h1>
      <nav className="choice" aria-label="Kind of run">
        {kinds.map((one) => (
          <Link
            key={one}
            href={`/app/runs/new/${one}`}
            {...(one === kind && { className: 'chosen', 'aria-current': 'page' as const })}
          >
            {kindNames[one]}
          </Link>
        ))}
      </nav>
      {options.error !== null && <ErrorNote error={options.error} onRetry={() => void options.refetch()} />}
      {options.data === undefined && options.error === null && (
        <p className="soft" role="status">
          Asking the server…
        </p>
      )}
      {options.data !== undefined && (
        <Fields key={kind} kind={kind} options={options.data} served={capabilities.models} />
      )}
    </div>
  );
}

/** What the fields of a kind draw: themselves, and the request that they make; null while something lacks. */
export interface KindProps {
  readonly options: RunOptions;
  readonly children: (request: RunRequest | null) => ReactNode;
}

interface FieldsProps {
  readonly kind: Kind;
  readonly options: RunOptions;
  readonly served: Capabilities['models'];
}

function Fields({ kind, options, served }: FieldsProps) {
  const start = useMutation({
    mutationFn: (request: RunRequest) => server().startRun(request),
    onSuccess: ({ id }) => {
      void queries.invalidateQueries({ queryKey: ['runs'] });
      void queries.invalidateQueries({ queryKey: ['run-options'] });
      navigate(`/app/runs/${id}`);
    },
  });
  const end = (request: RunRequest | null): ReactNode => (
    <button
      type="button"
      className="primary"
      disabled={request === null || start.isPending}
      onClick={() => request !== null && start.mutate(request)}
    >
      {start.isPending ? 'Starting…' : 'Start'}
    </button>
  );
  const stay = (event: FormEvent): void => event.preventDefault();
  return (
    <>
      <form className="card stack" onSubmit={stay}>
        {kind === 'train' ? (
          <TrainFields options={options}>{end}</TrainFields>
        ) : options.models.length === 0 ? (
          <NoModel />
        ) : kind === 'extract' ? (
          <ExtractFields options={options}>{end}</ExtractFields>
        ) : kind === 'screen' ? (
          <ScreenFields options={options} served={served}>
            {end}
          </ScreenFields>
        ) : (
          <ExperimentFields options={options}>{end}</ExperimentFields>
        )}
      </form>
      {/* It may ask for the token by a form of its own, and forms have no forms in them. */}
      <ActionTrouble
        error={start.error}
        onRetry={() => start.variables !== undefined && start.mutate(start.variables)}
      />
    </>
  );
}

function NoModel() {
  return (
    <Empty title="No model is served">
      <p>Start the server with one:</p>
      <Command>persona serve MODEL --runs runs/served</Command>
    </Empty>
  );
}

function TrainFields({ options: { training }, children }: KindProps) {
  const [file, setFile] = useState(training?.[0]?.file ?? '');
  if (training === null || training.length === 0)
    return (
      <Empty title={training === null ? 'This server starts no trainings' : 'No training file'}>
        <p>
          {training === null
            ? 'Start it with the folder that your training files lie in:'
            : 'The folder has no JSON file with a model and a training_file. Put one there, such as train.json:'}
        </p>
        <Command>
          {training === null
            ? 'persona serve --runs runs/served --training FOLDER'
            : '{ "model": "MODEL", "training_file": "rows.jsonl" }'}
        </Command>
      </Empty>
    );
  const { model } = training.find((one) => one.file === file) ?? training[0]!;
  return (
    <>
      <Choose
        label="Training file"
        value={file}
        values={training.map((one) => one.file)}
        onChange={setFile}
      />
      <p className="soft small">
        Trains <bdi>{model}</bdi>. Its output goes into the run, whatever output_dir says.
      </p>
      {children({ kind: 'train', file })}
    </>
  );
}
