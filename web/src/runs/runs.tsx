import { useQuery } from '@tanstack/react-query';
import { type Capabilities, ServerRefusal, type RunList, type RunsNews } from '../../../src/server/client.ts';
import { queries, server } from '../connection.ts';
import { Command } from '../parts/command.tsx';
import { ActionTrouble } from '../parts/action-trouble.tsx';
import { Empty } from '../parts/notes.tsx';
import { RunForm } from './run-form.tsx';
import { RunTable } from './run-table.tsx';
import { RunView } from './run-view.tsx';
import { useNews } from '../use-news.ts';

interface RunsProps {
  readonly rest: string;
  readonly capabilities: Capabilities;
}

/** Extractions, trainings, screenings and experiments of the server: all, one, or the form for a new one. */
export function Runs({ rest, capabilities }: RunsProps) {
  const list = useQuery({ queryKey: ['runs'], queryFn: () => server().runs() });
  useNews<RunsNews>('runs', (signal) => server().allRunEvents(signal), keep);
  if (list.data === undefined) {
    if (list.error === null)
      return (
        <div className="page soft" role="status">
          Asking the server…
        </div>
      );
    if (list.error instanceof ServerRefusal && list.error.code === 'no_runs') return <NoRuns />;
    return (
      <div className="page">
        <h1 className="unseen">Runs</h1>
        <ActionTrouble error={list.error} onRetry={() => void queries.invalidateQueries()} />
      </div>
    );
  }
  const [first = '', second = ''] = rest.split('/');
  if (first === 'new') return <RunForm kind={second} capabilities={capabilities} />;
  // Another run is another view, not the same one with other numbers.
  if (first !== '') return <RunView key={first} id={first} showsReport={second === 'report'} />;
  return <RunTable list={list.data} />;
}

/** Puts what a stream tells into the list that is shown. */
function keep(news: RunsNews): void {
  if (news.event === 'run' && news.data.status === 'done')
    for (const queryKey of [['vectors'], ['screens']]) void queries.invalidateQueries({ queryKey });
  queries.setQueryData<RunList>(['runs'], (before) => {
    if (before === undefined) return before;
    if (news.event === 'removed')
      return { ...before, data: before.data.filter(({ id }) => id !== news.data.id) };
    const known = before.data.some(({ id }) => id === news.data.id);
    const data = known
      ? before.data.map((one) => (one.id === news.data.id ? news.data : one))
      : [news.data, ...before.data];
    return { ...before, data };
  });
}

function NoRuns() {
  return (
    <div className="page">
      <h1 className="unseen">Runs</h1>
      <Empty title="This server starts no runs">
        <p>
          Start it with a folder for them, and extractions, trainings, screenings and experiments can be
          started here, watched and stopped:
        </p>
        <Command>persona serve --runs runs/served --training FOLDER --data FOLDER</Command>
      </Empty>
    </div>
  );
}
