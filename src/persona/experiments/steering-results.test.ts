import { describe, expect, it } from 'vitest';
import type { ScoredRollout } from '../../store/rollout-schema.ts';
import { type DosePoint, changeOf, equalStrength, rankOfSide } from './steering-results.ts';

const point = (strength: number, score: number | null, changes: Partial<DosePoint> = {}): DosePoint => ({
  side: 'prompted',
  direction: strength === 0 ? 'none' : 'trait',
  strength,
  coef: strength,
  score,
  lower: score,
  upper: score,
  coherence: 90,
  coherence_lower: 90,
  coherence_upper: 90,
  rollouts: 1,
  unscored: 0,
  ...changes,
});
const points = [
  point(0, 90),
  point(-1, 70),
  point(-2, 10),
  point(-2, 90, { direction: 'random' }),
  point(0, 1, { side: 'neutral' }),
  point(2, 80, { side: 'neutral' }),
  point(1, 40, { side: 'neutral' }),
];

describe('equalStrength', () => {
  it.each([
    [90, -0],
    [80, -0.5],
    [40, -1.5],
    [10, -2],
  ])('that leaves a score of %d is %d', (score, strength) => {
    expect(equalStrength(points, score)).toBeCloseTo(strength, 12);
  });

  it('is not beyond the doses, nor where nothing is suppressed', () => {
    expect(equalStrength(points, 5)).toBeNull();
    expect(equalStrength(points, 95)).toBeNull();
  });

  it('is the weakest where a curve that is not steady gives several', () => {
    expect(equalStrength([point(0, 90), point(-1, 50), point(-2, 70), point(-3, 30)], 60)).toBeCloseTo(
      -0.75,
      12,
    );
  });
});

describe('rankOfSide', () => {
  it('ranks one side, without random directions', () => {
    expect(rankOfSide(points, 'prompted')).toBeCloseTo(1, 12);
    expect(rankOfSide(points, 'neutral')).toBeCloseTo(1, 12);
    expect(rankOfSide([point(0, null), point(-1, 5)], 'prompted')).toBeNull();
  });
});

describe('changeOf', () => {
  const reply = (...ids: number[]): ScoredRollout => ({ response_ids: ids }) as unknown as ScoredRollout;

  it('counts replies that are the same, and how far the others go before they differ', () => {
    const unsteered = [reply(1, 2, 3, 4), reply(1, 2, 3, 4), reply(5), reply()];
    const rows = [reply(1, 2, 3, 4), reply(1, 2, 9, 4), reply(5, 6), reply()];
    expect(changeOf(rows, unsteered)).toEqual({ same: 0.5, kept: (1 + 0.5 + 0.5 + 1) / 4 });
  });
});
