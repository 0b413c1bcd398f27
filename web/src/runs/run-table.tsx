import type { RunItem, RunList } from '../../../src/server/client.ts';
import { Empty, Name } from '../parts/notes.tsx';
import { Link } from '../router.tsx';
import { clock } from '../text.ts';
import { aboutOf, lengthOf, statusWords, titleOf } from './words.ts';
import { useNow } from './use-now.ts';

/** All runs, the newest first. */
export function RunTable({ list }: { readonly list: RunList }) {
  const { data, at_once: atOnce } = list;
  const now = useNow(data.some(({ status }) => status === 'running'));
  return (
    <div className="page">
      <div className="page-head">
        <h1>Runs</h1>
        <Link className="button primary" href="/app/runs/new">
          New run
        </Link>
      </div>
      {data.length === 0 ? (
        <Empty title="No run yet">
          <p>
            Find a trait’s vector, train a model, screen a data set, or run one of the paper’s experiments:{' '}
            <Link href="/app/runs/new">start a run</Link>. Runs go on when this page is closed, {atOnce} at a
            time.
          </p>
        </Empty>
      ) : (
        <ul className="run-list">
          {data.map((run) => (
            <li key={run.id}>
              <Row run={run} now={now} />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Row({ run, now }: { readonly run: RunItem; readonly now: number }) {
  const { id, request, created, progress, reason } = run;
  const about = aboutOf(request);
  return (
    <article className="card run-row">
      <div className="run-what">
        <h2>
          <Link href={`/app/runs/${id}`}>
            <Name>{titleOf(request)}</Name>
          </Link>
        </h2>
        <p className="soft small">
          {about !== '' && (
            <>
              <Name>{about}</Name> ·{' '}
            </>
          )}
          {clock(created)}
          {lengthOf(run, now) !== '' && ` · ${lengthOf(run, now)}`}
        </p>
      </div>
      <Status run={run} />
      {run.status === 'running' && progress !== null && <RunProgress progress={progress} />}
      {run.status === 'failed' && reason !== null && (
        <p className="run-reason small">
          <Name>{reason}</Name>
        </p>
      )}
    </article>
  );
}

/** A status as a word in its colour. */
export function Status({ run: { status, stopping } }: { readonly run: RunItem }) {
  const isStopping = status === 'running' && stopping;
  return (
    <span className={`badge ${isStopping ? 'stopped' : status}`}>
      {isStopping ? 'stopping' : statusWords[status]}
    </span>
  );
}

/** How far a run is. */
export function RunProgress({ progress }: { readonly progress: NonNullable<RunItem['progress']> }) {
  const { label, done, total, line } = progress;
  return (
    <div className="run-progress">
      <progress value={done} max={Math.max(total, 1)} aria-label={label} />
      <p className="small soft">
        <Name>{line}</Name>
      </p>
    </div>
  );
}
