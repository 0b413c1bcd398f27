import { type SafeHtml, fixed, html } from '../util/html.ts';
import { matrixTable } from '../util/report-tables.ts';
import { describeFinding } from './finding.ts';
import { doseChart } from './report-charts.ts';
import { doseTable, findingSection } from './report-dose.ts';
import type { OtherValidation, ReportData } from './report.ts';
import { heatMaps } from './report-sweep.ts';

/** Cosine of every vector with every other at one layer. */
export interface CosineMatrix {
  readonly layer: number;
  readonly names: readonly string[];
  /** Null where one of them has no direction. */
  readonly values: readonly (readonly (number | null)[])[];
}

/** The trait's vector by another protocol: other tokens, added elsewhere. */
export function besideSection({ vector, validation }: OtherValidation, data: ReportData): SafeHtml {
  const { dose, sweep, heldOut, positions } = validation;
  const { model, pooling } = vector.metadata;
  const finding = describeFinding({ trait: data.trait.name, model, judge: '', ...validation });
  const shown = heldOut?.layers.find(({ layer }) => layer === heldOut.shown.layer);
  return html`<h2>By another protocol: <code>${pooling}</code> added at <code>${positions}</code></h2>
<p class="lead">${protocolWords(pooling, positions)} The same questions and random numbers.${shown === undefined ? null : ` Held-out AUROC at layer ${shown.layer}: ${fixed(shown.auroc.value, 3)}.`}</p>
${findingSection(finding)}
${dose === null ? null : html`<figure>${doseChart(dose, dose.points.find(({ strength }) => strength === 0)?.score ?? null)}<figcaption>Dose response at layer ${dose.layer}.</figcaption></figure><details><summary>The numbers</summary>${doseTable(dose)}</details>`}
${sweep === null ? null : heatMaps(sweep)}`;
}

function protocolWords(pooling: string, positions: string): string {
  if (pooling === 'response_mean' && positions === 'response')
    return "The paper's: the mean over a reply's tokens, added at all of them.";
  if (positions === 'boundary')
    return 'The mean over the tokens at which a sentence begins, added there only: where small models decide what comes.';
  return '';
}

/** Cosines with other vectors of the same model. */
export function cosineSection(cosines: CosineMatrix | null): SafeHtml | null {
  if (cosines === null) return null;
  const { layer, names, values } = cosines;
  return html`<h2>Beside other vectors</h2>
<p class="lead">Cosine at layer ${layer}. Near 0: steering by one leaves the other alone, as far as directions tell; near 1: they are one direction.</p>
<figure class="scroll">${matrixTable({ rows: names, columns: names, value: (i, j) => values[i]![j]! })}</figure>`;
}
