import * as paper from '../../persona/experiments/paper.ts';
import type { FinetuningResult } from '../../persona/experiments/finetuning.ts';
import {
  gridTable,
  shiftMatrix,
  shiftScatter,
  shiftTable,
} from '../../persona/experiments/finetuning-report.ts';
import { type SafeHtml, fixed, html } from '../../util/html.ts';
import { lineChart } from '../../util/line-chart.ts';
import { plainTable } from '../../util/report-tables.ts';
import { scatterChart } from '../../util/scatter-chart.ts';
import type { MitigateResult } from '../mitigate/mitigate.ts';
import { armTable, tradeOff } from '../mitigate/report.ts';
import type { ScreenedTraitResult, ScreeningExperimentResult, SubsetName } from '../screen/experiment.ts';
import { subsetNames } from '../screen/experiment.ts';
import { numberText } from './compare.ts';

const width = 430;

/** Scores of the grid, shifts against scores, and the matrix across traits. */
export function finetuningFigures(result: FinetuningResult): SafeHtml {
  const { models, traits, layer, byLayer } = result;
  const series = traits.slice(0, 4).map((trait) => ({
    name: trait,
    points: byLayer[trait]!.flatMap((r, i) => (r === null ? [] : [[i + 1, r] as const])),
  }));
  return html`<p class="lead">${models.length - 1} models, one a data set. Shift: how far the last prompt token has moved along a trait's vector, at layer ${layer}, which was fixed beforehand.</p>
<h3>Scores after training</h3>
<figure class="scroll">${gridTable(result)}</figure>
<h3>r of shift and score (Figures 6 and 20)</h3>
<figure class="scroll">${shiftTable(result)}</figure>
<div class="pair">${traits.map((trait) => html`<figure><h3>${trait}</h3>${shiftScatter(models.slice(1), trait)}</figure>`)}</div>
<h3>Across traits (Figure 20)</h3>
<figure class="scroll">${shiftMatrix(result, true)}<figcaption>Rows: trait of the shift; columns: of the score. Small: the paper's, on ${paper.shiftCorrelations.on}.</figcaption></figure>
<h3>r by layer</h3>
<figure>${lineChart({ title: 'r of shift and own score by layer', series })}</figure>`;
}

/** Treatments trait by trait. */
export function mitigationFigures(results: readonly MitigateResult[]): SafeHtml {
  return html`<p class="lead">The severe data set of each trait, trained on under each treatment. Of several strengths the one that half of the questions chose is shown; scores are those of the other half.</p>
${results.map(
  (one) =>
    html`<h3>${one.trait}, layer ${one.layer}</h3><figure class="scroll">${armTable(one.arms.filter(({ chosen }) => chosen))}</figure><div class="pair"><figure><h3>Post-hoc steering (Figure 7)</h3>${postHocChart(one)}</figure><figure><h3>Trait against what the model can do</h3>${tradeOff(one, width)}</figure></div><details><summary>Every strength</summary><div class="scroll">${armTable(one.arms)}</div></details>`,
)}
<figure class="scroll">${preventedTable(results)}<figcaption>Share of the rise that is gone. A replication's, on ${paper.trainedSteered.on}: at one layer, with coefficient 5 and with the direction taken out.</figcaption></figure>`;
}

function postHocChart({ trait, arms }: MitigateResult): SafeHtml {
  const own = arms.filter(({ name, treatment }) => name === 'plain' || treatment.startsWith('post-hoc'));
  const { coefs, scores } = paper.postHoc.values;
  const theirs = scores[trait];
  const rising = <T extends readonly [number, number]>(points: T[]): T[] =>
    points.toSorted(([a], [b]) => a - b);
  return lineChart({
    title: `${trait}: score by coefficient`,
    width,
    fromZero: true,
    series: [
      {
        name: 'score',
        points: rising(
          own.flatMap(({ strength, scores: all }) => {
            const { score } = all[trait]!;
            return score === null ? [] : [[-(strength ?? 0), score] as const];
          }),
        ),
      },
      ...(theirs === undefined
        ? []
        : [
            {
              name: `${paper.postHoc.on} (a replication)`,
              points: rising(coefs.map((coef, i) => [coef, theirs[i]!] as const)),
            },
          ]),
    ],
  });
}

function preventedTable(results: readonly MitigateResult[]): SafeHtml {
  const share = (value: number | null | undefined): string =>
    value == null ? '–' : `${fixed(100 * value, 0)} %`;
  return plainTable(
    ['trait', 'preventative, one', 'a replication', 'all', 'CAFT, one', 'a replication', 'all'],
    results.map(({ trait, arms }) => {
      const chosen = (treatment: string) =>
        arms.find((arm) => arm.chosen && arm.treatment === treatment)?.removed;
      const theirs = paper.trainedSteered.values[trait];
      const before = paper.baseScores.values[trait] ?? 0;
      const left = (score: number | undefined): number | null =>
        theirs === undefined || score === undefined ? null : (theirs.plain - score) / (theirs.plain - before);
      return [
        trait,
        share(chosen('preventative steering, one layer')),
        share(left(theirs?.preventative)),
        share(chosen('preventative steering, all layers')),
        share(chosen('CAFT, one layer')),
        share(left(theirs?.ablated)),
        share(chosen('CAFT, all layers')),
      ];
    }),
  );
}

/** What screening foretold, by each way of it, and what training on its extremes did. */
export function screeningFigures({ traits, layer, subset }: ScreeningExperimentResult): SafeHtml {
  return html`<p class="lead">Every data set of the grid, screened at layer ${layer}: Pearson's r over data sets of the mean difference with the score after training on it, by each way of screening.</p>
<figure class="scroll">${foretoldTable(traits)}<figcaption>With 95 % intervals over data sets; in the second line the paper's (${[paper.screenedFull, paper.screenedPromptLast, paper.screenedRaw, paper.differenceAndShift].map(({ source }) => source).join(', ')}).</figcaption></figure>
<div class="pair">${traits.map(setFigure)}</div>
<h3>Severe rows against normal ones, by the projection alone (Figure 9)</h3>
<figure class="scroll">${separationTable(traits)}<figcaption>AUROC. A replication's, on ${paper.separation.on}: ${Object.entries(
    paper.separation.values,
  )
    .map(([trait, value]) => `${trait} ${value}`)
    .join(', ')}.</figcaption></figure>
<h3>Training on the highest, random and lowest ${subset} samples (Section 6.3)</h3>
<figure class="scroll">${subsetTable(traits)}</figure>`;
}

function foretoldTable(traits: readonly ScreenedTraitResult[]): SafeHtml {
  const rows = traits.flatMap(({ name, estimates, shift }) => {
    const ours = (mode: string): string => {
      const one = estimates.find((estimate) => estimate.mode === mode);
      return numberText({ value: one?.r ?? null, ...one?.interval }, 2);
    };
    const theirs = (value: number | readonly number[] | undefined): string =>
      value === undefined
        ? '–'
        : [value]
            .flat()
            .map((one) => fixed(one, 2))
            .join(', ');
    return [
      [
        name,
        ...['full', 'prompt-last', 'raw'].map(ours),
        numberText({ value: shift.r, ...shift.interval }, 2),
      ],
      [
        'the paper',
        `${fixed(paper.screenedFull.values[0], 2)} to ${fixed(paper.screenedFull.values[1], 2)}`,
        theirs(paper.screenedPromptLast.values[name]),
        theirs(paper.screenedRaw.values[name]),
        theirs(paper.differenceAndShift.values[name]),
      ],
    ];
  });
  return plainTable(
    ['trait', 'difference', 'by the last prompt token', 'projection alone', 'difference and shift'],
    rows,
  );
}

function setFigure({ name, sets }: ScreenedTraitResult): SafeHtml {
  const families = [...new Set(sets.map(({ family }) => (family === name ? name : 'other data')))];
  const chart = scatterChart({
    title: `${name}: score by difference`,
    x: 'mean projection difference',
    y: 'score after training',
    width,
    groups: families.map((family) => ({
      name: family,
      points: sets.flatMap(({ set, difference, score, ...one }) =>
        score !== null && (one.family === name) === (family === name)
          ? [{ name: set, x: difference, y: score }]
          : [],
      ),
    })),
  });
  return html`<figure><h3>${name}</h3>${chart}</figure>`;
}

function separationTable(traits: readonly ScreenedTraitResult[]): SafeHtml {
  const families = [...new Set(traits.flatMap(({ separations }) => separations.map(({ family }) => family)))];
  return plainTable(
    ['trait', ...families],
    traits.map(({ name, separations }) => [
      name,
      ...families.map((family) => fixed(separations.find((one) => one.family === family)?.auroc ?? null, 3)),
    ]),
  );
}

function subsetTable(traits: readonly ScreenedTraitResult[]): SafeHtml {
  const text = ({ score, interval }: ScreenedTraitResult['base']): string =>
    numberText({ value: score, lower: interval?.lower, upper: interval?.upper }, 1);
  return plainTable(
    ['trait', 'untrained', ...subsetNames],
    traits.map(({ name, base, subsets }) => [
      name,
      text(base),
      ...subsetNames.map((one: SubsetName) => text(subsets[one])),
    ]),
  );
}
