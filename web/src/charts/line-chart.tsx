import { type KeyboardEvent, type PointerEvent, useMemo } from 'react';
import { linear, path, px, roundRange, type Scale } from '../../../src/util/chart.ts';
import { number } from '../text.ts';
import { useWidth } from './use-width.ts';

type Point = readonly [x: number, y: number];

/** A curve; points in rising x. `tone` is its class, which gives colour and dashes. */
export interface Series {
  readonly name: string;
  readonly tone: string;
  readonly points: readonly Point[];
  /** Lower and upper end at the same x, drawn as a band. */
  readonly band?: readonly (readonly [x: number, low: number, high: number])[];
}

interface Mark {
  readonly x: number;
  readonly name: string;
}

interface LineChartProps {
  /** What is drawn, for who cannot see it. */
  readonly label: string;
  readonly series: readonly Series[];
  /** Of x, in the line of values, such as `token`. */
  readonly unit: string;
  readonly height?: number;
  /** Values of x and y that are shown in any case. */
  readonly includeX?: readonly number[];
  readonly includeY?: readonly number[];
  /** Values of x with a line through the chart, and what they are. */
  readonly marks?: readonly Mark[];
  /** The x that is pointed at, which other parts of a page may share. */
  readonly cursor: number | null;
  readonly onCursor: (x: number | null) => void;
  readonly format?: (value: number) => string;
}

const none: readonly number[] = [];
const edges = { left: 46, right: 12, top: 8, bottom: 22 } as const;

/** Curves over a common x axis. Arrow keys move along them, and the values where one points are said below. */
export function LineChart(props: LineChartProps) {
  const { label, series, unit, height = 150, cursor, onCursor, format = number } = props;
  const [ref, width] = useWidth();
  const frame = useFrame(props, width, height);
  const xs = useMemo(
    () => [...new Set(series.flatMap(({ points }) => points.map(([x]) => x)))].sort((a, b) => a - b),
    [series],
  );
  const move = (event: PointerEvent): void => {
    const left = event.currentTarget.getBoundingClientRect().left;
    onCursor(nearest(xs, frame.back(event.clientX - left)));
  };
  const press = (event: KeyboardEvent): void => {
    const next = step(xs, cursor, event.key);
    if (next === undefined) return;
    event.preventDefault();
    onCursor(next);
  };
  const said = cursor === null ? null : readings(series, cursor).map(([name, y]) => `${name} ${format(y)}`);
  return (
    <figure className="line-chart">
      <div
        ref={ref}
        role="slider"
        tabIndex={0}
        aria-label={label}
        aria-valuemin={xs[0] ?? 0}
        aria-valuemax={xs.at(-1) ?? 0}
        aria-valuenow={cursor ?? xs.at(-1) ?? 0}
        aria-valuetext={said === null ? `${xs.length} points` : `${unit} ${cursor}: ${said.join(', ')}`}
        onKeyDown={press}
        onPointerMove={move}
        onPointerLeave={() => onCursor(null)}
        onBlur={() => onCursor(null)}
      >
        {width > 0 && (
          <svg className="chart" width={width} height={height} aria-hidden="true">
            <Axes frame={frame} xs={xs} height={height} format={format} marks={props.marks ?? []} />
            <Curves series={series} frame={frame} />
            <MarkNames frame={frame} marks={props.marks ?? []} />
            {cursor !== null && <Cursor series={series} frame={frame} x={cursor} height={height} />}
          </svg>
        )}
      </div>
      <figcaption className="chart-legend">
        {series.map(({ name, tone }) => (
          <span key={name}>
            <svg width="18" height="8" aria-hidden="true">
              <path className={`line ${tone}`} d="M0 4H18" />
            </svg>
            <bdi>{name}</bdi>
            <output className="reading">{reading(series, name, cursor, format)}</output>
          </span>
        ))}
        <span className="at">{cursor === null ? '' : `${unit} ${cursor}`}</span>
      </figcaption>
    </figure>
  );
}

interface Frame {
  readonly x: Scale;
  readonly y: Scale;
  /** From pixels to x. */
  readonly back: Scale;
  readonly ticks: readonly number[];
  readonly width: number;
}

function useFrame(
  { series, includeX = none, includeY = none }: LineChartProps,
  width: number,
  height: number,
): Frame {
  return useMemo(() => {
    const points = series.flatMap(({ points }) => points);
    const bands = series.flatMap(({ band = [] }) => band);
    const [x0, x1] = extent([...points.map(([x]) => x), ...includeX]);
    const [y0, y1] = extent([
      ...points.map(([, y]) => y),
      ...bands.flatMap(([, low, high]) => [low, high]),
      ...includeY,
    ]);
    const [low, high, size] = wideRange(y0, y1, height);
    const right = Math.max(width - edges.right, edges.left + 1);
    return {
      x: linear(x0, x1, edges.left, right),
      y: linear(low, high, height - edges.bottom, edges.top),
      back: linear(edges.left, right, x0, x1),
      ticks: Array.from({ length: Math.round((high - low) / size) + 1 }, (_, i) => low + i * size),
      width,
    };
  }, [series, includeX, includeY, width, height]);
}

/** A range in round steps, about one for every 34 pixels. */
function wideRange(low: number, high: number, height: number): [number, number, number] {
  const [from, to, step] = roundRange(low, high === low ? low + 1 : high);
  const every = Math.ceil(((to - from) / step) * (34 / (height - edges.top - edges.bottom)));
  const size = step * (every <= 1 ? 1 : every <= 2 ? 2 : every <= 5 ? 5 : 10);
  return [Math.floor(from / size) * size, Math.ceil(to / size) * size, size];
}

/** By loop: a spread of many numbers does not fit the stack. */
function extent(values: readonly number[]): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return low > high ? [0, 1] : [low, high];
}

interface AxesProps {
  readonly frame: Frame;
  readonly xs: readonly number[];
  readonly height: number;
  readonly format: (value: number) => string;
  readonly marks: readonly Mark[];
}

function Axes({ frame: { x, y, ticks, width }, xs, height, format, marks }: AxesProps) {
  return (
    <>
      {ticks.map((tick) => (
        <g key={tick}>
          <line
            className={Math.abs(tick) < 1e-9 ? 'axis' : 'rule'}
            x1={edges.left}
            x2={width - edges.right}
            y1={px(y(tick))}
            y2={px(y(tick))}
          />
          <text className="tick end" x={edges.left - 6} y={px(y(tick) + 4)}>
            {plain(tick, format)}
          </text>
        </g>
      ))}
      {xTicks(xs, width).map((tick) => (
        <text key={tick} className="tick middle" x={px(x(tick))} y={height - 5}>
          {tick}
        </text>
      ))}
      {marks.map((mark) => (
        <line
          key={`${mark.name} ${mark.x}`}
          className="mark"
          x1={px(x(mark.x))}
          x2={px(x(mark.x))}
          y1={edges.top}
          y2={height - edges.bottom}
        />
      ))}
    </>
  );
}

/** What marks mean, above the curves that pass there. */
function MarkNames({ frame: { x }, marks }: Pick<AxesProps, 'frame' | 'marks'>) {
  return marks.map((mark) => (
    <text key={`${mark.name} ${mark.x}`} className="mark-name" x={px(x(mark.x) + 4)} y={edges.top + 9}>
      {mark.name}
    </text>
  ));
}

/** A tick without the tail that adding decimals leaves. */
function plain(value: number, format: (value: number) => string): string {
  const round = Number(value.toPrecision(6));
  return Number.isInteger(round) ? String(round).replace('-', '−') : format(round);
}

/** Whole steps along the values of x, as many as there is room for. */
function xTicks(xs: readonly number[], width: number): number[] {
  if (xs.length === 0) return [];
  const [first, last] = [xs[0]!, xs.at(-1)!];
  const [, , step] = roundRange(first, last === first ? first + 1 : last);
  const room = Math.max(1, Math.floor((width - edges.left) / 64));
  const every = Math.max(1, Math.ceil(step), Math.ceil((last - first) / room));
  const start = Math.ceil(first / every) * every;
  return Array.from({ length: Math.floor((last - start) / every) + 1 }, (_, i) => start + i * every);
}

function Curves({ series, frame: { x, y } }: { readonly series: readonly Series[]; readonly frame: Frame }) {
  return series.map(({ name, tone, points, band }) => (
    <g key={name} className={tone}>
      {band && band.length > 1 && (
        <path
          className="band"
          d={`${path([...band.map(([a, , high]): Point => [x(a), y(high)]), ...band.toReversed().map(([a, low]): Point => [x(a), y(low)])])}Z`}
        />
      )}
      <path className={`line ${tone}`} d={path(points.map(([a, b]) => [x(a), y(b)]))} />
      {points.length === 1 && (
        <circle className="dot" cx={px(x(points[0]![0]))} cy={px(y(points[0]![1]))} r="3" />
      )}
    </g>
  ));
}

interface CursorProps {
  readonly series: readonly Series[];
  readonly frame: Frame;
  readonly x: number;
  readonly height: number;
}

function Cursor({ series, frame, x, height }: CursorProps) {
  return (
    <>
      <line
        className="cursor"
        x1={px(frame.x(x))}
        x2={px(frame.x(x))}
        y1={edges.top}
        y2={height - edges.bottom}
      />
      {series.flatMap(({ name, tone, points }) =>
        points
          .filter(([at]) => at === x)
          .map(([at, y]) => (
            <g key={name} className={tone}>
              <circle className="dot" cx={px(frame.x(at))} cy={px(frame.y(y))} r="3.5" />
            </g>
          )),
      )}
    </>
  );
}

/** The values at an x, of the curves that have one there. */
function readings(series: readonly Series[], x: number): [string, number][] {
  return series.flatMap(({ name, points }) =>
    points.filter(([at]) => at === x).map(([, y]): [string, number] => [name, y]),
  );
}

function reading(
  series: readonly Series[],
  name: string,
  x: number | null,
  format: (value: number) => string,
): string {
  const found = x === null ? undefined : readings(series, x).find(([one]) => one === name);
  return found === undefined ? '' : format(found[1]);
}

function nearest(xs: readonly number[], x: number): number | null {
  let best: number | null = null;
  for (const one of xs) if (best === null || Math.abs(one - x) < Math.abs(best - x)) best = one;
  return best;
}

/** Where a key leads from an x; undefined for a key that leads nowhere. */
function step(xs: readonly number[], from: number | null, key: string): number | null | undefined {
  const last = xs.length - 1;
  const at = from === null ? -1 : xs.indexOf(from);
  if (key === 'Escape') return null;
  if (last < 0) return undefined;
  if (key === 'ArrowRight' || key === 'ArrowUp') return xs[Math.min(last, at + 1)]!;
  if (key === 'ArrowLeft' || key === 'ArrowDown') return xs[at < 0 ? last : Math.max(0, at - 1)]!;
  if (key === 'Home') return xs[0]!;
  return key === 'End' ? xs[last]! : undefined;
}
