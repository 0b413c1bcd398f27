import type { Intervention, Positions } from '../engine/types.ts';
import type { Cell } from '../store/result-schema.ts';
import type { Scores } from '../store/rollout-schema.ts';
import { randomStream } from '../util/random.ts';
import type { PlannedRollout } from './rollouts.ts';
import { chunksOf } from '../util/chunks.ts';
import { groupedMean } from './statistics.ts';
import { type PersonaVector, euclideanNorm } from './vector.ts';

/** One way to run the evaluation questions: steered, steered at random, prompted, or left alone. */
export interface Condition {
  /** Names it in keys and files. */
  readonly id: string;
  readonly direction: 'trait' | 'random' | 'none';
  readonly draw: number | null;
  readonly layer: number | null;
  /** In the unit of its step. */
  readonly strength: number;
  readonly coef: number;
  /** What is added `coef` times, `[width]`; null adds nothing. */
  readonly vector: Float32Array | null;
  /** Instructions to prompt with, taken in turn; empty for none. */
  readonly systems: readonly string[];
}

/** A question, with its place in the trait's list. */
export interface NumberedQuestion {
  readonly index: number;
  readonly text: string;
}

export interface EvaluationPlan {
  /** Names the random numbers, so that two steps do not share them. */
  readonly step: string;
  readonly questions: readonly NumberedQuestion[];
  readonly samples: number;
  readonly positions: Positions;
}

/** The model as it is. */
export const untouched: Condition = {
  id: 'zero',
  direction: 'none',
  draw: null,
  layer: null,
  strength: 0,
  coef: 0,
  vector: null,
  systems: [],
};

/**
 * Every condition × question × sample. Conditions share the random numbers of a (question, sample), so that two
 * texts of the same place differ by what was added alone, and differences of means are less noisy.
 */
export function planConditions(conditions: readonly Condition[], plan: EvaluationPlan): PlannedRollout[] {
  return conditions.flatMap((condition) => {
    const interventions = interventionsOf(condition, plan.positions);
    return plan.questions.flatMap(({ index, text }, place) =>
      Array.from({ length: plan.samples }, (_, sample): PlannedRollout => {
        const ids = { condition: condition.id, question: index, sample };
        const system = condition.systems[(place + sample) % condition.systems.length] ?? null;
        const stream = `${plan.step}/${index}/${sample}`;
        return { key: Object.values(ids).join('/'), ids, system, question: text, stream, interventions };
      }),
    );
  });
}

/**
 * Means over the rollouts of a condition, with intervals that draw whole questions again.
 *
 * @param scores In planned order: `samples` of the first question, then of the next.
 * @param vector Whose direction was added, for the units of strength.
 */
export function summarise(
  condition: Condition,
  scores: readonly Scores[],
  samples: number,
  vector: PersonaVector,
): Cell {
  const { id, direction, draw, layer, strength, coef } = condition;
  const norm = layer === null ? null : coef * vector.norm(layer);
  const residual = layer === null ? undefined : vector.metadata.residualNorms?.[layer];
  return {
    condition: id,
    direction,
    draw,
    layer,
    strength,
    coef,
    norm,
    fraction: norm === null || residual === undefined || residual === 0 ? null : norm / residual,
    ...measuredOf(scores, samples),
  };
}

/** What a cell has measured: mean scores with their intervals, and of how many texts. */
export type Measured = Pick<
  Cell,
  'score' | 'lower' | 'upper' | 'coherence' | 'coherence_lower' | 'coherence_upper' | 'rollouts' | 'unscored'
>;

/** Means over scores in planned order, with intervals that draw whole questions, of `samples` scores each, again. */
export function measuredOf(scores: readonly Scores[], samples: number): Measured {
  const questions = chunksOf(scores, samples);
  const traits = questions.map((replies) => replies.flatMap(({ trait }) => (trait === null ? [] : [trait])));
  const coherences = questions.map((replies) =>
    replies.flatMap(({ coherence }) => (coherence === null ? [] : [coherence])),
  );
  const [score, coherence] = [groupedMean(traits), groupedMean(coherences)];
  return {
    score: score.mean,
    lower: score.lower,
    upper: score.upper,
    coherence: coherence.mean,
    coherence_lower: coherence.lower,
    coherence_upper: coherence.upper,
    rollouts: scores.length,
    unscored: scores.length - traits.flat().length,
  };
}

/** A direction drawn evenly from all directions, scaled to `norm`: `[width]`. */
export function randomDirection(
  width: number,
  norm: number,
  ...name: readonly (string | number)[]
): Float32Array {
  const stream = randomStream('random-direction', ...name);
  const values = Float64Array.from({ length: width }, () => stream.normal());
  const scale = norm / euclideanNorm(values);
  return Float32Array.from(values, (value) => value * scale);
}

function interventionsOf(condition: Condition, positions: Positions): readonly Intervention[] {
  const { layer, coef, vector } = condition;
  if (vector === null || layer === null || coef === 0) return [];
  return [{ layer, vector, coef, positions }];
}
