import type { ScreenTrait } from '../../store/screen-schema.ts';
import { linear, path, px, roundRange } from '../../util/chart.ts';
import { type SafeHtml, fixed, html } from '../../util/html.ts';
import { legend } from '../../util/line-chart.ts';
import type { Differences } from './differences.ts';

const [width, height] = [880, 240];
const edges = { left: 62, right: 16, top: 18, bottom: 26 } as const;
/** Curves that can be told apart. */
const shownSources = 4;
/** Bars between two ticks; ticks are round numbers, so the bars' ends are too. */
const barsPerTick = 5;

/**
 * Shares of the samples by their difference, in percent: an outline a source, for the largest of them, and the threshold as a
 * dashed line where it lies in the picture.
 */
export function histogram(trait: ScreenTrait, { values, sources }: Differences, vector: number): SafeHtml {
  const list = values[vector]!;
  const [low, high, step] = roundRange(trait.quantiles[0]!, trait.quantiles.at(-1)!);
  const bars = Math.max(1, Math.round((high - low) / step)) * barsPerTick;
  const bar = (high - low) / bars || step / barsPerTick;
  const end = low + bars * bar;
  const series = largest(trait).map(({ name, s, samples }) => {
    const shares = new Float64Array(bars);
    for (let i = 0; i < list.length; i++)
      if (sources.of[i] === s)
        shares[Math.max(0, Math.min(bars - 1, Math.floor((list[i]! - low) / bar)))]! += 100 / samples;
    return { name, shares };
  });
  const [, top, rule] = roundRange(0, Math.max(...series.flatMap(({ shares }) => [...shares])));
  const x = linear(low, end, edges.left, width - edges.right);
  const y = linear(0, top, height - edges.bottom, edges.top);
  const outline = (shares: Float64Array): [number, number][] => [
    [x(low), y(0)],
    ...[...shares].flatMap((share, i): [number, number][] => [
      [x(low + i * bar), y(share)],
      [x(low + (i + 1) * bar), y(share)],
    ]),
    [x(end), y(0)],
  ];
  const at = trait.threshold;
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="Histogram of ${trait.name}, in percent">
${ticksOf(0, top, rule).map((tick) => html`<line class="rule" x1="${edges.left}" x2="${width - edges.right}" y1="${px(y(tick))}" y2="${px(y(tick))}"/><text class="tick end" x="${edges.left - 8}" y="${px(y(tick) + 4)}">${plain(tick)} %</text>`)}
${ticksOf(low, end, step).map((tick) => html`<text class="tick middle" x="${px(x(tick))}" y="${height - 8}">${plain(tick)}</text>`)}
${series.map(({ name, shares }, i) => html`<path class="line curve-${i}" d="${path(outline(shares))}"><title>${name}</title></path>`)}
${at < low || at > end ? null : html`<line class="floor" x1="${px(x(at))}" x2="${px(x(at))}" y1="${edges.top}" y2="${height - edges.bottom}"/><text class="tick ${at > (low + end) / 2 ? 'end' : 'start'}" x="${px(x(at) + (at > (low + end) / 2 ? -5 : 5))}" y="12">flagged from ${fixed(at, 2)}</text>`}
</svg>${
    series.length < 2
      ? null
      : legend(
          series.map(({ name }) => name),
          false,
        )
  }`;
}

function largest({ sources }: ScreenTrait): { name: string; s: number; samples: number }[] {
  return sources
    .map(({ source: name, samples }, s) => ({ name, s, samples }))
    .sort((a, b) => b.samples - a.samples || a.s - b.s)
    .slice(0, shownSources);
}

function ticksOf(low: number, high: number, step: number): number[] {
  return Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => low + i * step);
}

function plain(value: number): string {
  return String(Number(value.toPrecision(6))).replace('-', '−');
}
