import * as paper from '../../persona/experiments/paper.ts';
import type { MonitoringExperiment } from '../../persona/experiments/monitoring.ts';
import type { PoolingExperiment } from '../../persona/experiments/poolings.ts';
import type { SteeringExperiment } from '../../persona/experiments/steering.ts';
import type { DosePoint } from '../../persona/experiments/steering-results.ts';
import { unitNames } from '../../persona/strength.ts';
import type { Cell, DoseResponse, Sweep } from '../../store/result-schema.ts';
import { type SafeHtml, fixed, html } from '../../util/html.ts';
import { type ChartSeries, lineChart } from '../../util/line-chart.ts';
import { matrixTable, plainTable } from '../../util/report-tables.ts';
import { scatterChart } from '../../util/scatter-chart.ts';
import { numberText } from './compare.ts';
import type { ExtractedTrait, ExtractionData } from './run-vectors.ts';

/** Charts that stand side by side. */
const width = 430;

/** A curve through the points that have a value, in rising x. */
function curve<T>(
  name: string,
  points: readonly T[],
  at: (point: T) => readonly [number, number | null],
): ChartSeries {
  return {
    name,
    points: points
      .map(at)
      .flatMap(([x, y]) => (y === null ? [] : [[x, y] as const]))
      .toSorted(([a], [b]) => a - b),
  };
}

/** Layers, dose responses and cosines of all traits. */
export function extractionFigures({ traits, cosines }: ExtractionData, layers: number): SafeHtml {
  return html`<h3>Every trait</h3>
<figure class="scroll">${traitTable(traits, layers)}<figcaption>Layer: where a coherent text has most of the trait, on questions that do not report; the paper's of ${paper.modelLayers.join(' and ')} layers (${paper.bestLayers.source}). Chosen: score and coherence of that choice on the other questions. AUROC: held-out texts under both poles' instructions, at that layer.</figcaption></figure>
<h3>Score by layer at equal strength (${paper.bestLayers.source})</h3>
<div class="pair">${traits.flatMap(({ trait, sweep }) => (sweep === null ? [] : [layerFigure(trait, sweep)]))}</div>
<h3>Score by strength at the chosen layer (${paper.doseResponse.source})</h3>
<div class="pair">${traits.flatMap(({ trait, dose }) => (dose === null ? [] : [doseFigure(trait, dose)]))}</div>
${cosines === null ? null : cosineFigure(cosines)}`;
}

function traitTable(traits: readonly ExtractedTrait[], layers: number): SafeHtml {
  return plainTable(
    [
      'trait',
      'finding',
      'pairs kept',
      'layer',
      'the paper: Qwen, Llama',
      'unsteered',
      'highest',
      'chosen',
      'AUROC',
    ],
    traits.map(({ trait, finding, kept, pairs, sweep, dose, heldOut }) => {
      const theirs = paper.bestLayers.values[trait];
      const scores = dose?.points.flatMap(({ score }) => score ?? []) ?? [];
      const layer = sweep?.recommended?.layer ?? null;
      const auroc = heldOut?.find((one) => one.layer === layer)?.auroc.value ?? null;
      return [
        trait,
        finding.label,
        `${kept} of ${pairs}`,
        layer === null ? '–' : `${layer} (${fixed(layer / layers, 2)})`,
        theirs === undefined
          ? '–'
          : theirs.map((one, i) => `${one} (${fixed(one / paper.modelLayers[i]!, 2)})`).join(', '),
        fixed(dose?.points.find(({ strength }) => strength === 0)?.score ?? null),
        scores.length === 0 ? '–' : fixed(Math.max(...scores)),
        both(dose?.chosen ?? null),
        fixed(auroc, 3),
      ];
    }),
    2,
  );
}

function both(cell: Cell | null): string {
  return cell === null ? '–' : `${fixed(cell.score)} / ${fixed(cell.coherence)}`;
}

function layerFigure(trait: string, sweep: Sweep): SafeHtml {
  // Four curves are told apart: the highest strengths, where most happens.
  const strengths = sweep.strengths
    .filter((one) => one > 0)
    .toSorted((a, b) => a - b)
    .slice(-4);
  const series = strengths.map((strength) =>
    curve(
      `strength ${strength}`,
      sweep.trait.filter((cell) => cell.strength === strength),
      ({ layer, score }) => [layer!, score],
    ),
  );
  const chart = lineChart({ title: `${trait}: score by layer`, series, width, fromZero: true });
  return html`<figure><h3>${trait}</h3>${chart}</figure>`;
}

function doseFigure(trait: string, dose: DoseResponse): SafeHtml {
  const { coefs, scores } = paper.doseResponse.values;
  const theirs = dose.unit === 'coef' ? scores[trait] : undefined;
  const series = [
    curve('score', dose.points, ({ strength, score }) => [strength, score]),
    curve('coherence', dose.points, ({ strength, coherence }) => [strength, coherence]),
    ...(theirs === undefined
      ? []
      : [
          curve(`score, ${paper.doseResponse.on} (a replication)`, coefs, (coef) => [
            coef,
            theirs[coefs.indexOf(coef)]!,
          ]),
        ]),
  ];
  const chart = lineChart({
    title: `${trait}: score and coherence by strength`,
    series,
    width,
    fromZero: true,
  });
  const interval = dose.random_interval;
  const random =
    interval === null
      ? null
      : ` Gain ${fixed(dose.gain)}; 95 % of random directions: ${fixed(interval.lower)} to ${fixed(interval.upper)}.`;
  return html`<figure><h3>${trait}, layer ${dose.layer}</h3>${chart}<figcaption>Strength: ${unitNames[dose.unit]}.${random}</figcaption></figure>`;
}

function cosineFigure({ layer, names, values }: NonNullable<ExtractionData['cosines']>): SafeHtml {
  const below = (i: number, j: number): string => {
    const theirs = paper.vectorCosines.values[`${names[i]} ${names[j]}`];
    return theirs === undefined ? '' : `${fixed(theirs[0], 2)}, ${fixed(theirs[1], 2)}`;
  };
  return html`<h3>Cosines of the vectors at layer ${layer}</h3>
<figure class="scroll">${matrixTable({ rows: names, columns: names, value: (i, j) => values[i]![j]!, below })}<figcaption>Small: the paper's, on ${paper.vectorCosines.on}.</figcaption></figure>`;
}

/** Score by length for every pooling. */
export function poolingFigures(results: readonly PoolingExperiment[]): SafeHtml {
  const figure = ({ trait, layer, positions, points, unsteered }: PoolingExperiment): SafeHtml => {
    const names = [...new Set(points.map(({ pooling }) => pooling))];
    const series = names.map((name) =>
      curve(
        name,
        points.filter(({ pooling }) => pooling === name),
        ({ length, score }) => [length, score],
      ),
    );
    return html`<figure><h3>${trait}</h3>${lineChart({ title: `${trait}: score by length`, series, width, fromZero: true })}<figcaption>Layer ${layer}, added at ${positions}; unsteered ${fixed(unsteered.score)}.</figcaption></figure>`;
  };
  const rows = results.flatMap(({ trait, points }) =>
    points.map(({ pooling, length, score, coherence }) => [
      trait,
      pooling,
      String(length),
      fixed(score),
      fixed(coherence),
    ]),
  );
  return html`<p class="lead">Directions of equal length from the means over different tokens, added to a model that is told nothing. Length: in those of the response mean's vector. In the paper the response mean steers most, ahead of the prompt mean and the last prompt token.</p>
<div class="pair">${results.map(figure)}</div>
<details><summary>The numbers</summary><div class="scroll">${plainTable(['trait', 'pooling', 'length', 'score', 'coherence'], rows, 2)}</div></details>`;
}

/** What −α does to a prompted model, and what caps and conversations add. */
export function steeringFigures(results: readonly SteeringExperiment[]): SafeHtml {
  return html`<p class="lead">A model that is told to show the trait, steered away from it. Besides, as later work asks: a cap on the projection where ordinary replies seldom reach, and conversations.</p>
<div class="pair">${results.map(suppressionFigure)}</div>
<figure class="scroll">${capTable(results)}<figcaption>Score / coherence of the model that is told to show the trait; in ordinary replies, the share that the cap leaves as they were; last turn: of conversations that are steered towards the trait, with the history read clean and steered.</figcaption></figure>`;
}

function suppressionFigure({ trait, layer, doses, spearman }: SteeringExperiment): SafeHtml {
  const own = doses.filter(({ side }) => side === 'prompted');
  const at = (value: (point: DosePoint) => number | null) => (point: DosePoint) =>
    [point.strength, value(point)] as const;
  const series = [
    curve(
      'score',
      own.filter(({ direction }) => direction !== 'random'),
      at(({ score }) => score),
    ),
    curve(
      'score, random',
      own.filter(({ direction }) => direction !== 'trait'),
      at(({ score }) => score),
    ),
    curve(
      'coherence',
      own.filter(({ direction }) => direction !== 'random'),
      at(({ coherence }) => coherence),
    ),
  ];
  const chart = lineChart({ title: `${trait}: score by strength, prompted`, series, width, fromZero: true });
  return html`<figure><h3>${trait}, layer ${layer}</h3>${chart}<figcaption>Spearman of strength and score ${fixed(spearman.prompted, 2)}.</figcaption></figure>`;
}

function capTable(results: readonly SteeringExperiment[]): SafeHtml {
  return plainTable(
    ['trait', 'prompted', 'with the cap', 'ordinary unchanged', 'last turn, clean', 'last turn, steered'],
    results.map(({ trait, cap, conversations: { points } }) => {
      const treatment = (name: string) => cap.treatments.find((one) => one.name === name);
      const last = Math.max(...points.map(({ turn }) => turn));
      const turn = (arm: string): string => {
        const point = points.find((one) => one.arm === arm && one.turn === last);
        return point === undefined ? '–' : `${fixed(point.score)} / ${fixed(point.coherence)}`;
      };
      const pair = (name: string): string => {
        const one = treatment(name)?.prompted;
        return one === undefined ? '–' : `${fixed(one.score)} / ${fixed(one.coherence)}`;
      };
      const same = treatment('cap')?.ordinary.same ?? null;
      return [
        trait,
        pair('none'),
        pair('cap'),
        same === null ? '–' : `${fixed(100 * same, 0)} %`,
        turn('clean history'),
        turn('steered history'),
      ];
    }),
  );
}

const methodNames = { system: 'graded prompts', shots: 'exemplars' } as const;

/** Table 2, and the points behind it. */
export function monitoringFigures(results: readonly MonitoringExperiment[]): SafeHtml {
  const rows = results.flatMap(({ trait, methods }) =>
    methods.map(({ method, overall, within, random, points }) => {
      const theirs = paper.monitoring.values[trait]?.[method];
      const text = ({ r, lower, upper }: typeof overall): string => numberText({ value: r, lower, upper }, 2);
      return [
        trait,
        methodNames[method],
        String(points),
        text(overall),
        fixed(theirs?.overall ?? null, 2),
        text(within),
        fixed(theirs?.within ?? null, 2),
        fixed(random.r95, 2),
      ];
    }),
  );
  const head = ['trait', 'method', 'points', 'r', 'the paper', 'within', 'the paper', 'random |r|, 95 %'];
  const notes = [...new Set(results.flatMap(({ trait, notes }) => notes.map((line) => `${trait}: ${line}`)))];
  return html`<p class="lead">Pearson's r between the projection of the last prompt token and the mean score of the replies (${paper.monitoring.source}); within: the mean over conditions whose scores vary. The layer, ${results[0]?.layer ?? 0}, was fixed beforehand.</p>
<figure class="scroll">${plainTable(head, rows, 2)}</figure>
${notes.length === 0 ? null : html`<ul class="note">${notes.map((line) => html`<li>${line}</li>`)}</ul>`}
<div class="pair">${results.map(pointsFigure)}</div>`;
}

function pointsFigure({ trait, points }: MonitoringExperiment): SafeHtml {
  const groups = (['system', 'shots'] as const).map((method) => ({
    name: methodNames[method],
    points: points.flatMap(({ condition, question, projection, score, ...point }) =>
      point.method === method && score !== null
        ? [{ name: `${condition}, question ${question + 1}`, x: projection, y: score }]
        : [],
    ),
  }));
  const chart = scatterChart({
    title: `${trait}: score by projection`,
    x: 'projection before the reply',
    y: 'score',
    width,
    groups,
  });
  return html`<figure><h3>${trait}</h3>${chart}</figure>`;
}
