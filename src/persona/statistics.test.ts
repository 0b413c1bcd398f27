import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomStream } from '../util/random.ts';
import {
  areaUnderCurve,
  effectSize,
  groupedMean,
  pearson,
  predictionInterval,
  spearman,
  studentQuantile975,
} from './statistics.ts';

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

describe('pearson', () => {
  it('is 1 and −1 on lines, and nothing where a side is constant or too short', () => {
    expect(pearson([1, 2, 3], [2, 4, 6])).toBeCloseTo(1, 12);
    expect(pearson([1, 2, 3], [6, 4, 2])).toBeCloseTo(-1, 12);
    expect(pearson([1, 1, 1], [1, 2, 3])).toBeNull();
    expect(pearson([1, 2], [1, 2])).toBeNull();
  });
});

describe('groupedMean', () => {
  it('is the mean of all values, with ends that draw whole groups again', () => {
    const { mean, lower, upper } = groupedMean([[0, 0, 0], [10], [20, 20]]);
    expect(mean).toBeCloseTo(50 / 6, 12);
    expect([lower, upper]).toEqual([0, 20]);
  });

  it('covers the mean in about 95 of 100 cases, where values of one group are alike', () => {
    let covered = 0;
    for (let trial = 0; trial < 200; trial++) {
      const random = randomStream('coverage', trial);
      const groups = Array.from({ length: 20 }, () => {
        const centre = random.normal();
        return Array.from({ length: 5 }, () => centre + 0.1 * random.normal());
      });
      const { lower, upper } = groupedMean(groups);
      if (lower! <= 0 && upper! >= 0) covered++;
    }
    expect(covered).toBeGreaterThan(175);
    expect(covered).toBeLessThan(200);
  });

  it('has no ends for one group, and no mean for none', () => {
    expect(groupedMean([[1, 2], []])).toEqual({ mean: 1.5, lower: null, upper: null });
    expect(groupedMean([[], []])).toEqual({ mean: null, lower: null, upper: null });
  });
});

describe('areaUnderCurve', () => {
  it('is the share of pairs in order, ties counting half', () => {
    expect(areaUnderCurve([3, 4], [1, 2])).toBe(1);
    expect(areaUnderCurve([1, 2], [3, 4])).toBe(0);
    expect(areaUnderCurve([1, 3], [1, 2])).toBe(0.625);
    expect(areaUnderCurve([], [1])).toBeNull();
  });

  it('is what counting every pair gives', () => {
    const values = fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(values, values, (positive, negative) => {
        const wins = positive.flatMap((p) => negative.map((n) => (p > n ? 1 : p === n ? 0.5 : 0)));
        const share = wins.reduce<number>((sum, win) => sum + win, 0) / wins.length;
        expect(areaUnderCurve(positive, negative)).toBeCloseTo(share, 12);
      }),
    );
  });
});

describe('effectSize', () => {
  it('is the difference in pooled standard deviations', () => {
    expect(effectSize([4, 6], [1, 3])).toBeCloseTo(3 / Math.SQRT2, 12);
    expect(effectSize([1], [1, 2])).toBeNull();
    expect(effectSize([1, 1], [1, 1])).toBeNull();
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
