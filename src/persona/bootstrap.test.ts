import { mean, sampleStandardDeviation } from 'simple-statistics';
import { expect, it } from 'vitest';
import { randomStream } from '../util/random.ts';
import { bootstrapInterval, bootstrapMean } from './bootstrap.ts';
import { wilsonInterval } from './statistics.ts';

const normals = (count: number, ...name: (string | number)[]): number[] => {
  const stream = randomStream('bootstrap test', ...name);
  return Array.from({ length: count }, () => 5 + 2 * stream.normal());
};

it('agrees with the normal interval of a mean where that holds', () => {
  const values = normals(400, 0);
  const interval = bootstrapMean(values, { name: ['a'] })!;
  const half = (1.959964 * sampleStandardDeviation(values)) / Math.sqrt(values.length);
  expect(Math.abs(interval.lower - (mean(values) - half))).toBeLessThan(0.03);
  expect(Math.abs(interval.upper - (mean(values) + half))).toBeLessThan(0.03);
});

it('holds the true mean in about 95 of 100 samples', () => {
  const held = Array.from(
    { length: 200 },
    (_, i) => bootstrapMean(normals(60, i), { name: [i], resamples: 400 })!,
  );
  const covered = held.filter(({ lower, upper }) => lower <= 5 && upper >= 5).length;
  expect(covered).toBeGreaterThan(178);
  expect(covered).toBeLessThan(199);
});

it('is the same for the same name, another for another, and nothing for one unit', () => {
  const values = normals(30, 7);
  expect(bootstrapMean(values, { name: ['x'] })).toEqual(bootstrapMean(values, { name: ['x'] }));
  expect(bootstrapMean(values, { name: ['x'] })).not.toEqual(bootstrapMean(values, { name: ['y'] }));
  expect(bootstrapMean([1], { name: ['x'] })).toBeNull();
  expect(bootstrapInterval(5, () => NaN, { name: ['x'] })).toBeNull();
});

it('gives the textbook Wilson interval', () => {
  // 15 of 20, z = 1.96: (0.531, 0.888), as in any table.
  const { lower, upper } = wilsonInterval(15, 20)!;
  expect(lower).toBeCloseTo(0.5313, 4);
  expect(upper).toBeCloseTo(0.8881, 4);
  expect(wilsonInterval(0, 10)).toMatchObject({ lower: 0 });
  expect(wilsonInterval(10, 10)!.upper).toBe(1);
  expect(wilsonInterval(0, 0)).toBeNull();
});
