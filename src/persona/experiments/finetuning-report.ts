import { armPaths } from '../../store/arm-files.ts';
import { writeWhole } from '../../store/files.ts';
import { type SafeHtml, fixed, html } from '../../util/html.ts';
import { lineChart } from '../../util/line-chart.ts';
import { scatterChart } from '../../util/scatter-chart.ts';
import { reportPage } from '../../util/report-page.ts';
import { matrixTable, plainTable } from '../../util/report-tables.ts';
import type { FinetuningResult, GridModel } from './finetuning.ts';
import { shiftCorrelations } from './paper.ts';

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
<figure class="scroll">${shiftTable(result)}</figure>
<div class="pair">${traits.map((trait) => html`<figure><h3>${trait}</h3>${shiftScatter(models.slice(1), trait)}</figure>`)}</div>
<h2>Across traits</h2>
<p class="lead">Rows: trait of the shift; columns: trait of the behaviour.</p>
<figure class="scroll">${shiftMatrix(result)}</figure>
<h2>By layer</h2>
<figure>${lineChart({ title: 'r of shift and own score by layer', series: traits.map((trait) => ({ name: trait, points: result.byLayer[trait]!.flatMap((r, i) => (r === null ? [] : [[i + 1, r] as const])) })) })}</figure>
<h2>The models</h2>
<p class="lead">Mean trait scores (0 to 100) with coherence and capability. A trait that rises where the data do not show it is an unintended shift.</p>
<figure class="scroll">${gridTable(result)}</figure>`,
  });
}

/** r of every trait's shift with its own score, beside the paper's. */
export function shiftTable({ correlations, traits }: FinetuningResult): SafeHtml {
  const rows = traits.map((trait) => {
    const { r, interval, others } = correlations.find(
      ({ shift, behaviour }) => shift === trait && behaviour === trait,
    )!;
    const paper = shiftCorrelations.values[`${trait} ${trait}`];
    return [
      trait,
      fixed(r, 2),
      interval === null ? '–' : `${fixed(interval.lower, 2)} to ${fixed(interval.upper, 2)}`,
      fixed(others, 2),
      paper === undefined ? '–' : `${fixed(paper[0], 2)}, ${fixed(paper[1], 2)}`,
    ];
  });
  return plainTable(
    ['trait', 'r', '95 % interval', 'r without its own data', 'the paper: Qwen, Llama'],
    rows,
  );
}

/** A trait's score over its shift, model by model. */
export function shiftScatter(models: readonly GridModel[], trait: string): SafeHtml {
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

/** r of every trait's shift with every trait's score; with the paper's below where `withPaper` is. */
export function shiftMatrix({ correlations, traits }: FinetuningResult, withPaper = false): SafeHtml {
  const short = traits.map((name) => name.slice(0, 6));
  const found = (i: number, j: number) =>
    correlations.find(({ shift, behaviour }) => shift === traits[i] && behaviour === traits[j])!;
  return matrixTable({
    rows: short,
    columns: short,
    value: (i, j) => found(i, j).r,
    ...(withPaper && {
      below: (i, j) => {
        const paper = shiftCorrelations.values[`${traits[i]} ${traits[j]}`];
        return paper === undefined ? '' : `${fixed(paper[0], 2)}, ${fixed(paper[1], 2)}`;
      },
    }),
  });
}

/** Every model's scores, coherence and capability. */
export function gridTable({ models, traits }: FinetuningResult): SafeHtml {
  return plainTable(
    ['model', ...traits.map((trait) => trait.slice(0, 6)), 'coherence', 'capability'],
    models.map((one) => {
      const accuracy = one.capability?.accuracy ?? null;
      return [
        one.name,
        ...traits.map((trait) => fixed(one.scores[trait]!.score, 0)),
        fixed(one.coherence, 0),
        accuracy === null ? '–' : `${fixed(100 * accuracy)} %`,
      ];
    }),
  );
}

/** Writes the page beside the results, and gives its path. */
export async function writeFinetuningReport(folder: string, result: FinetuningResult): Promise<string> {
  const file = armPaths.report(folder);
  await writeWhole(file, renderFinetuningReport(result));
  return file;
}
