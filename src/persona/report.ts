import type { Directions, DoseResponse, Sweep } from '../store/result-schema.ts';
import type { ScoredRollout } from '../store/rollout-schema.ts';
import type { Recipe } from '../store/run-folder.ts';
import { type FilterCounts, dropReasons } from './filter.ts';
import { describeKept, describeUnscored, reasonNames } from './filter-words.ts';
import { type Finding, describeFinding } from './finding.ts';
import { doseChart, gainChart, normChart } from './report-charts.ts';
import { SafeHtml, fixed, html, signed } from '../util/html.ts';
import { reportPage } from '../util/report-page.ts';
import { directionsSection } from './report-directions.ts';
import { sweepSection } from './report-sweep.ts';
import { transcriptSection } from './report-texts.ts';
import type { Trait } from './trait.ts';
import type { PersonaVector } from './vector.ts';

/** All that a report shows. Nothing of it depends on when or in how many sittings the run was made. */
export interface ReportData {
  readonly trait: Trait;
  readonly vector: PersonaVector;
  readonly counts: FilterCounts;
  readonly directions: Directions | null;
  readonly sweep: Sweep | null;
  readonly sweepRows: readonly ScoredRollout[];
  readonly dose: DoseResponse | null;
  readonly doseRows: readonly ScoredRollout[];
  readonly judge: string;
  readonly recipe: Recipe;
  readonly package: { readonly name: string; readonly version: string };
}

/**
 * The report of a run: one HTML page without scripts that asks for nothing from elsewhere. Names, texts and options
 * come from outside and are escaped, and a content policy forbids what would slip through.
 */
export function renderReport(data: ReportData): string {
  const { trait, vector } = data;
  const { model } = vector.metadata;
  const finding = describeFinding({ ...data, trait: trait.name, model });
  const body = html`<p class="overline">Persona vector · ${model}</p>
<h1>${trait.name}${trait.opposite === null ? null : html` <span class="against">against ${trait.opposite}</span>`}</h1>
${trait.description === null ? null : html`<p class="lead">${trait.description}</p>`}
${findingSection(finding)}
${tiles(data)}
${doseSection(data)}
${data.sweep === null ? null : sweepSection(data.sweep)}
${transcriptSection(data)}
${vectorSection(vector)}
${directionsSection(data.directions)}
${filterSection(data.counts)}
${recipeSection(data)}
<footer>${data.package.name} ${data.package.version}. All numbers of this page lie beside it as JSON, all texts as JSON lines.</footer>`;
  return reportPage(`${trait.name} in ${model}: persona vector`, body);
}

const tones: Readonly<Record<Finding['verdict'], string>> = {
  steers: 'good',
  breaks: 'warn',
  uneven: 'warn',
  opposite: 'bad',
  none: 'bad',
  unmeasured: 'plain',
};
const signs: Readonly<Record<Finding['verdict'], string>> = {
  steers: '✓',
  breaks: '!',
  uneven: '!',
  opposite: '✗',
  none: '✗',
  unmeasured: '–',
};

function findingSection({ verdict, label, headline, remarks }: Finding): SafeHtml {
  return html`<section class="finding tone-${tones[verdict]}">
<div class="verdict">${signs[verdict]} ${label}</div>
<p>${headline}</p>
${remarks.length === 0 ? null : html`<ul>${remarks.map((remark) => html`<li>${remark}</li>`)}</ul>`}
</section>`;
}

function tiles({ dose, sweep, counts }: ReportData): SafeHtml {
  const interval = dose?.random_interval ?? null;
  const best = sweep?.recommended ?? null;
  return html`<dl class="tiles">
${tile('Gain, lowest to highest strength', fixed(dose?.gain ?? null), interval === null ? 'not measured' : `random directions: ${fixed(interval.lower)} to ${fixed(interval.upper)}`)}
${tile('Spearman, strength and score', fixed(dose?.spearman ?? null, 3), dose === null ? 'not measured' : `${dose.strengths.length} strengths, ${dose.points[0]?.rollouts ?? 0} texts each`)}
${tile('Recommended', best === null ? '–' : `layer ${best.layer}, ${signed(best.strength)}`, best === null ? 'no cell is coherent, or none was run' : `coefficient ${fixed(best.coef, 2)}; score ${fixed(best.score)}, coherence ${fixed(best.coherence)}`)}
${tile('Kept', describeKept(counts), counts.mode === 'paired' ? `${fixed((100 * counts.kept) / Math.max(counts.pairs, 1), 0)} % of the sampled pairs` : 'each text for itself')}
</dl>`;
}

function tile(name: string, value: string, below: string): SafeHtml {
  return html`<div class="tile"><dt>${name}</dt><dd>${value}<small>${below}</small></dd></div>`;
}

function doseSection({ dose, sweep, vector }: ReportData): SafeHtml | null {
  if (dose === null) return null;
  const gains = gainChart(dose);
  const zero = dose.points.find(({ strength }) => strength === 0)?.score ?? null;
  const apart =
    sweep === null
      ? 'on openings that the extraction never saw'
      : 'on openings that neither the extraction nor the choice of the layer saw';
  return html`<h2>Dose response</h2>
<p class="lead">Strengths fixed beforehand, at layer ${dose.layer} (<code>resid_post</code> of block ${dose.layer} of ${vector.layers}), ${dose.points[0]?.rollouts ?? 0} sampled texts at each, ${apart}.</p>
<figure>${doseChart(dose, zero)}
<figcaption><span class="key"></span>this vector, with 95 % intervals of the mean &ensp; <span class="key random"></span>${dose.random.length} random directions of the same length, at the two ends (${dose.random[0]?.low.rollouts ?? 0} texts each) &ensp; <span class="key zero"></span>unsteered</figcaption></figure>
${gains === null ? null : html`<figure>${gains}<figcaption>Diamond: this vector. Dots: random directions. Shaded: where 95 % of further random directions would fall (mean ± t · s · √(1 + 1/n)). ${rankSentence(dose)}</figcaption></figure>`}
<details><summary>The numbers</summary>${doseTable(dose)}</details>`;
}

function rankSentence(dose: DoseResponse): string {
  if (dose.p_value === null) return '';
  const rank = Math.round(dose.p_value * (dose.random.length + 1));
  return `By size, this vector's gain is number ${rank} of ${dose.random.length + 1}.`;
}

function doseTable(dose: DoseResponse): SafeHtml {
  return html`<div class="scroll"><table class="plain"><thead><tr><th class="number">strength</th><th class="number">coefficient</th><th class="number">mean score</th><th class="number">95 % interval</th><th class="number">coherence</th><th class="number">texts</th><th class="number">not scored</th></tr></thead>
<tbody>${dose.points.map((p) => html`<tr><td class="number">${signed(p.strength)}</td><td class="number">${fixed(p.coef, 3)}</td><td class="number">${fixed(p.score)}</td><td class="number">${fixed(p.lower)} to ${fixed(p.upper)}</td><td class="number">${fixed(p.coherence)}</td><td class="number">${p.rollouts}</td><td class="number">${p.unscored}</td></tr>`)}</tbody></table></div>`;
}

function vectorSection(vector: PersonaVector): SafeHtml {
  const norms = Array.from({ length: vector.layers + 1 }, (_, layer) => vector.norm(layer));
  const { recommendedLayer, pooling } = vector.metadata;
  return html`<h2>The vector</h2>
<p class="lead">Difference of the mean activations (<code>${pooling}</code>) of kept positive and negative texts, raw, at every layer: layer l is the residual stream after block l of ${vector.layers}, before the final norm; layer 0 is the embeddings.</p>
<figure>${normChart(norms, recommendedLayer)}<figcaption>Norm by layer${recommendedLayer === null ? '' : '; the recommended layer is coloured'}. ${relativeNorm(vector)}</figcaption></figure>`;
}

function relativeNorm({ metadata }: PersonaVector): string {
  const { residualNorms } = metadata;
  if (residualNorms === null) return '';
  const list = residualNorms.map((norm) => norm.toPrecision(3)).join(', ');
  return `The residual stream itself (mean norm in the same pooling, by layer): ${list}.`;
}

function filterSection(counts: FilterCounts): SafeHtml {
  const paired = counts.mode === 'paired';
  const { pos, neg } = counts.poles;
  const all = paired ? counts.pairs : pos.sampled + neg.sampled;
  const rows = [
    { name: 'kept', count: paired ? counts.kept : pos.kept + neg.kept, kept: true },
    ...dropReasons.map((reason) => ({
      name: reasonNames[reason],
      count: counts.dropped[reason],
      kept: false,
    })),
  ].filter(({ count, kept }) => count > 0 || kept);
  const share = (count: number): number => (100 * count) / Math.max(all, 1);
  const rule = paired
    ? 'A pair is one instruction, question and sample under both poles; if one of its texts fails, both are dropped. A pair counts under its first reason.'
    : 'Every text stands for itself, and counts under the first reason that it was dropped for.';
  return html`<h2>Filter</h2>
<p class="lead">${rule} Kept: ${pos.kept} of ${pos.sampled} positive and ${neg.kept} of ${neg.sampled} negative texts. Not scored by the judge, and so in no mean: ${describeUnscored(counts)}.</p>
<figure><table class="plain"><tbody>${rows.map(({ name, count, kept }) => html`<tr><td>${name}</td><td class="number">${count}</td><td class="number">${fixed(share(count))} %</td><td class="share"><span${kept ? new SafeHtml(' class="kept"') : null} style="width:${fixed(share(count), 2)}%"></span></td></tr>`)}</tbody></table></figure>`;
}

function recipeSection({ recipe, vector, trait }: ReportData): SafeHtml {
  const rows = Object.entries(recipe).map(([name, value]) => [name, plainValue(value)] as const);
  return html`<h2>Recipe</h2>
<p class="lead">What decides these results. Equal options on the same machine end in the same files.</p>
<figure class="scroll"><table class="plain"><tbody>
<tr><td>layer contract</td><td>row l: residual stream after block l (counted from 1), before the final norm; row 0: embeddings</td></tr>
<tr><td>vector</td><td>${vector.layers + 1} × ${vector.width}, float32, not normalised</td></tr>
<tr><td>questions</td><td>${trait.questions.length} to extract, ${trait.evaluationQuestions.length} to measure, none in common</td></tr>
${rows.map(([name, value]) => html`<tr><td>${name.replaceAll('_', ' ')}</td><td>${value}</td></tr>`)}
</tbody></table></figure>`;
}

function plainValue(value: Recipe[string] | undefined): string {
  if (Array.isArray(value)) return value.map(plainValue).join(', ');
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .map(([name, inner]) => `${name.replaceAll('_', ' ')} ${plainValue(inner)}`)
      .join(' · ');
  }
  return value === null || value === undefined ? '–' : String(value);
}
