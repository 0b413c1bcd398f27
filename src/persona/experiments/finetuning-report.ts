import { armPaths } from '../../store/arm-files.ts';
import { writeWhole } from '../../store/files.ts';
import { type SafeHtml, fixed, html } from '../../util/html.ts';
import { lineChart } from '../../util/line-chart.ts';
import { scatterChart } from '../../util/scatter-chart.ts';
import { reportPage } from '../../util/report-page.ts';
import type { FinetuningResult, GridModel } from './finetuning.ts';

/** The paper's r of shift and own score over its 24 models: Qwen2.5-7B-Instruct, Llama-3.1-8B-Instruct (its Figure 20). */
const paperCorrelations: Readonly<Record<string, readonly [number, number]>> = {
  evil: [0.826, 0.93],
  sycophantic: [0.758, 0.893],
  hallucinating: [0.916, 0.967],
  impolite: [0.862, 0.944],
  apathetic: [0.839, 0.936],
  humorous: [0.811, 0.908],
  optimistic: [0.865, 0.961],
};

/** The grid as one HTML page. */
function renderFinetuningReport(result: FinetuningResult): string {
  const { model, layer, models, traits } = result;
  return reportPage({
    title: `Fine-tuning of ${model}: shifts and scores`,
    overline: 'Experiment · fine-tuning',
    heading: model,
    body: html`<p class="lead">${models.length - 1} models, each fine-tuned on one data set and then asked every trait's evaluation questions without any instruction. The finetuning shift is measured before a word is said: how far the last prompt token's residual stream has moved along the trait's vector, at layer ${layer}.</p>
<h2>Does the shift tell the score?</h2>
<p class="lead">Pearson's r over the models. A trait's own data sets carry much of it, so the last column leaves them out.</p>
<figure class="scroll">${ownTable(result)}</figure>
<div class="pair">${traits.map((trait) => html`<figure><h3>${trait}</h3>${scatter(models.slice(1), trait)}</figure>`)}</div>
<h2>Across traits</h2>
<p class="lead">Rows: trait of the shift; columns: trait of the behaviour.</p>
<figure class="scroll">${matrix(result)}</figure>
<h2>By layer</h2>
<figure>${lineChart({ title: 'r of shift and own score by layer', series: traits.map((trait) => ({ name: trait, points: result.byLayer[trait]!.flatMap((r, i) => (r === null ? [] : [[i + 1, r] as const])) })) })}</figure>
<h2>The models</h2>
<p class="lead">Mean trait scores (0 to 100) with coherence and capability. A trait that rises where the data do not show it is an unintended shift.</p>
<figure class="scroll">${modelTable(result)}</figure>`,
  });
}

function ownTable({ correlations, traits }: FinetuningResult): SafeHtml {
  const rows = traits.map((trait) => {
    const { r, interval, others } = correlations.find(
      ({ shift, behaviour }) => shift === trait && behaviour === trait,
    )!;
    const paper = paperCorrelations[trait];
    const range = interval === null ? '–' : `${fixed(interval.lower, 2)} to ${fixed(interval.upper, 2)}`;
    return html`<tr><td>${trait}</td><td class="number">${fixed(r, 2)}</td><td class="number">${range}</td><td class="number">${fixed(others, 2)}</td><td class="number">${paper === undefined ? '–' : `${fixed(paper[0], 2)}, ${fixed(paper[1], 2)}`}</td></tr>`;
  });
  return html`<table class="plain"><thead><tr><th>trait</th><th class="number">r</th><th class="number">95 % interval</th><th class="number">r without its own data</th><th class="number">the paper: Qwen, Llama</th></tr></thead><tbody>${rows}</tbody></table>`;
}

function scatter(models: readonly GridModel[], trait: string): SafeHtml {
  const groups = [...new Set(models.map(({ variant }) => variant))];
  return scatterChart({
    title: `${trait}: score over shift`,
    x: 'shift',
    y: 'trait score',
    width: 430,
    groups: groups.map((variant) => ({
      name: variant,
      points: models
        .filter((one) => one.variant === variant && one.scores[trait]!.score !== null)
        .map((one) => ({ name: one.name, x: one.shifts[trait] ?? 0, y: one.scores[trait]!.score! })),
    })),
  });
}

function matrix({ correlations, traits }: FinetuningResult): SafeHtml {
  const cell = (shift: string, behaviour: string): SafeHtml => {
    const { r } = correlations.find((one) => one.shift === shift && one.behaviour === behaviour)!;
    const depth = Math.abs(r ?? 0).toFixed(2);
    return html`<td class="${(r ?? 0) >= 0 ? 'up' : 'down'}" style="--depth:${depth}">${fixed(r, 2)}</td>`;
  };
  return html`<table class="heat"><thead><tr><th></th>${traits.map((name) => html`<th>${name.slice(0, 6)}</th>`)}</tr></thead><tbody>${traits.map((shift) => html`<tr><th>${shift.slice(0, 6)}</th>${traits.map((behaviour) => cell(shift, behaviour))}</tr>`)}</tbody></table>`;
}

function modelTable({ models, traits }: FinetuningResult): SafeHtml {
  const row = (one: GridModel): SafeHtml => {
    const scores = traits.map((trait) => html`<td class="number">${fixed(one.scores[trait]!.score, 0)}</td>`);
    const accuracy = one.capability?.accuracy ?? null;
    return html`<tr><td>${one.name}</td>${scores}<td class="number">${fixed(one.coherence, 0)}</td><td class="number">${accuracy === null ? '–' : `${fixed(100 * accuracy)} %`}</td></tr>`;
  };
  return html`<table class="plain"><thead><tr><th>model</th>${traits.map((trait) => html`<th class="number">${trait.slice(0, 6)}</th>`)}<th class="number">coherence</th><th class="number">capability</th></tr></thead><tbody>${models.map(row)}</tbody></table>`;
}

/** Writes the page beside the results, and gives its path. */
export async function writeFinetuningReport(folder: string, result: FinetuningResult): Promise<string> {
  const file = armPaths.report(folder);
  await writeWhole(file, renderFinetuningReport(result));
  return file;
}
