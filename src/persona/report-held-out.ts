import type { HeldOut, Sweep } from '../store/result-schema.ts';
import { linear, px, roundRange } from '../util/chart.ts';
import { type SafeHtml, fixed, html } from '../util/html.ts';
import { lineChart } from '../util/line-chart.ts';

/** The AUROC at the layer whose projections are shown. */
export function aurocAt(heldOut: HeldOut): HeldOut['layers'][number]['auroc'] | null {
  return heldOut.layers.find(({ layer }) => layer === heldOut.shown.layer)?.auroc ?? null;
}

/** Which layers tell the poles apart, and which steer: two questions, with two answers. */
export function heldOutSection(heldOut: HeldOut, sweep: Sweep | null): SafeHtml {
  const { layer } = heldOut.shown;
  const found = heldOut.layers.find((one) => one.layer === layer);
  return html`<h2>Held-out texts, projected</h2>
<p class="lead">${heldOut.positive} texts under the positive and ${heldOut.negative} under the negative instructions, to questions that the vector was not made of, projected on it: (a · v) / ‖v‖, with a the mean activation (<code>${heldOut.pooling}</code>). Telling texts apart is not steering them, so the layer is not chosen by this.</p>
<figure>${histogram(heldOut)}<figcaption><span class="swatch pos"></span>under the positive instructions (full columns) &ensp; <span class="swatch neg"></span>under the negative ones (outlined). Layer ${layer}: AUROC ${interval(found?.auroc, 3)}, effect size (Cohen's d) ${interval(found?.effect, 2)}, Spearman with the judge's score ${fixed(found?.correlation ?? null, 2)}.</figcaption></figure>
<div class="pair">
<figure><h3>AUROC by layer</h3>${aurocChart(heldOut)}<figcaption>0.5 is chance.</figcaption></figure>
${sweep === null ? null : html`<figure><h3>Most trait by layer, steered</h3>${layerChart(sweep)}</figure>`}
</div>
<details><summary>The numbers</summary><div class="scroll"><table class="plain"><thead><tr><th class="number">layer</th><th class="number">AUROC</th><th class="number">effect size</th><th class="number">Spearman with the score</th></tr></thead>
<tbody>${heldOut.layers.map((one) => html`<tr><td class="number">${one.layer}</td><td class="number">${interval(one.auroc, 3)}</td><td class="number">${interval(one.effect, 2)}</td><td class="number">${fixed(one.correlation, 2)}</td></tr>`)}</tbody></table></div></details>`;
}

type Interval = HeldOut['layers'][number]['auroc'];

function interval(found: Interval | undefined, digits: number): string {
  if (found === undefined || found.value === null) return '–';
  if (found.lower === null) return fixed(found.value, digits);
  return `${fixed(found.value, digits)} (${fixed(found.lower, digits)} to ${fixed(found.upper, digits)})`;
}

function aurocChart({ layers }: HeldOut): SafeHtml {
  const points = layers.flatMap(({ layer, auroc }) =>
    auroc.value === null || layer === 0 ? [] : [[layer, auroc.value] as const],
  );
  return lineChart({
    title: 'AUROC of the projection by layer',
    series: [{ name: 'AUROC', points }],
    width: 440,
  });
}

/** The best score that a positive strength reaches at each layer with coherent text, beside the random direction's. */
function layerChart({ layers, trait, random, coherence_floor: floor }: Sweep): SafeHtml {
  const all = [...new Set([...layers, ...trait.map(({ layer }) => layer!)])].sort((a, b) => a - b);
  const best = (cells: Sweep['trait']): (readonly [number, number])[] =>
    all.flatMap((layer) => {
      const scores = cells.flatMap((cell) => {
        const fit = cell.layer === layer && cell.strength > 0 && (cell.coherence ?? 0) >= floor;
        return fit && cell.score !== null ? [cell.score] : [];
      });
      return scores.length === 0 ? [] : [[layer, Math.max(...scores)] as const];
    });
  const series = [
    { name: 'this vector', points: best(trait) },
    { name: 'a random direction', points: best(random) },
  ];
  return lineChart({ title: 'Highest coherent score by layer', series, width: 440, fromZero: true });
}

const BINS = 24;

/** Both poles over a common axis: full columns, and outlines in front of them. */
function histogram({ shown }: HeldOut): SafeHtml | null {
  const values = [...shown.positive, ...shown.negative];
  if (values.length === 0) return null;
  const [low, high, step] = roundRange(Math.min(...values), Math.max(...values));
  const [width, height, top, bottom] = [880, 210, 12, 168];
  const x = linear(low, high, 20, width - 20);
  const counts = (side: readonly number[]): number[] => {
    const bins = Array.from({ length: BINS }, () => 0);
    const size = (high - low) / BINS || 1;
    for (const value of side) bins[Math.min(BINS - 1, Math.floor((value - low) / size))]!++;
    return bins.map((count) => count / Math.max(side.length, 1));
  };
  const [positive, negative] = [counts(shown.positive), counts(shown.negative)];
  const y = linear(0, Math.max(...positive, ...negative), bottom, top);
  const column = (share: number, i: number, kind: string): SafeHtml | null => {
    if (share === 0) return null;
    const [from, to] = [x(low + ((high - low) * i) / BINS), x(low + ((high - low) * (i + 1)) / BINS)];
    return html`<rect class="${kind}" x="${px(from + 1)}" y="${px(y(share))}" width="${px(Math.max(to - from - 2, 1))}" height="${px(bottom - y(share))}"><title>${fixed(100 * share, 0)} % of the texts</title></rect>`;
  };
  const ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => low + i * step);
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="Projections of held-out texts under both instructions">
    ${positive.map((share, i) => column(share, i, 'bin pos'))}
    ${negative.map((share, i) => column(share, i, 'bin neg'))}
    <line class="axis" x1="20" x2="${width - 20}" y1="${bottom}" y2="${bottom}"/>
    ${ticks.map((tick) => html`<text class="tick middle" x="${px(x(tick))}" y="${bottom + 18}">${String(Number(tick.toPrecision(6))).replace('-', '−')}</text>`)}
    <text class="caption middle" x="${width / 2}" y="${height - 4}">projection on the vector at layer ${shown.layer}; columns: share of the pole's texts</text>
  </svg>`;
}
