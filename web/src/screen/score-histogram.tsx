import { type KeyboardEvent, type PointerEvent, useMemo } from 'react';
import type { ScreenHistogram } from '../../../src/server/client.ts';
import { linear, px, roundRange } from '../../../src/util/chart.ts';
import { useWidth } from '../charts/use-width.ts';
import { number } from '../text.ts';

interface ScoreHistogramProps {
  readonly histogram: ScreenHistogram;
  readonly threshold: number;
  readonly onThreshold: (value: number) => void;
  /** What is said of the threshold to who cannot see the bars. */
  readonly said: string;
  readonly log: boolean;
}

const height = 190;
const edges = { left: 12, right: 12, top: 22, bottom: 22 } as const;

/**
 * How many rows lie where, and a threshold that is drawn along by a pointer or moved by keys. The bars' heights are counts, or, with
 * `log`, their logarithms, in which the few of the tail are seen too.
 */
export function ScoreHistogram({ histogram, threshold, onThreshold, said, log }: ScoreHistogramProps) {
  const [ref, width] = useWidth();
  const [low, high] = [histogram.edges[0]!, histogram.edges.at(-1)!];
  const step = (high - low) / (histogram.counts.length * 5);
  const right = Math.max(edges.left + 1, width - edges.right);
  const x = linear(low, high, edges.left, right);
  const back = linear(edges.left, right, low, high);
  const set = (value: number): void => onThreshold(roundTo(Math.max(low, Math.min(high, value)), step));
  const point = (event: PointerEvent<HTMLDivElement>): void => {
    if (event.type === 'pointerdown') event.currentTarget.setPointerCapture(event.pointerId);
    else if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    set(back(event.clientX - event.currentTarget.getBoundingClientRect().left));
  };
  const press = (event: KeyboardEvent): void => {
    const to = keyed(event.key, threshold, { low, high, step });
    if (to === undefined) return;
    event.preventDefault();
    set(to);
  };
  const at = x(Math.max(low, Math.min(high, threshold)));
  return (
    <div
      ref={ref}
      className="score-histogram"
      role="slider"
      tabIndex={0}
      aria-label="Threshold"
      aria-valuemin={low}
      aria-valuemax={high}
      aria-valuenow={threshold}
      aria-valuetext={said}
      onPointerDown={point}
      onPointerMove={point}
      onKeyDown={press}
    >
      {width > 0 && (
        <svg className="chart" width={width} height={height} aria-hidden="true">
          <Bars histogram={histogram} width={width} log={log} at={at} />
          <Ticks edges={histogram.edges} width={width} />
          <line className="threshold" x1={px(at)} x2={px(at)} y1={edges.top - 6} y2={height - edges.bottom} />
          <path className="grip" d={`M${px(at - 7)} ${edges.top - 16}h14v8l-7 7l-7-7z`} />
          <text
            className={at > width / 2 ? 'threshold-name end' : 'threshold-name'}
            x={px(at + (at > width / 2 ? -12 : 12))}
            y={edges.top - 7}
          >
            flagged from {number(threshold)}
          </text>
        </svg>
      )}
    </div>
  );
}

interface BarsProps {
  readonly histogram: ScreenHistogram;
  readonly width: number;
  readonly log: boolean;
  /** Where the threshold is drawn. */
  readonly at: number;
}

/** Drawn as one shape, once pale and once, from the threshold on, in the colour of what is flagged. */
function Bars({ histogram, width, log, at }: BarsProps) {
  const shape = useMemo(() => outline(histogram, width, log), [histogram, width, log]);
  return (
    <>
      <clipPath id="flagged-bars">
        <rect x={px(at)} y="0" width={Math.max(0, width - at)} height={height} />
      </clipPath>
      <path className="bars" d={shape} />
      <path className="bars flagged" d={shape} clipPath="url(#flagged-bars)" />
      <line
        className="axis"
        x1={edges.left}
        x2={width - edges.right}
        y1={height - edges.bottom}
        y2={height - edges.bottom}
      />
    </>
  );
}

function outline({ edges: ends, counts }: ScreenHistogram, width: number, log: boolean): string {
  const scaled = (n: number): number => (log ? Math.log10(1 + n) : n);
  const most = counts.reduce((high, n) => Math.max(high, scaled(n)), 0) || 1;
  const x = linear(ends[0]!, ends.at(-1)!, edges.left, width - edges.right);
  const y = linear(0, most, height - edges.bottom, edges.top);
  const gap = x(ends[1]!) - x(ends[0]!) > 4 ? 0.5 : 0;
  return counts
    .map((n, i) => {
      if (n === 0) return '';
      // What is there is seen, however little it is beside the rest.
      const top = Math.min(y(scaled(n)), y(0) - 1);
      return `M${px(x(ends[i]!) + gap)} ${px(y(0))}V${px(top)}H${px(x(ends[i + 1]!) - gap)}V${px(y(0))}Z`;
    })
    .join('');
}

function Ticks({ edges: ends, width }: { readonly edges: readonly number[]; readonly width: number }) {
  const [low, high] = [ends[0]!, ends.at(-1)!];
  const x = linear(low, high, edges.left, width - edges.right);
  const [from, , step] = roundRange(low, high);
  const every = step * Math.max(1, Math.ceil((high - low) / step / Math.max(2, Math.floor(width / 80))));
  return Array.from({ length: Math.floor((high - from) / every + 1e-9) + 1 }, (_, i) => from + i * every)
    .filter((tick) => tick >= low)
    .map((tick) => (
      <text key={tick} className="tick middle" x={px(x(tick))} y={height - 6}>
        {String(Number(tick.toPrecision(6))).replace('-', '−')}
      </text>
    ));
}

/** Where a key leads; undefined for one that leads nowhere. */
function keyed(
  key: string,
  from: number,
  { low, high, step }: { readonly low: number; readonly high: number; readonly step: number },
): number | undefined {
  const moves: Readonly<Record<string, number>> = {
    ArrowRight: step,
    ArrowUp: step,
    ArrowLeft: -step,
    ArrowDown: -step,
    PageUp: step * 25,
    PageDown: step * -25,
  };
  if (key === 'Home') return low;
  if (key === 'End') return high;
  return moves[key] === undefined ? undefined : from + moves[key];
}

/** The nearest of the numbers that are so far apart. */
function roundTo(value: number, step: number): number {
  return Number((Math.round(value / step) * step).toPrecision(10));
}

/** About how many rows lie at a threshold or above, by the bars alone. */
export function estimateFlagged({ edges: ends, counts }: ScreenHistogram, threshold: number): number {
  return Math.round(
    counts.reduce((sum, n, i) => {
      const [from, to] = [ends[i]!, ends[i + 1]!];
      return sum + n * Math.max(0, Math.min(1, (to - threshold) / (to - from)));
    }, 0),
  );
}
