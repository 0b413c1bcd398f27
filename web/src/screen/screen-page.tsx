import { useQuery } from '@tanstack/react-query';
import { useId, useMemo } from 'react';
import type { ScreenDetail } from '../../../src/server/client.ts';
import { server, useSecrets } from '../connection.ts';
import { ErrorNote, Name } from '../parts/notes.tsx';
import { Link } from '../router.tsx';
import { count, number } from '../text.ts';
import { useFragment } from '../use-fragment.ts';
import { ExportRows } from './export-rows.tsx';
import { RowDetail } from './row-detail.tsx';
import { RowTable } from './row-table.tsx';
import { estimateFlagged, ScoreHistogram } from './score-histogram.tsx';
import { fromFragment, type ScreenSettings, sides, toFragment, traitOf } from './settings.ts';
import { type Choice, useSettled, useTotals } from './use-row-pages.ts';

interface PartProps {
  readonly detail: ScreenDetail;
  readonly settings: ScreenSettings;
  readonly change: (some: Partial<ScreenSettings>) => void;
}

/** One screening: where its rows lie, from where on they are flagged, and the rows themselves. */
export function ScreenPage({ detail }: { readonly detail: ScreenDetail }) {
  const form = useMemo(
    () => ({
      read: (fragment: string) => fromFragment(fragment, detail),
      write: (settings: ScreenSettings) => toFragment(settings, detail),
    }),
    [detail],
  );
  const [settings, change] = useFragment(form);
  const parts = { detail, settings, change };
  return (
    <div className="page">
      <header className="page-head">
        <h1>
          <Name>{detail.name}</Name>
        </h1>
        <p className="soft small">
          {count(detail.rows, 'row')} of <Name>{detail.data.join(', ')}</Name>, read as {detail.read_as}, by{' '}
          <Name>{detail.model}</Name>, mode {detail.mode}
        </p>
        <Link href="/app/screen">All screenings</Link>
      </header>
      <Distribution {...parts} />
      <Rows {...parts} />
      <Sources {...parts} />
    </div>
  );
}

function Distribution({ detail, settings, change }: PartProps) {
  const { token } = useSecrets();
  const { trait, threshold, log } = settings;
  const found = useQuery({
    queryKey: ['screen-histogram', detail.id, trait, token],
    queryFn: () => server().screenHistogram(detail.id, { trait }),
  });
  const own = traitOf(detail, trait).threshold;
  const flagged = useFlagged(detail, settings, found.data);
  return (
    <section className="card" aria-labelledby="distribution">
      <div className="row spread">
        <h2 id="distribution">Projection differences</h2>
        <label className="row small">
          <input type="checkbox" checked={log} onChange={(event) => change({ log: event.target.checked })} />
          Logarithmic heights
        </label>
      </div>
      <TraitChoice detail={detail} settings={settings} change={change} />
      {found.error !== null && <ErrorNote error={found.error} onRetry={() => void found.refetch()} />}
      {found.data === undefined ? (
        <div className="score-histogram soft" role="status">
          {found.error === null && 'Ordering the rows…'}
        </div>
      ) : (
        <ScoreHistogram
          histogram={found.data}
          threshold={threshold}
          onThreshold={(value) => change({ threshold: value })}
          said={`${number(threshold)}: ${flagged.text}`}
          log={log}
        />
      )}
      <div className="row threshold-line">
        <ThresholdField value={threshold} onChange={(value) => change({ threshold: value })} />
        <button type="button" disabled={threshold === own} onClick={() => change({ threshold: own })}>
          As screened ({number(own)})
        </button>
        <output className="counts" aria-live="off">
          {flagged.text}
        </output>
      </div>
    </section>
  );
}

/** How many rows the threshold flags, as the bars say until the server has counted. */
function useFlagged(
  detail: ScreenDetail,
  settings: ScreenSettings,
  histogram: Parameters<typeof estimateFlagged>[0] | undefined,
): { readonly text: string } {
  const choice = useChoice(settings);
  const totals = useTotals(detail.id, choice);
  const isCounted = totals.data !== undefined && !totals.isPlaceholderData;
  if (isCounted && choice.threshold === settings.threshold) return { text: said(totals.data, '') };
  if (histogram === undefined) return { text: '' };
  const flagged = estimateFlagged(histogram, settings.threshold);
  return { text: said({ rows: histogram.rows, flagged }, 'about ') };
}

function said({ rows, flagged }: { readonly rows: number; readonly flagged: number }, about: string): string {
  const share = rows === 0 ? 0 : (100 * flagged) / rows;
  return `${about}${flagged.toLocaleString('en')} flagged (${number(share)} %), ${(rows - flagged).toLocaleString('en')} kept`;
}

function ThresholdField({
  value,
  onChange,
}: {
  readonly value: number;
  readonly onChange: (value: number) => void;
}) {
  return (
    <label className="row">
      <span>Flagged from</span>
      <input
        type="number"
        step="any"
        value={String(Number(value.toPrecision(6)))}
        onChange={(event) => {
          const typed = event.target.valueAsNumber;
          if (Number.isFinite(typed)) onChange(typed);
        }}
      />
    </label>
  );
}

function TraitChoice({ detail, settings, change }: PartProps) {
  const name = useId();
  if (detail.traits.length < 2) return null;
  return (
    <fieldset className="choice">
      <legend className="unseen">Trait</legend>
      {detail.traits.map((trait) => (
        <label key={trait.name} className={trait.name === settings.trait ? 'chosen' : ''}>
          <input
            className="unseen"
            type="radio"
            name={name}
            checked={trait.name === settings.trait}
            onChange={() => change({ trait: trait.name, threshold: trait.threshold })}
          />
          <Name>{trait.name}</Name>
        </label>
      ))}
    </fieldset>
  );
}

/** What the server is asked for: a threshold that moves is waited for. */
function useChoice({ trait, threshold, show, order }: ScreenSettings): Choice {
  const settled = useSettled(threshold, 120);
  // Another trait's threshold says nothing of this one's rows.
  const known = useSettled(trait, 120) === trait ? settled : threshold;
  return useMemo(() => ({ trait, threshold: known, show, order }), [trait, known, show, order]);
}

const sideNames = { all: 'All', flagged: 'Flagged', kept: 'Kept' } as const;

function Rows({ detail, settings, change }: PartProps) {
  const choice = useChoice(settings);
  const totals = useTotals(detail.id, choice);
  const { show, order, row, trait, threshold } = settings;
  const name = useId();
  return (
    <section className="card" aria-labelledby={name}>
      <div className="row spread">
        <h2 id={name}>Rows</h2>
        <fieldset className="choice">
          <legend className="unseen">Which rows</legend>
          {sides.map((side) => (
            <label key={side} className={side === show ? 'chosen' : ''}>
              <input
                className="unseen"
                type="radio"
                name={`${name}-side`}
                checked={side === show}
                onChange={() => change({ show: side })}
              />
              {sideNames[side]}
            </label>
          ))}
        </fieldset>
        <label className="row">
          <span className="unseen">Order</span>
          <select
            value={order}
            onChange={(event) => change({ order: event.target.value === 'low' ? 'low' : 'high' })}
          >
            <option value="high">Highest first</option>
            <option value="low">Lowest first</option>
          </select>
        </label>
        <ExportRows id={detail.id} trait={trait} threshold={threshold} />
      </div>
      {totals.error !== null && <ErrorNote error={totals.error} onRetry={() => void totals.refetch()} />}
      {totals.data?.total === 0 && <p className="soft">No row lies on this side of the threshold.</p>}
      <div className={row === null ? 'rows-and-row' : 'rows-and-row open'}>
        <RowTable
          key={`${trait} ${show} ${order}`}
          id={detail.id}
          choice={choice}
          total={totals.data?.total ?? 0}
          judged={traitOf(detail, trait).judge !== null}
          selected={row}
          onSelect={(chosen) => change({ row: chosen })}
        />
        {row !== null && <RowDetail id={detail.id} row={row} onClose={() => change({ row: null })} />}
      </div>
    </section>
  );
}

function Sources({ detail, settings }: PartProps) {
  const { sources, difference } = traitOf(detail, settings.trait);
  return (
    <details className="card">
      <summary>
        Mean difference {number(difference.mean, { sign: true })} ({number(difference.lower)} …{' '}
        {number(difference.upper)}), by source
      </summary>
      <div className="scroll" tabIndex={0} role="region" aria-label="Sources">
        <table className="sources">
          <thead>
            <tr>
              <th scope="col">Source</th>
              <th scope="col">Rows</th>
              <th scope="col">Mean difference</th>
              <th scope="col">95 % interval</th>
            </tr>
          </thead>
          <tbody>
            {sources.map((source) => (
              <tr key={source.source}>
                <th scope="row">
                  <Name>{source.source}</Name>
                </th>
                <td>{source.samples.toLocaleString('en')}</td>
                <td>{number(source.difference.mean, { sign: true })}</td>
                <td>
                  {number(source.difference.lower)} … {number(source.difference.upper)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
