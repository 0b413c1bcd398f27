import { linear, path, px, roundRange } from './chart.ts';
import { type SafeHtml, html } from './html.ts';

/** A curve; points in rising x. */
export interface ChartSeries {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface LineChartOptions {
  /** For readers that cannot see it. */
  readonly title: string;
  readonly series: readonly ChartSeries[];
  /** Pixels; default the page's width. */
  readonly width?: number;
  /** Whether the y axis begins at 0. */
  readonly fromZero?: boolean;
}

const height = 260;
const edges = { left: 62, right: 16, top: 14, bottom: 26 } as const;
/** Dashes that tell curves apart without colour too. */
const dashes = ['none', '7 4', '2 3', '10 3 2 3'] as const;
/** More points than the picture has pixels only make the file large. */
const maxPoints = 1200;

/** Curves over a common x axis, with a legend where there are several. */
export function lineChart({ title, series, width = 880, fromZero = false }: LineChartOptions): SafeHtml {
  const points = series.flatMap((line) => line.points);
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [low, high, step] = roundRange(
    fromZero ? 0 : least(ys, 0),
    Math.max(most(ys, 1), fromZero ? 0 : -Infinity),
  );
  const x = linear(least(xs, 0), most(xs, 1), edges.left, width - edges.right);
  const y = linear(low, high, height - edges.bottom, edges.top);
  const ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => low + i * step);
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">
    ${ticks.map((tick) => html`<line class="rule" x1="${edges.left}" x2="${width - edges.right}" y1="${px(y(tick))}" y2="${px(y(tick))}"/><text class="tick end" x="${edges.left - 8}" y="${px(y(tick) + 4)}">${plain(tick)}</text>`)}
    ${xTicks(xs).map((tick) => html`<text class="tick middle" x="${px(x(tick))}" y="${height - 8}">${tick}</text>`)}
    ${series.map((line, i) => html`<path class="line curve-${i % 4}" stroke-dasharray="${dashes[i % 4]!}" d="${path(thin(line.points).map(([a, b]) => [x(a), y(b)]))}"><title>${line.name}</title></path>`)}
    ${series.filter(({ points }) => points.length === 1).map((line) => html`<circle class="dot" cx="${px(x(line.points[0]![0]))}" cy="${px(y(line.points[0]![1]))}" r="3"/>`)}
  </svg>${series.length < 2 ? null : legend(series.map(({ name }) => name))}`;
}

/** The names of curves, each behind its colour and, unless they are all drawn through, its dashes. */
export function legend(names: readonly string[], dashed = true): SafeHtml {
  return html`<figcaption>${names.map((name, i) => html`<svg class="legend" width="30" height="8" aria-hidden="true"><path class="line curve-${i % 4}" stroke-dasharray="${dashed ? dashes[i % 4]! : 'none'}" d="M0 4L28 4"/></svg> ${name} &ensp; `)}</figcaption>`;
}

/** Whole steps from first to last, at most six. */
function xTicks(xs: readonly number[]): number[] {
  const [low, high] = [least(xs, 0), most(xs, 1)];
  const count = Math.min(5, high - low);
  if (count < 1) return [low];
  return [
    ...new Set(Array.from({ length: count + 1 }, (_, i) => Math.round(low + (i * (high - low)) / count))),
  ];
}

/** Every n-th point, and the last. */
function thin(points: ChartSeries['points']): ChartSeries['points'] {
  const every = Math.ceil(points.length / maxPoints);
  return points.filter((_, i) => i % every === 0 || i === points.length - 1);
}

/** By loop: a spread of a hundred thousand numbers does not fit the stack. */
function least(values: readonly number[], otherwise: number): number {
  return values.length === 0 ? otherwise : values.reduce((a, b) => Math.min(a, b));
}
function most(values: readonly number[], otherwise: number): number {
  return values.length === 0 ? otherwise : values.reduce((a, b) => Math.max(a, b));
}

/** A tick without the tail that adding decimals leaves. */
function plain(value: number): string {
  return String(Number(value.toPrecision(6))).replace('-', '−');
}
