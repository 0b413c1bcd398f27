import { describe, expect, it } from 'vitest';
import { type Schedule, learningRateAt } from './schedule.ts';

const base = { learningRate: 1e-3, warmupSteps: 2, totalSteps: 10 } as const;

function rates(schedule: Schedule, steps: readonly number[]): number[] {
  return steps.map((step) => learningRateAt(schedule, step));
}

/** Each value below is worked out by hand from the formula in Hugging Face's documentation of its schedule. */
describe('the learning rate', () => {
  it('is constant, with and without warm-up', () => {
    expect(rates({ ...base, name: 'constant' }, [0, 1, 9])).toEqual([1e-3, 1e-3, 1e-3]);
    expect(rates({ ...base, name: 'constant_with_warmup' }, [0, 1, 2, 9])).toEqual([0, 5e-4, 1e-3, 1e-3]);
  });

  it('falls in a line from the end of the warm-up to 0', () => {
    const found = rates({ ...base, name: 'linear' }, [0, 1, 2, 6, 9, 10]);
    [0, 5e-4, 1e-3, 5e-4, 1.25e-4, 0].forEach((rate, i) => expect(found[i]).toBeCloseTo(rate, 12));
  });

  it('falls along half a cosine', () => {
    const found = rates({ ...base, name: 'cosine' }, [1, 2, 4, 6, 10]);
    // cos(π/4) = 0.70710678: 0.5 · 1.70710678 = 0.85355339.
    [5e-4, 1e-3, 8.5355339e-4, 5e-4, 0].forEach((rate, i) => expect(found[i]).toBeCloseTo(rate, 10));
  });

  it('stays above the floor that min_lr_ratio sets', () => {
    const found = rates({ ...base, name: 'cosine', minRatio: 0.1 }, [0, 2, 6, 10]);
    // Half way: 0.1 + 0.9 · 0.5 = 0.55.
    [0, 1e-3, 5.5e-4, 1e-4].forEach((rate, i) => expect(found[i]).toBeCloseTo(rate, 12));
    expect(learningRateAt({ ...base, name: 'linear', minRatio: 0.25 }, 10)).toBeCloseTo(2.5e-4, 12);
  });

  it('restarts its cosine', () => {
    const found = rates({ ...base, name: 'cosine_with_restarts', cycles: 2 }, [2, 4, 5, 6, 8, 10]);
    // Progress 0.25 is half of the first of two cycles; 0.375 three quarters of it: 0.5 · (1 − 0.70710678) = 0.14644661.
    [1e-3, 5e-4, 1.4644661e-4, 1e-3, 5e-4, 0].forEach((rate, i) => expect(found[i]).toBeCloseTo(rate, 10));
  });

  it('falls by a power to an end of its own', () => {
    const found = rates({ ...base, name: 'polynomial', power: 2, endRate: 1e-4 }, [2, 6, 10]);
    // Half way: (1e-3 − 1e-4) · 0.25 + 1e-4 = 3.25e-4.
    [1e-3, 3.25e-4, 1e-4].forEach((rate, i) => expect(found[i]).toBeCloseTo(rate, 12));
  });

  it('is right without a warm-up, and for a run that is all warm-up', () => {
    expect(learningRateAt({ name: 'linear', learningRate: 2, warmupSteps: 0, totalSteps: 4 }, 0)).toBe(2);
    expect(rates({ name: 'linear', learningRate: 1, warmupSteps: 4, totalSteps: 4 }, [0, 3, 4])).toEqual([
      0, 0.75, 1,
    ]);
  });
});
