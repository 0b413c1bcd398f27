import type { Cell, Directions, DoseResponse } from '../store/result-schema.ts';
import type { Recipe } from '../store/run-folder.ts';
import { type FilterCounts, dropReasons } from './filter.ts';
import { describeKept, describeUnscored, reasonNames } from './filter-words.ts';
import { describeFinding } from './finding.ts';
import { normChart } from './report-charts.ts';
import { doseSection, findingSection, strengthInUnits } from './report-dose.ts';
import { aurocAt, heldOutSection } from './report-held-out.ts';
import { type CosineMatrix, besideSection, cosineSection } from './report-beside.ts';
import { SafeHtml, fixed, html, signed } from '../util/html.ts';
import { reportPage, tile } from '../util/report-page.ts';
import { directionsSection } from './report-directions.ts';
import { sweepSection } from './report-sweep.ts';
import { transcriptSection } from './report-texts.ts';
import type { Trait } from './trait.ts';
import type { Validation } from './validation-steps.ts';
import type { PersonaVector } from './vector.ts';

/** All that a report shows. Nothing of it depends on when or in how many sittings the run was made. */
export interface ReportData {
  readonly trait: Trait;
  readonly vector: PersonaVector;
  readonly counts: FilterCounts;
  readonly directions: Directions | null;
  /** By the vector's own protocol. */
  readonly validation: Validation;
  /** By other protocols. */
  readonly beside: readonly OtherValidation[];
  /** With other vectors, at one layer; null where none were named. */
  readonly cosines: CosineMatrix | null;
  readonly judge: string;
  readonly recipe: Recipe;
  readonly package: { readonly name: string; readonly version: string };
}

/** The same trait's vector of other tokens, added elsewhere. */
export interface OtherValidation {
  readonly vector: PersonaVector;
  readonly validation: Validation;
}

/**
 * The report of a run: one HTML page without scripts that asks for nothing from elsewhere. Names, texts and options
 * come from outside and are escaped, and a content policy forbids what would slip through.
 */
export function renderReport(data: ReportData): string {
  const { trait, vector } = data;
  const { model } = vector.metadata;
  const finding = describeFinding({ ...data.validation, judge: data.judge, trait: trait.name, model });
  const against =
    trait.opposite === null ? null : html` <span class="against">against ${trait.opposite}</span>`;
  const body = html`${trait.description === null ? null : html`<p class="lead">${trait.description}</p>`}
${findingSection(finding)}
${tiles(data)}
${doseSection(data.validation, vector)}
${data.validation.sweep === null ? null : sweepSection(data.validation.sweep)}
${transcriptSection(data)}
${data.validation.heldOut === null ? null : heldOutSection(data.validation.heldOut, data.validation.sweep)}
${data.beside.map((other) => besideSection(other, data))}
${vectorSection(vector)}
${cosineSection(data.cosines)}
${directionsSection(data.directions)}
${filterSection(data.counts)}
${recipeSection(data)}
<footer>${data.package.name} ${data.package.version}. All numbers of this page lie beside it as JSON, all texts as JSON lines.</footer>`;
  const title = `${trait.name} in ${model}: persona vector`;
  return reportPage({
    title,
    overline: `Persona vector · ${model}`,
    heading: html`${trait.name}${against}`,
    body,
  });
}

function tiles({ validation: { dose, sweep, heldOut }, counts }: ReportData): SafeHtml {
  const interval = dose?.random_interval ?? null;
  const best = sweep?.recommended ?? null;
  const kept =
    counts.mode === 'paired'
      ? `${fixed((100 * counts.kept) / Math.max(counts.pairs, 1), 0)} % of the sampled pairs`
      : 'each text for itself';
  return html`<dl class="tiles">
${tile('Gain, lowest to highest strength', fixed(dose?.gain ?? null), interval === null ? 'not measured' : `random directions: ${fixed(interval.lower)} to ${fixed(interval.upper)}`)}
${tile('Spearman, strength and score', fixed(dose?.spearman ?? null, 3), dose === null ? 'not measured' : rankedOver(dose))}
${tile('Chosen', best === null ? '–' : `layer ${best.layer}, ${signed(best.strength)}`, best === null ? 'no cell is coherent, or none was run' : strengthInUnits(best))}
${tile('The choice, on the other questions', fixed(dose?.chosen?.score ?? null), chosenBelow(dose?.chosen ?? null))}
${heldOut === null ? null : tile('AUROC, held-out texts', fixed(aurocAt(heldOut)?.value ?? null, 3), `projection at layer ${heldOut.shown.layer}; effect size ${fixed(heldOut.layers[heldOut.shown.layer]?.effect.value ?? null, 2)}`)}
${tile('Kept', describeKept(counts), kept)}
</dl>`;
}

function rankedOver({ breaking, strengths, points }: DoseResponse): string {
  const within = breaking.above === null && breaking.below === null ? '' : ', up to where text breaks';
  return `${strengths.length} strengths, ${points[0]?.rollouts ?? 0} texts each${within}`;
}

function chosenBelow(chosen: Cell | null): string {
  if (chosen === null) return 'not measured';
  return `${fixed(chosen.lower)} to ${fixed(chosen.upper)}; coherence ${fixed(chosen.coherence)}`;
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
  return html`<h2>Manifest</h2>
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
