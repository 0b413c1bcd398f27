import { describe, expect, it } from 'vitest';
import { randomStream } from '../../util/random.ts';
import { type MonitoringPoint, summariseMethod } from './monitoring-results.ts';

/** Scores that follow the projection, more or less, over four conditions of ten questions. */
function pointsOf(noise: number): MonitoringPoint[] {
  const stream = randomStream('points', noise);
  return Array.from({ length: 40 }, (_, i) => {
    const [level, question] = [Math.floor(i / 10), i % 10];
    const projection = 3 * level + stream.normal();
    const score = 20 * level + 5 * projection + noise * stream.normal();
    return { condition: `c${level}`, method: 'system', level, question, projection, score, replies: 10 };
  });
}
const random = Array.from({ length: 200 }, (_, d) => {
  const stream = randomStream('direction', d);
  return Array.from({ length: 40 }, () => stream.normal());
});

describe('summariseMethod', () => {
  it('tells what foretells the score from what does not, with intervals that hold the estimate', () => {
    const { overall, within, varying, random: others } = summariseMethod(pointsOf(1), random, 0);
    expect(overall.r).toBeGreaterThan(0.9);
    expect(within.r).toBeGreaterThan(0.8);
    expect(overall.lower!).toBeLessThanOrEqual(overall.r!);
    expect(overall.upper!).toBeGreaterThanOrEqual(overall.r!);
    expect(varying).toBe(4);
    expect(others.percentile).toBe(100);
    expect(others.r95).toBeLessThan(0.5);
  });

  it('is the same for the same seed', () => {
    expect(summariseMethod(pointsOf(9), random, 3)).toEqual(summariseMethod(pointsOf(9), random, 3));
  });

  it('leaves conditions out whose scores do not vary, and points without a score', () => {
    const points = pointsOf(1).map((point) => ({ ...point, score: point.level === 0 ? 0 : point.score }));
    const [first, ...rest] = points;
    const result = summariseMethod([{ ...first!, score: null }, ...rest], random, 0);
    expect(result).toMatchObject({ varying: 3, conditions: 4, points: 40 });
  });

  it('says nothing where no score is known', () => {
    const points = pointsOf(1).map((point) => ({ ...point, score: null }));
    const { overall, within, random: others } = summariseMethod(points, random, 0);
    expect([overall.r, overall.lower, within.r, others.percentile]).toEqual([null, null, null, null]);
  });
});
