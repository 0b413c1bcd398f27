import { describe, expect, it } from 'vitest';
import { type DoseSettings, planDoseResponse } from './dose-response.ts';
import type { DoseResponse } from '../store/result-schema.ts';
import { PersonaVector } from './vector.ts';

const vector = new PersonaVector(1, 4, Float32Array.of(0, 0, 0, 0, 3, 0, 0, 4), {
  trait: 'kind',
  model: 'tiny',
  modelRevision: null,
  modelFingerprint: '',
  pooling: 'response_mean',
  method: 'difference_of_means',
  pairsKept: 1,
  pairsTotal: 1,
  threshold: 50,
  residualNorms: [4, 10],
  recommendedLayer: null,
  recommendedStrength: null,
});
const settings: DoseSettings = {
  layer: 1,
  unit: 'fraction',
  strengths: [-2, -1, 0, 1, 2],
  chosen: null,
  samples: 3,
  randomDirections: 20,
  randomSamples: 2,
  positions: 'response',
  coherenceFloor: 75,
  seed: 0,
};
const questions = [{ index: 1, text: 'why?' }];
const plan = planDoseResponse(vector, questions, settings);

/** The result if a condition's texts score as `score` says: of the vector at a strength, of a draw at an end. */
function measure(
  score: (strength: number, draw: number | null) => number,
  coherence: (strength: number) => number = () => 90,
): DoseResponse {
  return plan.summarise(
    plan.rollouts.map(({ ids }) => {
      const { strength, draw } = plan.conditions.find(({ id }) => id === ids['condition'])!;
      return {
        trait: score(strength, draw),
        coherence: coherence(strength),
        raw: null,
      };
    }),
  );
}

/** Gains of random directions from −4.75 to 4.75. */
const noise = (strength: number, draw: number): number => 50 + (Math.sign(strength) * (draw - 9.5)) / 4;

describe('planDoseResponse', () => {
  it('runs every strength, twice the ends on few texts, and every random direction at both ends', () => {
    const count = (prefix: string): number =>
      plan.rollouts.filter(({ key }) => key.startsWith(prefix)).length;
    expect(plan.conditions).toHaveLength(5 + 2 + 2 * 20);
    expect([count('trait*2/'), count('trait*4/'), count('random7*-2/')]).toEqual([3, 1, 2]);
    expect(new Set(plan.rollouts.map(({ key }) => key)).size).toBe(5 * 3 + 2 + 40 * 2);
    const zero = plan.conditions.find(({ strength }) => strength === 0)!;
    expect(zero).toMatchObject({ direction: 'none', vector: null });
    const random = plan.conditions.filter(({ direction }) => direction === 'random');
    expect(random.map(({ strength }) => strength)).toEqual(Array.from({ length: 20 }, () => [-2, 2]).flat());
    for (const { vector: direction } of random) expect(Math.hypot(...direction!)).toBeCloseTo(5, 5);
    expect(new Set(random.map(({ vector: direction }) => direction!.join())).size).toBe(20);
  });

  it('adds what the strength asks for, in its unit', () => {
    // The vector is 5 long where the residual stream is 10 long.
    const coefficients = (unit: 'fraction' | 'norm' | 'coef'): number[] =>
      planDoseResponse(vector, questions, { ...settings, unit })
        .conditions.slice(0, 5)
        .map(({ coef }) => coef);
    expect(coefficients('fraction')).toEqual([-4, -2, 0, 2, 4]);
    expect(coefficients('norm')).toEqual([-0.4, -0.2, 0, 0.2, 0.4]);
    expect(coefficients('coef')).toEqual([-2, -1, 0, 1, 2]);
  });

  it('does not go beyond an end that is 0', () => {
    const { conditions } = planDoseResponse(vector, questions, { ...settings, strengths: [0, 1, 2] });
    expect(conditions.slice(0, 5).map(({ strength }) => strength)).toEqual([0, 1, 2, 4, 0]);
  });

  it('does not share random numbers with the sweep', () => {
    expect(plan.rollouts[0]).toMatchObject({ stream: 'dose-response/1/0' });
  });
});

describe('the summary of a dose response', () => {
  it('says that a vector steers whose scores rise beyond what chance gains', () => {
    const dose = measure((strength, draw) => (draw === null ? 50 + 10 * strength : noise(strength, draw)));
    expect(dose).toMatchObject({ gain: 40, steers: true, coherent: true, norm: 5, layer: 1, samples: 3 });
    expect(dose.spearman).toBeCloseTo(1, 12);
    expect(dose.p_value).toBeCloseTo(1 / 21, 12);
    expect(dose.random_interval!.upper).toBeGreaterThan(4.75);
    expect(dose.random_interval!.upper).toBeLessThan(10);
  });

  it('says that it does not if the gain is within that of chance, or the rise is not steady', () => {
    const weak = measure((strength, draw) => (draw === null ? 50 + strength : noise(strength, draw)));
    expect(weak).toMatchObject({ gain: 4, steers: false });
    const uneven = [40, 60, 45, 42, 90];
    const jumpy = measure((strength, draw) =>
      draw === null ? uneven[strength + 2]! : noise(strength, draw),
    );
    expect(jumpy).toMatchObject({ gain: 50, steers: false });
    const reversed = measure((strength, draw) =>
      draw === null ? 50 - 10 * strength : noise(strength, draw),
    );
    expect(reversed).toMatchObject({ gain: -40, steers: false });
  });

  it('notes broken text', () => {
    const dose = measure(
      (strength, draw) => (draw === null ? 50 + 10 * strength : noise(strength, draw)),
      (strength) => (strength === 2 ? 20 : 90),
    );
    // From −2 to 1 the gain is 30 still, above what chance gains.
    expect(dose).toMatchObject({ steers: true, coherent: true, breaking: { below: null, above: 2 } });
    const all = measure(
      (strength, draw) => (draw === null ? 50 + 10 * strength : noise(strength, draw)),
      (strength) => (strength === 0 ? 90 : 20),
    );
    expect(all).toMatchObject({ coherent: false, breaking: { below: -1, above: 1 } });
  });

  it('ranks no strength on a side where the unsteered score has no room', () => {
    const scores = [0.3, 0, 0.2, 30, 60];
    const dose = measure((strength, draw) => (draw === null ? scores[strength + 2]! : noise(strength, draw)));
    expect(dose.ranked).toEqual([0, 1, 2]);
    expect(dose.spearman).toBeCloseTo(1, 12);
    const full = measure((strength, draw) =>
      draw === null ? 100 - scores[2 - strength]! : noise(strength, draw),
    );
    expect(full.ranked).toEqual([-2, -1, 0]);
    const middle = measure((strength, draw) => (draw === null ? 50 + strength : noise(strength, draw)));
    expect(middle.ranked).toEqual([-2, -1, 0, 1, 2]);
  });

  it('ranks strengths up to where text breaks, and says where that is', () => {
    const dose = measure(
      (strength, draw) => (draw === null ? (strength === 2 ? 0 : 50 + 10 * strength) : noise(strength, draw)),
      (strength) => (strength >= 2 ? 20 : 90),
    );
    expect(dose.breaking).toEqual({ below: null, above: 2 });
    expect(dose.spearman).toBeCloseTo(1, 12);
  });

  it('measures the choice of the sweep beside the strengths, in three units', () => {
    const chosen = planDoseResponse(vector, questions, { ...settings, chosen: 1.5 });
    const dose = chosen.summarise(chosen.rollouts.map(() => ({ trait: 60, coherence: 90, raw: null })));
    expect(dose.points).toHaveLength(5);
    // The vector is 5 long where the residual stream is 10 long.
    expect(dose.chosen).toMatchObject({ strength: 1.5, coef: 3, norm: 15, fraction: 1.5, score: 60 });
    const among = planDoseResponse(vector, questions, { ...settings, chosen: 1 });
    expect(among.rollouts).toHaveLength(plan.rollouts.length);
  });
});
