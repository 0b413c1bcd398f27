import { linear, px, roundRange } from './chart.ts';
import { type SafeHtml, fixed, html } from './html.ts';

/** A point with what it stands for. */
export interface ScatterPoint {
  readonly name: string;
  readonly x: number;
  readonly y: number;
}

export interface ScatterOptions {
  /** For readers that cannot see it. */
  readonly title: string;
  /** Names of the axes. */
  readonly x: string;
  readonly y: string;
  /** Points of one group look alike; at most four. */
  readonly groups: readonly { readonly name: string; readonly points: readonly ScatterPoint[] }[];
  /** Pixels; default the page's width. */
  readonly width?: number;
  /** Write each point's name beside it. */
  readonly labels?: boolean;
}

const height = 300;
const edges = { left: 52, right: 20, top: 30, bottom: 44 } as const;

/** Points in two dimensions, with a legend; each point's name and numbers are its tooltip. */
export function scatterChart({ title, x, y, groups, width = 880, labels = false }: ScatterOptions): SafeHtml {
  const points = groups.flatMap((group) => group.points);
  const [xLow, xHigh, xStep] = rangeOf(points.map((point) => point.x));
  const [yLow, yHigh, yStep] = rangeOf(points.map((point) => point.y));
  const toX = linear(xLow, xHigh, edges.left, width - edges.right);
  const toY = linear(yLow, yHigh, height - edges.bottom, edges.top);
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">
    ${ticks(yLow, yHigh, yStep).map((tick) => html`<line class="rule" x1="${edges.left}" x2="${width - edges.right}" y1="${px(toY(tick))}" y2="${px(toY(tick))}"/><text class="tick end" x="${edges.left - 8}" y="${px(toY(tick) + 4)}">${plain(tick)}</text>`)}
    ${ticks(xLow, xHigh, xStep).map((tick) => html`<line class="rule" x1="${px(toX(tick))}" x2="${px(toX(tick))}" y1="${edges.top}" y2="${height - edges.bottom}"/><text class="tick middle" x="${px(toX(tick))}" y="${height - 26}">${plain(tick)}</text>`)}
    ${groups.map((group, i) => group.points.map((point) => html`<g><title>${point.name}: ${fixed(point.x, 2)}, ${fixed(point.y)}</title>${mark(i, px(toX(point.x)), px(toY(point.y)))}${labels ? html`<text class="tick start" x="${px(toX(point.x) + 8)}" y="${px(toY(point.y) + 4)}">${point.name}</text>` : null}</g>`))}
    <text class="caption middle" x="${px((edges.left + width - edges.right) / 2)}" y="${height - 6}">${x}</text>
    <text class="caption start" x="4" y="11">${y}</text>
  </svg><figcaption>${groups.map((group, i) => html`<svg class="chart" style="display:inline-block;width:14px;vertical-align:middle" viewBox="0 0 14 14" aria-hidden="true">${mark(i, 7, 7)}</svg> ${group.name} &ensp; `)}</figcaption>`;
}

/** Shapes tell groups apart without colour too. */
function mark(group: number, x: number, y: number): SafeHtml {
  switch (group % 4) {
    case 0:
      return html`<circle class="dot random" cx="${x}" cy="${y}" r="5"/>`;
    case 1:
      return html`<path class="dot coherence" d="M${x} ${y - 6}l6 10h-12z"/>`;
    case 2:
      return html`<path class="mark trait" d="M${x} ${y - 6}l6 6l-6 6l-6 -6z"/>`;
    default:
      return html`<rect class="dot" x="${x - 5}" y="${y - 5}" width="10" height="10"/>`;
  }
}

function rangeOf(values: readonly number[]): [number, number, number] {
  if (values.length === 0) return [0, 1, 0.5];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return roundRange(low, high === low ? low + 1 : high);
}

function ticks(low: number, high: number, step: number): number[] {
  return Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => low + i * step);
}

function plain(value: number): string {
  return String(Number(value.toPrecision(6))).replace('-', '−');
}
