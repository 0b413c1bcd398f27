import { describe, expect, it } from 'vitest';
import type { Scores } from './judge.ts';
import { type SweepSettings, defaultLayers, planRefinement, planSweep } from './sweep.ts';
import { PersonaVector, euclideanNorm } from './vector.ts';

const vector = new PersonaVector(
  2,
  4,
  Float32Array.from({ length: 12 }, (_, i) => i + 1),
  {
    trait: 'kind',
    model: 'tiny',
    modelRevision: null,
    modelFingerprint: '',
    pooling: 'response_mean',
    method: 'difference_of_means',
    pairsKept: 1,
    pairsTotal: 1,
    threshold: 50,
    residualNorms: [4, 10, 20],
    recommendedLayer: null,
    recommendedStrength: null,
  },
);
const questions = [
  { index: 0, text: 'zero?' },
  { index: 2, text: 'two?' },
];
const prompts = { pos: ['be kind', 'be nice'], neg: ['be mean', 'be rude'] };
const settings: SweepSettings = {
  layers: [1, 2],
  unit: 'coef',
  strengths: [-1, 1, 2],
  samples: 2,
  positions: 'response',
  coherenceFloor: 75,
  seed: 5,
};
const plan = planSweep(prompts, vector, questions, settings);

/** Scores by condition, the same for every rollout of it. */
function scoresBy(give: (condition: string) => readonly [number | null, number]): Scores[] {
  return plan.rollouts.map(({ ids }) => {
    const [trait, coherence] = give(String(ids['condition']));
    return { trait, coherence, raw: null };
  });
}

describe('planSweep', () => {
  it('runs every cell, its random twin and the controls, under keys of their own', () => {
    const ids = plan.conditions.map(({ id }) => id);
    expect([0, 3, 9].map((start) => ids.slice(start, start === 0 ? 3 : start + 6).join(' '))).toEqual([
      'zero prompt-pos prompt-neg',
      'trait@1*-1 random@1*-1 trait@1*1 random@1*1 trait@1*2 random@1*2',
      'trait@2*-1 random@2*-1 trait@2*1 random@2*1 trait@2*2 random@2*2',
    ]);
    expect(plan.rollouts).toHaveLength(15 * 2 * 2);
    expect(new Set(plan.rollouts.map(({ key }) => key)).size).toBe(60);
    expect(plan.rollouts.find(({ key }) => key === 'trait@2*-1/2/1')).toMatchObject({
      question: 'two?',
      system: null,
      stream: 'sweep/2/1',
      interventions: [{ layer: 2, vector: vector.row(2), coef: -1, positions: 'response' }],
    });
  });

  it('gives conditions the same random numbers, and the rows of one the same list of interventions', () => {
    const streams = (id: string): string[] =>
      plan.rollouts.filter(({ ids }) => ids['condition'] === id).map(({ stream }) => stream);
    expect(streams('zero')).toEqual(['sweep/0/0', 'sweep/0/1', 'sweep/2/0', 'sweep/2/1']);
    expect(streams('random@1*2')).toEqual(streams('zero'));
    const rows = plan.rollouts.filter(({ ids }) => ids['condition'] === 'trait@1*2');
    expect(new Set(rows.map(({ interventions }) => interventions)).size).toBe(1);
    expect(plan.rollouts[0]!.interventions).toEqual([]);
  });

  it('prompts with all instructions in turn', () => {
    const systems = (id: string): (string | null)[] =>
      plan.rollouts.filter(({ ids }) => ids['condition'] === id).map(({ system }) => system);
    expect(systems('prompt-pos')).toEqual(['be kind', 'be nice', 'be nice', 'be kind']);
    expect(systems('prompt-neg')).toEqual(['be mean', 'be rude', 'be rude', 'be mean']);
    expect(systems('trait@1*1')).toEqual([null, null, null, null]);
  });

  it('takes one random direction a layer, as long as the vector there', () => {
    const at = (id: string) => plan.conditions.find((condition) => condition.id === id)!.vector!;
    expect(at('random@1*1')).toEqual(at('random@1*2'));
    expect(at('random@1*1')).not.toEqual(at('random@2*1'));
    expect(euclideanNorm(at('random@2*1'))).toBeCloseTo(vector.norm(2), 4);
    const again = planSweep(prompts, vector, questions, settings);
    expect(again.conditions).toEqual(plan.conditions);
  });
});

describe('the summary of a sweep', () => {
  it('recommends the highest score at a positive strength that stays coherent', () => {
    const sweep = plan.summarise(
      scoresBy((id) => {
        if (id === 'trait@2*2') return [95, 40];
        if (id === 'trait@1*2') return [80, 76];
        if (id === 'trait@2*-1') return [90, 99];
        return id.startsWith('random') ? [85, 99] : [50, 99];
      }),
    );
    expect(sweep.recommended).toMatchObject({ condition: 'trait@1*2', layer: 1, strength: 2, score: 80 });
    expect(sweep.layer).toBe(1);
    expect(sweep.zero).toMatchObject({ score: 50, rollouts: 4, unscored: 0 });
    expect(sweep.trait).toHaveLength(6);
    expect(sweep.random).toHaveLength(6);
    expect(sweep.questions).toEqual([0, 2]);
  });

  it('of equal cells takes the weaker one, then the earlier layer', () => {
    expect(plan.summarise(scoresBy(() => [50, 99])).recommended?.condition).toBe('trait@1*1');
  });

  it('recommends nothing where nothing is coherent, and names the layer of the largest gain', () => {
    const sweep = plan.summarise(
      scoresBy((id) => [id === 'trait@2*2' ? 90 : id === 'trait@1*2' ? 60 : 50, 10]),
    );
    expect(sweep).toMatchObject({ recommended: null, layer: 2 });
  });

  it('leaves texts without a score out of the mean and counts them', () => {
    let n = 0;
    const sweep = plan.summarise(scoresBy((id) => (id === 'zero' && n++ % 2 === 0 ? [null, 90] : [40, 90])));
    expect(sweep.zero).toMatchObject({ score: 40, unscored: 2, rollouts: 4 });
  });
});

describe('planRefinement', () => {
  const first = plan.summarise(scoresBy((id) => (id === 'trait@1*1' ? [80, 90] : [50, 90])));

  it('runs what lies between the best cell and its neighbours, each with a random twin', () => {
    const fine = planRefinement(first, vector, questions, settings)!;
    expect(fine.conditions.map(({ id }) => id)).toEqual([
      'trait@1*0.5',
      'random@1*0.5',
      'trait@1*1.5',
      'random@1*1.5',
    ]);
    expect(fine.rollouts[0]).toMatchObject({ stream: 'sweep/0/0' });
    const sweep = fine.summarise(
      fine.rollouts.map(({ ids }) => ({
        trait: ids['condition'] === 'trait@1*1.5' ? 85 : 40,
        coherence: 90,
        raw: null,
      })),
    );
    expect(sweep).toMatchObject({
      fine: ['trait@1*0.5', 'trait@1*1.5'],
      recommended: { strength: 1.5, score: 85 },
    });
    expect([sweep.trait.length, sweep.random.length]).toEqual([8, 8]);
  });

  it('looks at the layers that were passed over', () => {
    const wide = new PersonaVector(6, 1, Float32Array.of(1, 1, 1, 1, 1, 1, 1), vector.metadata);
    const options = { ...settings, layers: [1, 4], strengths: [-1, 1] };
    const coarse = planSweep(prompts, wide, questions, options);
    const best = coarse.summarise(
      coarse.rollouts.map(({ ids }) => ({
        trait: ids['condition'] === 'trait@4*1' ? 80 : 50,
        coherence: 90,
        raw: null,
      })),
    );
    const layers = planRefinement(best, wide, questions, options)!.conditions.map(({ layer }) => layer);
    expect([...new Set(layers)]).toEqual([4, 2, 3]);
  });

  it('tries weaker ones where nothing was coherent', () => {
    const broken = plan.summarise(scoresBy(() => [50, 10]));
    const strengths = planRefinement(broken, vector, questions, settings)!.conditions.map(
      ({ strength }) => strength,
    );
    expect([...new Set(strengths)]).toEqual([0.5, 0.25, 0.75]);
  });
});

describe('defaultLayers', () => {
  it('takes all of a small model, and eight of a large one up to its last', () => {
    expect(defaultLayers(5)).toEqual([1, 2, 3, 4, 5]);
    expect(defaultLayers(28)).toEqual([4, 7, 11, 14, 18, 21, 25, 28]);
  });
});
