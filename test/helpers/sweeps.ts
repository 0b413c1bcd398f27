import type { Cell, Sweep } from '../../src/store/result-schema.ts';

/** A sweep of scores and coherences by layer and strength; its cell of layer 2 and strength 1 is the chosen one. */
export function sweepOf(
  grid: readonly {
    readonly layer: number;
    readonly strength: number;
    readonly score: number;
    readonly coherence: number;
  }[],
  change: Partial<Sweep> = {},
): Sweep {
  const cell = (direction: Cell['direction'], some: Partial<Cell>): Cell => {
    const { layer = null, strength = 0, score = 5, coherence = 95 } = some;
    return {
      condition: `${direction}@${layer}*${strength}`,
      direction,
      draw: direction === 'random' ? 0 : null,
      layer,
      strength,
      coef: 2 * strength,
      norm: null,
      fraction: null,
      score,
      lower: score === null ? null : score - 4,
      upper: score === null ? null : score + 4,
      coherence,
      coherence_lower: coherence === null ? null : coherence - 3,
      coherence_upper: coherence === null ? null : coherence + 3,
      rollouts: 20,
      unscored: 0,
    };
  };
  const trait = grid.map((one) => cell('trait', one));
  const recommended = trait.find(({ layer, strength }) => layer === 2 && strength === 1) ?? null;
  const zero = cell('none', {});
  return {
    positions: 'boundary',
    questions: [0, 2],
    samples: 10,
    layers: [...new Set(grid.map(({ layer }) => layer))],
    unit: 'fraction',
    strengths: [...new Set(grid.map(({ strength }) => strength))],
    coherence_floor: 75,
    zero,
    prompts: { pos: cell('none', { score: 90 }), neg: zero },
    trait,
    random: grid.map(({ layer, strength }) => cell('random', { layer, strength, score: 6, coherence: 70 })),
    fine: [],
    recommended,
    layer: 2,
    ...change,
  };
}

/** Layers 1 and 2 by strengths −1, 1 and 2, of which the last breaks the text of layer 2, and one of layer 1 is a gap. */
export const smallSweep = sweepOf([
  { layer: 1, strength: -1, score: 2, coherence: 94 },
  { layer: 1, strength: 1, score: 30, coherence: 91 },
  { layer: 2, strength: -1, score: 1, coherence: 93 },
  { layer: 2, strength: 1, score: 72, coherence: 84 },
  { layer: 2, strength: 2, score: 88, coherence: 41 },
]);
