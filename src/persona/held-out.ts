import type { HeldOut } from '../store/result-schema.ts';
import type { ScoredRollout } from '../store/rollout-schema.ts';
import { dot } from '../util/vectors.ts';
import type { Pole } from './poles.ts';
import type { NumberedQuestion } from './condition.ts';
import { bootstrapInterval } from './bootstrap.ts';
import { type PlannedRollout, planExtraction } from './rollouts.ts';
import { areaUnderCurve, effectSize, spearman } from './statistics.ts';
import type { PersonaVector } from './vector.ts';

/** Resamples behind the intervals of a layer; every one of them ranks all rollouts again. */
const RESAMPLES = 400;

/** Rollouts under both poles' instructions, to questions that the vector was not made of. */
export function planHeldOut(
  systems: Readonly<Record<Pole, readonly string[]>>,
  questions: readonly NumberedQuestion[],
  samples: number,
): PlannedRollout[] {
  const plan = planExtraction(
    systems,
    questions.map(({ text }) => text),
    samples,
  );
  // Streams of their own: with the extraction's, a question in the same place would get the same random numbers.
  return plan.map((rollout) => ({ ...rollout, stream: `held-out/${rollout.key}` }));
}

/** One held-out rollout, projected on the vector at every layer. */
export interface ProjectedRollout {
  readonly pole: Pole;
  readonly question: number;
  readonly score: number | null;
  /** (a·v)/‖v‖ by layer, `[L+1]`; null where the vector is zero. */
  readonly projections: readonly (number | null)[];
}

/**
 * Projects a rollout's pooled activations.
 *
 * @param activations `[L+1, width]`.
 */
export function projectRollout(
  { ids, scores }: Pick<ScoredRollout, 'ids' | 'scores'>,
  activations: Float32Array,
  vector: PersonaVector,
): ProjectedRollout {
  const { width, layers } = vector;
  const projections = Array.from({ length: layers + 1 }, (_, layer) => {
    const norm = vector.norm(layer);
    const row = activations.subarray(layer * width, (layer + 1) * width);
    return norm === 0 ? null : dot(row, vector.row(layer)) / norm;
  });
  return {
    pole: ids['pole'] === 'pos' ? 'pos' : 'neg',
    question: Number(ids['question']),
    score: scores.trait,
    projections,
  };
}

/**
 * How well the projection tells the poles apart, layer by layer, with intervals that draw whole questions again. A vector
 * can do so perfectly and still not steer: this chooses no layer.
 */
export function summariseHeldOut(
  rollouts: readonly ProjectedRollout[],
  options: Pick<HeldOut, 'pooling' | 'questions' | 'samples'> & { readonly shownLayer: number },
): HeldOut {
  const count = (pole: Pole): number => rollouts.filter((rollout) => rollout.pole === pole).length;
  const layers = rollouts[0]?.projections.length ?? 0;
  const { shownLayer, ...rest } = options;
  return {
    ...rest,
    positive: count('pos'),
    negative: count('neg'),
    layers: Array.from({ length: layers }, (_, layer) => ({ layer, ...separation(rollouts, layer) })),
    shown: {
      layer: shownLayer,
      positive: projectionsOf(rollouts, 'pos', shownLayer),
      negative: projectionsOf(rollouts, 'neg', shownLayer),
    },
  };
}

function separation(
  rollouts: readonly ProjectedRollout[],
  layer: number,
): Pick<HeldOut['layers'][number], 'auroc' | 'effect' | 'correlation'> {
  const questions = [...new Set(rollouts.map(({ question }) => question))];
  const groups = questions.map((question) => {
    const own = rollouts.filter((rollout) => rollout.question === question);
    return { pos: projectionsOf(own, 'pos', layer), neg: projectionsOf(own, 'neg', layer) };
  });
  const measured = (statistic: (pos: number[], neg: number[]) => number | null) => {
    const of = (draw: Int32Array): number | null => {
      const drawn = Array.from(draw, (i) => groups[i]!);
      return statistic(
        drawn.flatMap(({ pos }) => pos),
        drawn.flatMap(({ neg }) => neg),
      );
    };
    const options = { name: [groups.length], resamples: RESAMPLES };
    const ends = bootstrapInterval(groups.length, (draw) => of(draw) ?? NaN, options);
    const value = of(Int32Array.from(groups.keys()));
    return { value, lower: ends?.lower ?? null, upper: ends?.upper ?? null };
  };
  const scored = rollouts.flatMap(({ score, projections }) => {
    const projection = projections[layer] ?? null;
    return score === null || projection === null ? [] : [{ score, projection }];
  });
  return {
    auroc: measured(areaUnderCurve),
    effect: measured(effectSize),
    correlation: spearman(
      scored.map(({ projection }) => projection),
      scored.map(({ score }) => score),
    ),
  };
}

function projectionsOf(rollouts: readonly ProjectedRollout[], pole: Pole, layer: number): number[] {
  return rollouts.flatMap((rollout) => {
    const value = rollout.projections[layer] ?? null;
    return rollout.pole === pole && value !== null ? [value] : [];
  });
}
