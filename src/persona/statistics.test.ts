import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { meanInterval, predictionInterval, spearman, studentQuantile975 } from './statistics.ts';

describe('studentQuantile975', () => {
  // Any printed table of Student's distribution.
  it.each([
    [1, 12.706],
    [2, 4.303],
    [3, 3.182],
    [9, 2.262],
    [19, 2.093],
    [30, 2.042],
    [120, 1.98],
  ])('of %i degrees of freedom is %f', (degrees, expected) => {
    expect(studentQuantile975(degrees)).toBeCloseTo(expected, 3);
  });
});

describe('meanInterval', () => {
  it('is the mean ± 1.96 standard errors', () => {
    const { mean, lower, upper } = meanInterval([2, 4, 4, 6]);
    const half = (1.959964 * Math.sqrt(8 / 3)) / 2;
    expect(mean).toBe(4);
    expect(lower).toBeCloseTo(4 - half, 5);
    expect(upper).toBeCloseTo(4 + half, 5);
  });

  it('says nothing that it cannot know', () => {
    expect(meanInterval([])).toEqual({ mean: null, lower: null, upper: null });
    expect(meanInterval([3])).toEqual({ mean: 3, lower: null, upper: null });
  });
});

describe('predictionInterval', () => {
  it('is wider than the spread of its values', () => {
    const interval = predictionInterval([1, 2, 3, 4, 5])!;
    const half = 2.776445 * Math.sqrt(2.5) * Math.sqrt(1.2);
    expect(interval.lower).toBeCloseTo(3 - half, 5);
    expect(interval.upper).toBeCloseTo(3 + half, 5);
    expect(predictionInterval([1])).toBeNull();
  });
});

describe('spearman', () => {
  it('sees order only', () => {
    expect(spearman([-2, -1, 0, 1, 2], [1, 2, 3, 50, 51])).toBeCloseTo(1, 12);
    expect(spearman([-2, -1, 0, 1, 2], [5, 4, 3, 2, 1])).toBeCloseTo(-1, 12);
    // One neighbouring exchange among five: 1 − 6 · 2 / (5 · 24).
    expect(spearman([1, 2, 3, 4, 5], [1, 3, 2, 4, 5])).toBeCloseTo(0.9, 12);
  });

  it('shares ranks among equals, and is unknown for a constant', () => {
    expect(spearman([1, 2, 3], [1, 1, 2])).toBeCloseTo(Math.sqrt(3) / 2, 12);
    expect(spearman([1, 2, 3], [7, 7, 7])).toBeNull();
    expect(spearman([1], [2])).toBeNull();
  });

  it('is unchanged by rising transformations', () => {
    const values = fc.uniqueArray(fc.integer({ min: -50, max: 50 }), { minLength: 3, maxLength: 12 });
    fc.assert(
      fc.property(values, (y) => {
        const x = y.map((_, i) => i);
        const raised = y.map((value) => Math.exp(value / 20));
        expect(spearman(x, raised)).toBeCloseTo(spearman(x, y)!, 10);
      }),
    );
  });
});
