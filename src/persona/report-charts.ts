import type { DoseResponse } from '../store/result-schema.ts';
import { type Scale, frame, linear, path, px, roundRange, rules } from '../util/chart.ts';
import { type SafeHtml, fixed, html, signed } from '../util/html.ts';
import { unitNames } from './strength.ts';

/** Mean score over strength with its intervals and the random directions behind it; below, the coherence. */
export function doseChart(dose: DoseResponse, zero: number | null): SafeHtml {
  const [top, bottom, height] = [26, 276, 402];
  const [coherenceTop, coherenceBottom] = [312, 364];
  const x = strengthScale(dose.strengths);
  const [least, most] = scoreRange(dose);
  const y = linear(least, most, bottom, top);
  const c = linear(0, 100, coherenceBottom, coherenceTop);
  const title = `Mean trait score by steering strength at layer ${dose.layer}`;
  return html`<svg class="chart" viewBox="0 0 ${frame.width} ${height}" role="img" aria-label="${title}">
    ${rules(scoreTicks(least, most), y)}
    <text class="caption" x="${frame.left}" y="10">mean score</text>
    ${zero === null ? null : zeroLine(y(zero))}
    ${dose.random.map(({ low, high }) => randomLine(low, high, x, y))}
    <path class="line trait" d="${path(dose.points.map((p) => [x(p.strength), y(p.score ?? 50)]))}"/>
    ${dose.points.map((point) => dosePoint(point, x, y))}
    <text class="caption" x="${frame.left}" y="${coherenceTop - 10}">coherence (dashed: ${dose.coherence_floor}, the least for a recommendation)</text>
    ${rules([0, 100], c)}
    <line class="floor" x1="${frame.left}" x2="${frame.width - frame.right}" y1="${c(dose.coherence_floor)}" y2="${c(dose.coherence_floor)}"/>
    <path class="line coherence" d="${path(dose.points.map((p) => [x(p.strength), c(p.coherence ?? 0)]))}"/>
    ${dose.points.map((p) => html`<circle class="dot coherence" cx="${px(x(p.strength))}" cy="${px(c(p.coherence ?? 0))}" r="3"><title>coherence ${fixed(p.coherence)}</title></circle>`)}
    ${dose.points.map((p) => html`<text class="tick middle" x="${px(x(p.strength))}" y="${coherenceBottom + 18}">${signed(p.strength)}</text>`)}
    <text class="caption middle" x="${(frame.left + frame.width - frame.right) / 2}" y="${height - 2}">strength (${unitNames[dose.unit]})</text>
  </svg>`;
}

/** The gain of the trait's vector beside the gains of random directions and their 95 % interval. */
export function gainChart(dose: DoseResponse): SafeHtml | null {
  const { gain, random_interval: interval } = dose;
  if (gain === null || interval === null) return null;
  const gains = dose.random.flatMap((pair) => (pair.gain === null ? [] : [pair.gain]));
  const all = [0, gain, interval.lower, interval.upper, ...gains];
  const [low, high, step] = roundRange(Math.min(...all), Math.max(...all));
  const x = linear(low, high, 20, frame.width - 20);
  const ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => low + i * step);
  return html`<svg class="chart" viewBox="0 0 ${frame.width} 112" role="img" aria-label="Gain of the vector and of random directions">
    ${ticks.map((tick) => html`<line class="rule" x1="${px(x(tick))}" x2="${px(x(tick))}" y1="22" y2="78"/><text class="tick middle" x="${px(x(tick))}" y="94">${fixed(tick, 0)}</text>`)}
    <rect class="band" x="${px(x(interval.lower))}" y="34" width="${px(x(interval.upper) - x(interval.lower))}" height="32" rx="3"/>
    ${gains.map((value) => html`<circle class="dot random" cx="${px(x(value))}" cy="50" r="4"><title>random direction: ${fixed(value)}</title></circle>`)}
    <path class="mark trait" d="M${px(x(gain))} 40 l8 10 l-8 10 l-8 -10 z"><title>the vector: ${fixed(gain)}</title></path>
    <text class="value ${anchorOf(x(gain))}" x="${px(x(gain))}" y="16">this vector ${fixed(gain)}</text>
    <text class="caption middle" x="${frame.width / 2}" y="110">gain in mean score, lowest to highest strength</text>
  </svg>`;
}

/** Norm of the vector at every layer, as columns. */
export function normChart(norms: readonly number[], chosen: number | null): SafeHtml {
  const [top, bottom, height] = [20, 132, 168];
  const most = Math.max(...norms, Number.MIN_VALUE);
  const step = (frame.width - frame.left - frame.right) / norms.length;
  const barWidth = Math.min(step * 0.7, 56);
  const y = linear(0, most, bottom, top);
  // More numbers than these would run into each other.
  const every = Math.ceil(norms.length / 16);
  return html`<svg class="chart" viewBox="0 0 ${frame.width} ${height}" role="img" aria-label="Norm of the vector by layer">
    <line class="axis" x1="${frame.left}" x2="${frame.width - frame.right}" y1="${bottom}" y2="${bottom}"/>
    ${norms.map((norm, layer) => {
      const middle = frame.left + step * (layer + 0.5);
      const shown = layer % every === 0 || layer === chosen;
      return html`<rect class="bar${layer === chosen ? ' chosen' : ''}" x="${px(middle - barWidth / 2)}" y="${px(y(norm))}" width="${px(barWidth)}" height="${px(bottom - y(norm))}" rx="2"><title>layer ${layer}: ${norm.toPrecision(4)}</title></rect>${
        shown
          ? html`<text class="value middle" x="${px(middle)}" y="${px(y(norm) - 5)}">${norm.toPrecision(3)}</text><text class="tick middle" x="${px(middle)}" y="${bottom + 16}">${layer}</text>`
          : null
      }`;
    })}
    <text class="caption middle" x="${(frame.left + frame.width - frame.right) / 2}" y="${height - 2}">layer (0: embeddings)</text>
  </svg>`;
}

/** The scores that are drawn, widened to tens and to a span of at least 30, so that noise does not fill the picture. */
function scoreRange(dose: DoseResponse): [number, number] {
  const cells = [...dose.points, ...dose.random.flatMap(({ low, high }) => [low, high])];
  const scores = cells.flatMap(({ score, lower, upper }) => [score, lower, upper].filter((v) => v !== null));
  let least = Math.max(0, Math.floor((Math.min(50, ...scores) - 1) / 10) * 10);
  let most = Math.min(100, Math.ceil((Math.max(50, ...scores) + 1) / 10) * 10);
  while (most - least < 30) [least, most] = [Math.max(0, least - 10), Math.min(100, most + 10)];
  return [least, most];
}

function scoreTicks(least: number, most: number): number[] {
  const step = most - least > 60 ? 20 : 10;
  const ticks: number[] = [];
  for (let tick = Math.ceil(least / step) * step; tick <= most; tick += step) ticks.push(tick);
  return ticks;
}

function zeroLine(y: number): SafeHtml {
  const end = frame.width - frame.right;
  return html`<line class="baseline" x1="${frame.left}" x2="${end}" y1="${px(y)}" y2="${px(y)}"/>`;
}

type Point = DoseResponse['points'][number];

function randomLine(low: Point, high: Point, x: Scale, y: Scale): SafeHtml | null {
  if (low.score === null || high.score === null) return null;
  const ends = [low, high].map((point): [number, number] => [x(point.strength), y(point.score ?? 50)]);
  return html`<path class="line random" d="${path(ends)}"/>${ends.map(
    ([cx, cy]) => html`<circle class="dot random" cx="${px(cx)}" cy="${px(cy)}" r="2.5"/>`,
  )}`;
}

function dosePoint(point: Point, x: Scale, y: Scale): SafeHtml | null {
  const { strength, score, lower, upper } = point;
  if (score === null) return null;
  const [cx, cy] = [px(x(strength)), px(y(score))];
  const interval =
    lower === null || upper === null
      ? null
      : html`<line class="whisker" x1="${cx}" x2="${cx}" y1="${px(y(clamp(lower)))}" y2="${px(y(clamp(upper)))}"/>`;
  return html`${interval}<circle class="dot trait" cx="${cx}" cy="${cy}" r="4.5"><title>strength ${signed(strength)}: ${fixed(score)} (${fixed(lower)} to ${fixed(upper)}), ${point.rollouts} texts</title></circle>`;
}

function strengthScale(strengths: readonly number[]): Scale {
  const pad = 18;
  return linear(
    Math.min(...strengths),
    Math.max(...strengths),
    frame.left + pad,
    frame.width - frame.right - pad,
  );
}

function anchorOf(x: number): string {
  if (x > frame.width - 90) return 'end';
  return x < 90 ? 'start' : 'middle';
}

function clamp(score: number): number {
  return Math.min(100, Math.max(0, score));
}
