import * as paper from '../../persona/experiments/paper.ts';
import type { MonitoringExperiment } from '../../persona/experiments/monitoring.ts';
import type { PoolingExperiment } from '../../persona/experiments/poolings.ts';
import type { SteeringExperiment } from '../../persona/experiments/steering.ts';
import { STEERING_SPEARMAN } from '../../persona/dose-response.ts';
import { pearson } from '../../persona/statistics.ts';
import type { DoseResponse } from '../../store/result-schema.ts';
import { fixed } from '../../util/html.ts';
import {
  type Comparison,
  type Named,
  bounded,
  holds,
  inOrder,
  isHighest,
  sameSign,
  withinRange,
} from './compare.ts';
import type { ExtractedTrait, ExtractionData } from './run-vectors.ts';

/** Layers, steering and cosines beside the paper's. */
export function compareExtraction({ traits, cosines }: ExtractionData, layers: number): Comparison[] {
  return [
    ...traits.flatMap((one) => compareTrait(one, layers)),
    ...(cosines === null ? [] : comparePattern(cosines)),
  ];
}

function compareTrait({ trait, sweep, dose }: ExtractedTrait, layers: number): Comparison[] {
  const { from, to } = paper.bestDepth.values;
  const part = 'extraction' as const;
  const depth = sweep?.recommended == null ? null : sweep.layer / layers;
  const best = withinRange(
    { part, table: paper.bestDepth, trait, subject: 'best layer as a share of the depth' },
    { value: depth },
    [from, to],
  );
  if (dose === null) return sweep === null ? [] : [best];
  const { halfMaximum } = paper.doseResponse.values;
  const half = dose.unit === 'coef' ? halfMaximumOf(dose) : null;
  return [
    ...(sweep === null ? [] : [best]),
    holds(
      { part, table: paper.scoresRise, trait, subject: 'the score rises with the coefficient' },
      {
        ours: `Spearman ${fixed(dose.spearman, 2)}`,
        paper: 'rises',
        rule: `order: Spearman's correlation of strength and score is at least ${STEERING_SPEARMAN}`,
        is: dose.spearman === null ? null : dose.spearman >= STEERING_SPEARMAN,
      },
    ),
    bounded(
      { part, table: paper.steeringReach, trait, subject: 'the highest score by steering' },
      { value: highest(dose) },
      { least: paper.steeringReach.values },
    ),
    bounded(
      { part, table: paper.steeredCoherence, trait, subject: 'coherence at the chosen strength' },
      { value: dose.chosen?.coherence ?? null },
      { least: paper.steeredCoherence.values.postHoc },
    ),
    ...(dose.unit === 'coef'
      ? [
          holds(
            { part, table: paper.doseResponse, trait, subject: 'coefficient of half the highest score' },
            {
              ours: fixed(half, 2),
              paper: `about ${fixed(halfMaximum, 1)}`,
              rule: "size: ours lies between half and twice the paper's",
              is: half === null ? null : half >= halfMaximum / 2 && half <= 2 * halfMaximum,
            },
          ),
        ]
      : []),
  ];
}

function highest({ points }: DoseResponse): number | null {
  const scores = points.flatMap(({ score }) => score ?? []);
  return scores.length === 0 ? null : Math.max(...scores);
}

/** Where the score first crosses half of its highest value, by straight lines between strengths above 0. */
export function halfMaximumOf(dose: DoseResponse): number | null {
  const most = highest(dose);
  if (most === null) return null;
  const curve = dose.points
    .filter(({ strength, score }) => strength >= 0 && score !== null)
    .map(({ coef, score }): [number, number] => [coef, score!])
    .sort(([a], [b]) => a - b);
  for (let i = 1; i < curve.length; i++) {
    const [[x0, y0], [x1, y1]] = [curve[i - 1]!, curve[i]!];
    if (y0 < most / 2 && y1 >= most / 2) return x0 + ((most / 2 - y0) / (y1 - y0)) * (x1 - x0);
  }
  return null;
}

/** Pairs of traits must be few enough to tell a pattern from chance. */
const LEAST_PAIRS = 6;

function comparePattern({ names, values }: NonNullable<ExtractionData['cosines']>): Comparison[] {
  const pairs = names.flatMap((a, i) =>
    names.slice(i + 1).flatMap((b, k) => {
      const theirs = paper.vectorCosines.values[`${a} ${b}`];
      const ours = values[i]![i + 1 + k] ?? null;
      return theirs === undefined || ours === null ? [] : [{ ours, theirs: (theirs[0] + theirs[1]) / 2 }];
    }),
  );
  if (pairs.length < LEAST_PAIRS) return [];
  const r = pearson(
    pairs.map(({ ours }) => ours),
    pairs.map(({ theirs }) => theirs),
  );
  return [
    holds(
      {
        part: 'extraction',
        table: paper.vectorCosines,
        subject: `which vectors lie near each other (${pairs.length} pairs)`,
      },
      {
        ours: `r ${fixed(r, 2)} with the mean of the paper's two models`,
        paper: 'the same pattern in both models',
        rule: 'pattern: r of our cosines with theirs is at least 0.5',
        is: r === null ? null : r >= 0.5,
      },
    ),
  ];
}

/** Which pooling steers most. */
export function comparePoolings(results: readonly PoolingExperiment[]): Comparison[] {
  return results.map(({ trait, points }) => {
    const best = (name: string): Named => {
      const scores = points.flatMap(({ pooling, score }) => (pooling === name ? (score ?? []) : []));
      return [name, scores.length === 0 ? null : Math.max(...scores)];
    };
    return isHighest(
      {
        part: 'poolings',
        table: paper.strongestPooling,
        trait,
        subject: 'the highest score at equal lengths',
      },
      [best(paper.strongestPooling.values), best('prompt_mean'), best('prompt_last')],
    );
  });
}

/** Whether steering away takes a prompted trait away. */
export function compareSteering(results: readonly SteeringExperiment[]): Comparison[] {
  return results.map(({ trait, spearman }) =>
    sameSign(
      {
        part: 'steering',
        table: paper.suppression,
        trait,
        subject: 'Spearman of −α and the score where the trait is asked for',
      },
      { value: spearman.prompted },
      [1],
    ),
  );
}

const methodNames = { system: 'graded prompts', shots: 'exemplars' } as const;

/** The correlations of Table 2. */
export function compareMonitoring(results: readonly MonitoringExperiment[]): Comparison[] {
  return results.flatMap(({ trait, methods }) =>
    methods.flatMap(({ method, overall, within }): Comparison[] => {
      const theirs = paper.monitoring.values[trait]?.[method];
      const place = (what: string, table: { source: string; by: paper.Origin; on: string }) => ({
        part: 'monitoring' as const,
        table,
        trait,
        subject: `${methodNames[method]}: ${what}`,
      });
      const ours = (one: typeof overall) => ({ value: one.r, lower: one.lower, upper: one.upper });
      const order = inOrder(
        place('r over all against r within conditions', paper.withinIsWeaker),
        [
          ['over all', overall.r],
          ['within', within.r],
        ],
        2,
      );
      if (theirs === undefined) return [order];
      return [
        sameSign(place('sign of r', paper.monitoring), ours(overall), [theirs.overall]),
        withinRange(place('r', paper.monitoring), ours(overall), [theirs.overall]),
        withinRange(place('r within conditions', paper.monitoring), ours(within), [theirs.within]),
        order,
      ];
    }),
  );
}
