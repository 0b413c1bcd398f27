import { useQuery } from '@tanstack/react-query';
import type { ScreenRowText } from '../../../src/server/client.ts';
import { server, useSecrets } from '../connection.ts';
import { ErrorNote, Name } from '../parts/notes.tsx';
import { count, number, visible } from '../text.ts';

interface RowDetailProps {
  readonly id: string;
  readonly row: number;
  readonly onClose: () => void;
}

/** The texts of a row and all that the screening says of it. */
export function RowDetail({ id, row, onClose }: RowDetailProps) {
  const { token } = useSecrets();
  const found = useQuery({
    queryKey: ['screen-row', id, row, token],
    queryFn: () => server().screenRow(id, row),
    gcTime: 60_000,
  });
  return (
    <section className="row-detail card" aria-label="Row">
      <header className="row">
        <h2>Row {(row + 1).toLocaleString('en')}</h2>
        <button type="button" className="plain" onClick={onClose}>
          Close
        </button>
      </header>
      {found.error !== null && <ErrorNote error={found.error} onRetry={() => void found.refetch()} />}
      {found.data === undefined ? (
        found.error === null && (
          <p className="soft" role="status">
            Reading…
          </p>
        )
      ) : (
        <Texts row={found.data} />
      )}
    </section>
  );
}

function Texts({ row }: { readonly row: ScreenRowText }) {
  return (
    <div className="stack">
      <p className="soft small">
        <Name>{row.id}</Name>, from <Name>{row.source}</Name>, {count(row.tokens, 'token')}, scored by{' '}
        <Name>{row.scored_by}</Name>
      </p>
      <dl className="row-scores">
        {Object.entries(row.scores).map(([trait, { difference, percentile, flagged, judge }]) => (
          <div key={trait}>
            <dt>
              <Name>{trait}</Name>
            </dt>
            <dd>
              {number(difference, { sign: true })}, percentile {number(percentile)}
              {judge !== null && `, judge ${number(judge)}`}
              {flagged && ' · flagged by the screening'}
            </dd>
          </div>
        ))}
      </dl>
      {row.messages.map(({ role, content }, i) => (
        <Said key={i} who={role} text={content} />
      ))}
      {row.base_reply !== null && <Said who="what the model says itself" text={row.base_reply} />}
    </div>
  );
}

function Said({ who, text }: { readonly who: string; readonly text: string }) {
  return (
    <div className="row-said">
      <h3>
        <Name>{who}</Name>
      </h3>
      <p dir="auto">{visible(text)}</p>
    </div>
  );
}
