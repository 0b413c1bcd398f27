import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { ConversationDetail, TurnItem } from '../../../src/server/client.ts';
import { LineChart, type Series } from '../charts/line-chart.tsx';
import { queries, server } from '../connection.ts';
import { ActionTrouble } from '../parts/action-trouble.tsx';
import { Name } from '../parts/notes.tsx';
import { Link } from '../router.tsx';
import { clock, number, visible } from '../text.ts';

/** Turns that are asked for at once. */
const pageTurns = 500;

/** One conversation: how each vector's projection went from turn to turn, and the turns. */
export function ConversationView({ id }: { readonly id: string }) {
  const detail = useInfiniteQuery({
    queryKey: ['monitor', 'conversation', id],
    queryFn: ({ pageParam }) =>
      server().conversation(id, { limit: pageTurns, ...(pageParam !== null && { cursor: pageParam }) }),
    initialPageParam: null as string | null,
    getNextPageParam: (last: ConversationDetail) => last.next_cursor,
  });
  const turns = detail.data?.pages.flatMap((page) => page.turns).sort((a, b) => a.index - b.index);
  const facts = detail.data?.pages[0];
  return (
    <div className="page monitor">
      <p>
        <Link href="/app/monitor">All conversations</Link>
      </p>
      <h1>
        <Name>{id}</Name>
      </h1>
      {detail.error !== null && (
        <ActionTrouble
          error={detail.error}
          onRetry={() => void queries.invalidateQueries({ queryKey: ['monitor'] })}
        />
      )}
      {facts === undefined || turns === undefined ? (
        detail.error === null && <p role="status">Asking the server…</p>
      ) : (
        <>
          <p className="soft">
            <Name>{facts.model}</Name>
            {facts.key !== null && (
              <>
                {' '}
                · key <Name>{facts.key}</Name>
              </>
            )}
          </p>
          <Trajectories turns={turns} />
          {detail.hasNextPage && (
            <button type="button" onClick={() => void detail.fetchNextPage()}>
              Show older turns
            </button>
          )}
          <ol className="turns">
            {turns.map((turn) => (
              <li key={turn.index} value={turn.index} id={`turn-${turn.index}`}>
                <Turn turn={turn} />
              </li>
            ))}
          </ol>
        </>
      )}
    </div>
  );
}

/** A chart a vector, which share the turn that is pointed at. */
function Trajectories({ turns }: { readonly turns: readonly TurnItem[] }) {
  const [cursor, setCursor] = useState<number | null>(null);
  const vectors = [...new Set(turns.flatMap(({ projections }) => Object.keys(projections)))];
  const marks = turns
    .filter(({ alerts }) => alerts.length > 0)
    .map(({ index }) => ({ x: index, name: 'alert' }));
  if (vectors.length === 0) return <p className="soft">No vector was watched in this conversation.</p>;
  return (
    <div className="trajectories">
      {vectors.map((vector) => (
        <section key={vector} className="card">
          <h2>
            <Name>{vector}</Name>
          </h2>
          <LineChart
            label={`Projection on ${visible(vector)} by turn`}
            series={curvesOf(turns, vector)}
            unit="turn"
            marks={marks}
            cursor={cursor}
            onCursor={setCursor}
          />
        </section>
      ))}
    </div>
  );
}

function curvesOf(turns: readonly TurnItem[], vector: string): Series[] {
  const points = (read: (one: TurnItem['projections'][string]) => number | null) =>
    turns.flatMap(({ index, projections }) => {
      const value = projections[vector] === undefined ? null : read(projections[vector]);
      return value === null ? [] : [[index, value] as const];
    });
  return [
    { name: 'over the reply', tone: 'tone-accent', points: points(({ mean }) => mean) },
    { name: 'before it', tone: 'tone-plain', points: points(({ before }) => before) },
  ];
}

function Turn({ turn }: { readonly turn: TurnItem }) {
  const { index, parent, time, role_text: texts, projections, alerts } = turn;
  const isBranch = parent !== null && parent !== index - 1;
  return (
    <article className="card">
      <header>
        <h3>Turn {index}</h3>
        {alerts.length > 0 && <span className="badge failed">alert</span>}
        <span className="soft small">
          <time dateTime={time}>{clock(time)}</time>
          {isBranch && ` · goes on from turn ${parent}`}
        </span>
      </header>
      {texts === null ? (
        <p className="soft small">Its text is not kept (persona serve --keep-text keeps it).</p>
      ) : (
        <dl className="turn-texts">
          <dt>User</dt>
          <dd dir="auto">{visible(texts.user)}</dd>
          <dt>Assistant</dt>
          <dd dir="auto">{visible(texts.assistant)}</dd>
        </dl>
      )}
      <dl className="readings">
        {Object.entries(projections).map(([vector, { mean, z, percentile }]) => (
          <div key={vector}>
            <dt>
              <Name>{vector}</Name>
            </dt>
            <dd>
              {number(mean, { sign: true })}
              {z !== null && <span className="soft"> · z {number(z, { sign: true })}</span>}
              {percentile !== null && <span className="soft"> · percentile {number(percentile)}</span>}
            </dd>
          </div>
        ))}
      </dl>
    </article>
  );
}
