import type { Positions } from '../engine/types.ts';
import type { Cell, Sweep } from '../store/result-schema.ts';
import type { Scores } from '../store/rollout-schema.ts';
import {
  type Condition,
  type NumberedQuestion,
  planConditions,
  randomDirection,
  summarise,
  untouched,
} from './condition.ts';
import type { Pole } from './poles.ts';
import type { PlannedRollout } from './rollouts.ts';
import { type StrengthUnit, coefficientOf } from './strength.ts';
import type { PersonaVector } from './vector.ts';

export interface SweepSettings {
  /** 1 … L. */
  readonly layers: readonly number[];
  readonly unit: StrengthUnit;
  /** Without 0, which is run once for all layers. */
  readonly strengths: readonly number[];
  /** Rollouts of a question in every cell. */
  readonly samples: number;
  readonly positions: Positions;
  /** Mean coherence below which a cell is not recommended. */
  readonly coherenceFloor: number;
  readonly seed: number;
}

export interface SweepPlan {
  readonly conditions: readonly Condition[];
  readonly rollouts: readonly PlannedRollout[];
  /** The numbers of the finished rollouts; `scores` in the order of `rollouts`. */
  readonly summarise: (scores: readonly Scores[]) => Sweep;
}

/**
 * The layer × strength sweep as one list of rollouts, which run in common batches: the trait's vector in every cell, a
 * random direction of the same norm in every cell, the model as it is, and the model under `prompts`, the trait's own
 * instructions.
 */
export function planSweep(
  prompts: Readonly<Record<Pole, readonly string[]>>,
  vector: PersonaVector,
  questions: readonly NumberedQuestion[],
  settings: SweepSettings,
): SweepPlan {
  const prompted = (pole: Pole): Condition => ({
    ...untouched,
    id: `prompt-${pole}`,
    systems: prompts[pole],
  });
  const conditions = [untouched, prompted('pos'), prompted('neg'), ...steered(vector, settings)];
  const { samples, positions } = settings;
  return {
    conditions,
    rollouts: planConditions(conditions, { step: 'sweep', questions, samples, positions }),
    summarise: (scores) => summariseSweep(conditions, questions, settings, scores),
  };
}

/** At most eight layers, evenly spread over 1 … `layers`, the last one among them. */
export function defaultLayers(layers: number): number[] {
  const count = Math.min(layers, 8);
  return Array.from({ length: count }, (_, i) => Math.round(((i + 1) * layers) / count));
}

function steered(vector: PersonaVector, settings: SweepSettings): Condition[] {
  return settings.layers.flatMap((layer) => {
    const random = randomDirection(vector.width, vector.norm(layer), settings.seed, 'sweep', layer);
    const cell = (direction: 'trait' | 'random', strength: number): Condition => ({
      id: `${direction}@${layer}*${strength}`,
      direction,
      draw: direction === 'random' ? 0 : null,
      layer,
      strength,
      coef: coefficientOf(vector, layer, strength, settings.unit),
      vector: direction === 'random' ? random : vector.row(layer),
      systems: [],
    });
    return settings.strengths.flatMap((strength) => [cell('trait', strength), cell('random', strength)]);
  });
}

function summariseSweep(
  conditions: readonly Condition[],
  questions: readonly NumberedQuestion[],
  settings: SweepSettings,
  scores: readonly Scores[],
): Sweep {
  const size = questions.length * settings.samples;
  const cells = conditions.map((condition, i) =>
    summarise(condition, scores.slice(i * size, (i + 1) * size)),
  );
  const [zero, pos, neg, ...rest] = cells as [Cell, Cell, Cell, ...Cell[]];
  const trait = rest.filter((cell) => cell.direction === 'trait');
  const recommended = recommend(trait, settings.coherenceFloor);
  return {
    positions: settings.positions,
    questions: questions.map(({ index }) => index),
    samples: settings.samples,
    layers: [...settings.layers],
    unit: settings.unit,
    strengths: [...settings.strengths],
    coherence_floor: settings.coherenceFloor,
    zero,
    prompts: { pos, neg },
    trait,
    random: rest.filter((cell) => cell.direction === 'random'),
    recommended,
    layer: recommended?.layer ?? layerOfLargestGain(trait, settings),
  };
}

/** The highest mean score that a positive strength reaches with coherent text; of equals, the weaker and earlier. */
function recommend(cells: readonly Cell[], floor: number): Cell | null {
  const fit = cells.filter(
    (cell) => cell.strength > 0 && cell.score !== null && (cell.coherence ?? 0) >= floor,
  );
  const better = (a: Cell, b: Cell): number =>
    b.score! - a.score! || a.strength - b.strength || a.layer! - b.layer!;
  return fit.sort(better)[0] ?? null;
}

function layerOfLargestGain(cells: readonly Cell[], settings: SweepSettings): number {
  const [low, high] = [Math.min(...settings.strengths), Math.max(...settings.strengths)];
  const scoreAt = (layer: number, strength: number): number =>
    cells.find((cell) => cell.layer === layer && cell.strength === strength)?.score ?? 0;
  const gain = (layer: number): number => scoreAt(layer, high) - scoreAt(layer, low);
  return settings.layers.reduce(
    (best, layer) => (gain(layer) > gain(best) ? layer : best),
    settings.layers[0]!,
  );
}
