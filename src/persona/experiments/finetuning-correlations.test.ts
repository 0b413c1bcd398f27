import { expect, it } from 'vitest';
import { type GridPoint, correlationMatrix } from './finetuning-correlations.ts';

const point = (family: string, shift: number, evil: number | null): GridPoint => ({
  family,
  shifts: { evil: shift },
  scores: { evil },
});

it('correlates shifts with scores, with and without the trait’s own data, as computed by hand', () => {
  // Deviations −1.5, −0.5, 0.5, 1.5 and −15, −5, −5, 25: Σ dx dy = 60, Σ dx² = 5, Σ dy² = 900.
  const points = [point('evil', 1, 10), point('evil', 2, 20), point('other', 3, 20), point('other', 4, 50)];
  const [only] = correlationMatrix(points, ['evil']);
  expect(only).toMatchObject({ shift: 'evil', behaviour: 'evil', models: 4 });
  expect(only!.r).toBeCloseTo(60 / Math.sqrt(5 * 900), 12);
  // Two models are left, through which a line always goes.
  expect(only!.others).toBeNull();
  expect(only!.interval!.lower).toBeLessThan(only!.r!);
});

it('leaves out models without a score, and says nothing of constant sides', () => {
  const points = [point('a', 1, null), point('a', 1, 5), point('b', 1, 6), point('c', 1, 7)];
  expect(correlationMatrix(points, ['evil'])[0]).toMatchObject({ r: null, models: 3, interval: null });
});
