import { type KeyboardEvent, memo, type MouseEvent, useId, useState } from 'react';
import { useWidth } from '../charts/use-width.ts';
import { ErrorNote } from '../parts/notes.tsx';
import { number, visible } from '../text.ts';
import { type Choice, type Row, useRowPages } from './use-row-pages.ts';
import { useTallScroll } from './use-tall-scroll.ts';

interface RowTableProps {
  readonly id: string;
  readonly choice: Choice;
  /** Rows of the list. */
  readonly total: number;
  readonly judged: boolean;
  /** The row whose texts are shown. */
  readonly selected: number | null;
  readonly onSelect: (row: number) => void;
}

const headHeight = 32;
/** Below this width a row has two lines. */
const narrow = 640;

/** All rows of the choice, those in sight drawn. Arrow keys walk along them, Enter shows one's texts. */
export function RowTable({ id, choice, total, judged, selected, onSelect }: RowTableProps) {
  const [ref, width] = useWidth();
  const name = useId();
  const rowHeight = width < narrow ? 58 : 34;
  const { box, space, rows, range, reveal, page } = useTallScroll({
    count: total,
    rowHeight,
    head: headHeight,
  });
  const { rowAt, error, retry } = useRowPages(id, choice, range);
  const { active, open, press } = useActive({ total, page, selected, rowAt, reveal, onSelect });
  const click = (event: MouseEvent): void => {
    const row = (event.target as Element).closest<HTMLElement>('.row-line');
    if (row !== null) open(Number(row.dataset['index']));
  };
  const isDrawn = active !== null && active >= range[0] && active < range[1];
  return (
    <div ref={ref} className={judged ? 'row-table judged' : 'row-table'}>
      {error !== null && <ErrorNote error={error} onRetry={retry} />}
      <div
        ref={box}
        className="rows"
        role="grid"
        tabIndex={0}
        aria-label="Rows"
        aria-rowcount={total + 1}
        aria-activedescendant={isDrawn ? `${name}-${active}` : undefined}
        onKeyDown={press}
        onClick={click}
      >
        <Head judged={judged} />
        <div ref={space} className="rows-space" role="presentation">
          <div ref={rows} className="rows-drawn" role="rowgroup" data-first={range[0]}>
            {Array.from({ length: Math.max(0, range[1] - range[0]) }, (_, i) => range[0] + i).map((index) => (
              <TableRow
                key={index}
                id={`${name}-${index}`}
                index={index}
                row={rowAt(index)}
                trait={choice.trait}
                threshold={choice.threshold}
                judged={judged}
                height={rowHeight}
                active={index === active}
                selected={selected !== null && rowAt(index)?.row === selected}
              />
            ))}
          </div>
        </div>
      </div>
    </div>
  );
}

interface ActiveParts extends Pick<RowTableProps, 'total' | 'selected' | 'onSelect'> {
  readonly page: number;
  readonly rowAt: (index: number) => Row | undefined;
  readonly reveal: (index: number) => void;
}

/** The row that keys walk to; while one's texts are shown, those of the next one follow. */
function useActive({ total, page, selected, rowAt, reveal, onSelect }: ActiveParts) {
  const [active, setActive] = useState<number | null>(null);
  const open = (index: number): void => {
    setActive(index);
    const row = rowAt(index);
    if (row !== undefined) onSelect(row.row);
  };
  const press = (event: KeyboardEvent): void => {
    const to = keyed(event.key, active, { total, page });
    if (to !== undefined) {
      const next = Math.max(0, Math.min(total - 1, to));
      setActive(next);
      reveal(next);
      if (selected !== null) open(next);
    } else if ((event.key === 'Enter' || event.key === ' ') && active !== null) open(active);
    else return;
    event.preventDefault();
  };
  return { active, open, press };
}

function Head({ judged }: { readonly judged: boolean }) {
  return (
    <div className="rows-head" role="row" aria-rowindex={1}>
      <span role="columnheader" className="nr">
        #
      </span>
      <span role="columnheader" className="score">
        Difference
      </span>
      <span role="columnheader" className="percentile">
        Percentile
      </span>
      {judged && (
        <span role="columnheader" className="judge">
          Judge
        </span>
      )}
      <span role="columnheader" className="source">
        Source
      </span>
      <span role="columnheader" className="text">
        Reply
      </span>
    </div>
  );
}

interface TableRowProps {
  readonly id: string;
  readonly index: number;
  readonly row: Row | undefined;
  readonly trait: string;
  readonly threshold: number;
  readonly judged: boolean;
  readonly height: number;
  readonly active: boolean;
  readonly selected: boolean;
}

const TableRow = memo(function TableRow({
  id,
  index,
  row,
  trait,
  threshold,
  judged,
  height,
  active,
  selected,
}: TableRowProps) {
  const score = row?.scores[trait];
  const isFlagged = score !== undefined && score.difference >= threshold;
  const names = ['row-line', isFlagged && 'flagged', active && 'active', selected && 'selected'];
  return (
    <div
      id={id}
      role="row"
      aria-rowindex={index + 2}
      data-index={index}
      aria-selected={selected}
      className={names.filter(Boolean).join(' ')}
      style={{ height: `${height}px` }}
    >
      <span role="gridcell" className="nr">
        {(index + 1).toLocaleString('en')}
      </span>
      <span role="gridcell" className="score">
        {score === undefined ? '…' : number(score.difference, { sign: true })}
        {isFlagged && <span className="unseen">, flagged</span>}
      </span>
      <span role="gridcell" className="percentile">
        {score === undefined ? '' : score.percentile.toFixed(1)}
      </span>
      {judged && (
        <span role="gridcell" className="judge">
          {score === undefined ? '' : number(score.judge)}
        </span>
      )}
      <span role="gridcell" className="source">
        <bdi>{row && visible(row.source)}</bdi>
      </span>
      <span role="gridcell" className="text">
        <bdi>{row && visible(row.reply.replaceAll(/\s+/g, ' '))}</bdi>
      </span>
    </div>
  );
});

/** Where a key leads from a row; undefined for one that leads nowhere. */
function keyed(
  key: string,
  from: number | null,
  { total, page }: { readonly total: number; readonly page: number },
): number | undefined {
  if (total === 0) return undefined;
  const at = from ?? -1;
  if (key === 'ArrowDown') return at + 1;
  if (key === 'ArrowUp') return at - 1;
  if (key === 'PageDown') return at + page;
  if (key === 'PageUp') return at - page;
  if (key === 'Home') return 0;
  return key === 'End' ? total - 1 : undefined;
}
