import { useMutation, useQuery } from '@tanstack/react-query';
import { ServerRefusal, type RunItem } from '../../../src/server/client.ts';
import { queries, server, useSecrets } from '../connection.ts';
import { ActionTrouble } from '../parts/action-trouble.tsx';
import { Empty, Name } from '../parts/notes.tsx';
import { SureButton } from '../parts/sure-button.tsx';
import { clock } from '../text.ts';
import { Link, navigate } from '../router.tsx';
import { RunFiles } from './run-files.tsx';
import { RunLogView } from './run-log-view.tsx';
import { RunProgress, Status } from './run-table.tsx';
import { StepCharts } from './step-charts.tsx';
import { useNow } from './use-now.ts';
import { useRun } from './use-run.ts';
import { aboutOf, fileAddress, lengthOf, titleOf } from './words.ts';

interface RunViewProps {
  readonly id: string;
  readonly showsReport: boolean;
}

/** One run: what it is, how far, its curves, its log, and what it made. */
export function RunView({ id, showsReport }: RunViewProps) {
  const { item, log, steps } = useRun(id);
  // What it made is asked for anew when its status changes.
  const detail = useQuery({
    queryKey: ['run', id, item?.status, item?.attempt],
    queryFn: () => server().run(id),
  });
  const run = item ?? detail.data;
  if (detail.error instanceof ServerRefusal && detail.error.status === 404) return <NoSuchRun />;
  if (run === undefined)
    return (
      <div className="page soft" role="status">
        Asking the server…
      </div>
    );
  const report = detail.data?.report ?? null;
  return (
    <div className="page run-page">
      <Head run={run} report={report} showsReport={showsReport} />
      {showsReport && report !== null ? (
        <Report id={id} path={report} />
      ) : (
        <>
          {run.status === 'running' && run.progress !== null && (
            <div className="card">
              <RunProgress progress={run.progress} />
            </div>
          )}
          {steps.length > 0 && <StepCharts steps={steps} />}
          <RunLogView text={log.text} />
          {detail.data !== undefined && <RunFiles id={id} files={detail.data.files} />}
        </>
      )}
    </div>
  );
}

function NoSuchRun() {
  return (
    <div className="page">
      <h1 className="unseen">Runs</h1>
      <Empty title="There is no such run">
        <p>
          It may have been deleted. <Link href="/app/runs">All runs</Link>
        </p>
      </Empty>
    </div>
  );
}

interface HeadProps {
  readonly run: RunItem;
  readonly report: string | null;
  readonly showsReport: boolean;
}

function Head({ run, report, showsReport }: HeadProps) {
  const { id, request, created, attempt, reason, notes } = run;
  const now = useNow(run.status === 'running');
  const { apiKey } = useSecrets();
  const about = aboutOf(request);
  const length = lengthOf(run, now);
  return (
    <>
      <p className="small">
        <Link href="/app/runs">All runs</Link>
      </p>
      <div className="page-head">
        <h1>
          <Name>{titleOf(request)}</Name>
        </h1>
        <Status run={run} />
        {/* A frame cannot carry a key, so there the report is among the files. */}
        {report !== null && apiKey === '' && (
          <Link className="button" href={showsReport ? `/app/runs/${id}` : `/app/runs/${id}/report`}>
            {showsReport ? 'Log and files' : 'Open the report'}
          </Link>
        )}
        {request.kind === 'screen' && run.status === 'done' && (
          <Link className="button primary" href={`/app/screen/${encodeURIComponent(id)}`}>
            Open the screening
          </Link>
        )}
        <Actions run={run} />
      </div>
      <p className="soft small">
        {about !== '' && (
          <>
            <Name>{about}</Name> ·{' '}
          </>
        )}
        asked for {clock(created)}
        {length !== '' && ` · ${length}`}
        {attempt > 1 && ` · attempt ${attempt}`}
      </p>
      {reason !== null && (
        <p className="error" role="status">
          <Name>{reason.charAt(0).toUpperCase() + reason.slice(1)}</Name>
        </p>
      )}
      {notes.map((note) => (
        <p key={note} className="error" role="status">
          <Name>{note}</Name>
        </p>
      ))}
    </>
  );
}

/** What can be done with a run as it stands. */
function Actions({ run: { id, status, stopping, resumable } }: { readonly run: RunItem }) {
  const act = useMutation({
    mutationFn: async (what: 'stop' | 'resume' | 'delete') => {
      if (what === 'stop') await server().stopRun(id);
      else if (what === 'resume') await server().resumeRun(id);
      else await server().deleteRun(id);
    },
    onSuccess: (_, what) => {
      if (what === 'delete') navigate('/app/runs', { replace: true });
      void queries.invalidateQueries({ queryKey: ['runs'] });
    },
  });
  const isOpen = status === 'queued' || status === 'running';
  const retry = (): void => {
    if (act.variables !== undefined) act.mutate(act.variables);
  };
  return (
    <>
      {isOpen && (
        <button
          type="button"
          className="danger"
          disabled={stopping || act.isPending}
          onClick={() => act.mutate('stop')}
        >
          {stopping ? 'Stopping…' : 'Stop'}
        </button>
      )}
      {resumable && (
        <button
          type="button"
          className="primary"
          disabled={act.isPending}
          onClick={() => act.mutate('resume')}
        >
          Resume
        </button>
      )}
      {!isOpen && (
        <SureButton
          name="Delete"
          question="Delete with all files?"
          disabled={act.isPending}
          onSure={() => act.mutate('delete')}
        />
      )}
      {act.error !== null && (
        <div className="wide">
          <ActionTrouble error={act.error} onRetry={retry} />
        </div>
      )}
    </>
  );
}

function Report({ id, path }: { readonly id: string; readonly path: string }) {
  return <iframe className="report" title="Report of the run" sandbox="" src={fileAddress(id, path)} />;
}
