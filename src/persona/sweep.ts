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

/** A grid's cells as one list of rollouts, which run in common batches. */
export interface SweepPlan {
  readonly conditions: readonly Condition[];
  readonly rollouts: readonly PlannedRollout[];
  /** The numbers of the finished rollouts; `scores` in the order of `rollouts`. */
  readonly summarise: (scores: readonly Scores[]) => Sweep;
}

/**
 * The layer × strength sweep: the trait's vector in every cell, a random direction of the same norm in every cell, the model
 * as it is, and the model under `prompts`, the trait's own instructions.
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
  const grid = gridOf(settings.layers, settings.strengths);
  const conditions = [untouched, prompted('pos'), prompted('neg'), ...steered(vector, settings, grid)];
  return planOf(conditions, vector, questions, settings, (cells) => {
    const [zero, pos, neg, ...rest] = cells as [Cell, Cell, Cell, ...Cell[]];
    return settle({
      positions: settings.positions,
      questions: questions.map(({ index }) => index),
      samples: settings.samples,
      layers: [...settings.layers],
      unit: settings.unit,
      strengths: [...settings.strengths],
      coherence_floor: settings.coherenceFloor,
      zero,
      prompts: { pos, neg },
      trait: rest.filter((cell) => cell.direction === 'trait'),
      random: rest.filter((cell) => cell.direction === 'random'),
      fine: [],
    });
  });
}

/**
 * The second pass: around the best cell of a sweep, the strengths halfway to its neighbours and the layers between the
 * swept ones. Null where nothing lies between. Its summary is the whole sweep, those cells among the others.
 */
export function planRefinement(
  sweep: Sweep,
  vector: PersonaVector,
  questions: readonly NumberedQuestion[],
  settings: SweepSettings,
): SweepPlan | null {
  const grid = gridAround(sweep, vector.usableLayers);
  if (grid.length === 0) return null;
  return planOf(steered(vector, settings, grid), vector, questions, settings, (cells) => {
    const of = (direction: Cell['direction']): Cell[] => cells.filter((cell) => cell.direction === direction);
    const fine = of('trait');
    return settle({
      ...sweep,
      trait: [...sweep.trait, ...fine],
      random: [...sweep.random, ...of('random')],
      fine: fine.map(({ condition }) => condition),
    });
  });
}

/** Layers and strengths of the cells of a grid. */
type Grid = readonly { readonly layer: number; readonly strength: number }[];

function gridOf(layers: readonly number[], strengths: readonly number[]): Grid {
  return layers.flatMap((layer) => strengths.map((strength) => ({ layer, strength })));
}

/** Most layers on either side of the best that a second pass looks at. */
const NEAR_LAYERS = 2;

function gridAround(sweep: Sweep, usable: readonly number[]): Grid {
  const best = sweep.recommended;
  const positive = sweep.strengths.filter((strength) => strength > 0).sort((a, b) => a - b);
  if (positive.length === 0) return [];
  // Where nothing was coherent, weaker than the weakest is what is left to try.
  const at = best?.strength ?? positive[0]! / 2;
  const [weaker, stronger] = [positive.findLast((s) => s < at) ?? 0, positive.find((s) => s > at)];
  const strengths = [
    ...new Set([...(best === null ? [at] : []), (weaker + at) / 2, (at + (stronger ?? at)) / 2]),
  ];
  const swept = [...sweep.layers].sort((a, b) => a - b);
  const [below, above] = [swept.findLast((l) => l < sweep.layer) ?? 0, swept.find((l) => l > sweep.layer)];
  const between = usable.filter((layer) => {
    const inside = layer > below && layer < (above ?? sweep.layer + 1) && layer !== sweep.layer;
    return inside && Math.abs(layer - sweep.layer) <= NEAR_LAYERS;
  });
  const cells = [
    ...gridOf([sweep.layer, ...between], strengths),
    ...gridOf(between, best === null ? [] : [best.strength]),
  ];
  const known = new Set(sweep.trait.map(({ layer, strength }) => `${layer}*${strength}`));
  return cells.filter(({ layer, strength }) => {
    const name = `${layer}*${strength}`;
    // The strongest cell has no neighbour above, so its own strength may come up twice.
    const isNew = !known.has(name);
    known.add(name);
    return isNew;
  });
}

function planOf(
  conditions: readonly Condition[],
  vector: PersonaVector,
  questions: readonly NumberedQuestion[],
  { samples, positions }: SweepSettings,
  collect: (cells: readonly Cell[]) => Sweep,
): SweepPlan {
  const size = questions.length * samples;
  return {
    conditions,
    rollouts: planConditions(conditions, { step: 'sweep', questions, samples, positions }),
    summarise: (scores) =>
      collect(
        conditions.map((condition, i) =>
          summarise(condition, scores.slice(i * size, (i + 1) * size), samples, vector),
        ),
      ),
  };
}

/** At most eight layers, evenly spread over 1 … `layers`, the last one among them. */
export function defaultLayers(layers: number): number[] {
  const count = Math.min(layers, 8);
  return Array.from({ length: count }, (_, i) => Math.round(((i + 1) * layers) / count));
}

function steered(vector: PersonaVector, settings: SweepSettings, grid: Grid): Condition[] {
  const layers = [...new Set(grid.map(({ layer }) => layer))];
  // One list a direction and layer: rows that share it share their prefill.
  const directions = new Map(
    layers.map((layer) => {
      const norm = vector.norm(layer);
      const random = randomDirection(vector.width, norm, settings.seed, 'sweep', layer);
      return [layer, { trait: vector.direction(layer), random }] as const;
    }),
  );
  return grid.flatMap(({ layer, strength }) =>
    (['trait', 'random'] as const).map((direction) => ({
      id: `${direction}@${layer}*${strength}`,
      direction,
      draw: direction === 'random' ? 0 : null,
      layer,
      strength,
      coef: coefficientOf(vector, layer, strength, settings.unit),
      vector: directions.get(layer)![direction],
      systems: [],
    })),
  );
}

/** Chooses among the cells: the recommendation, and the layer that it or the largest gain is at. */
function settle(sweep: Omit<Sweep, 'recommended' | 'layer'>): Sweep {
  const recommended = recommend(sweep.trait, sweep.coherence_floor);
  return { ...sweep, recommended, layer: recommended?.layer ?? layerOfLargestGain(sweep.trait, sweep) };
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

function layerOfLargestGain(cells: readonly Cell[], settings: Pick<Sweep, 'layers' | 'strengths'>): number {
  const [low, high] = [Math.min(...settings.strengths), Math.max(...settings.strengths)];
  const scoreAt = (layer: number, strength: number): number =>
    cells.find((cell) => cell.layer === layer && cell.strength === strength)?.score ?? 0;
  const gain = (layer: number): number => scoreAt(layer, high) - scoreAt(layer, low);
  return settings.layers.reduce(
    (best, layer) => (gain(layer) > gain(best) ? layer : best),
    settings.layers[0]!,
  );
}
