import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultDriftRule, drift } from './monitor-drift.ts';

const rule = { slack: 0.5, limit: 5, direction: 'up' } as const;

describe('drift', () => {
  it('adds up what is beyond the slack, and forgets what passes', () => {
    expect(drift([2, 2, -4, 1], rule).map(({ up }) => up)).toEqual([1.5, 3, 0, 0.5]);
    expect(drift([-2, -2, 4], rule).map(({ down }) => down)).toEqual([1.5, 3, 0]);
  });

  it('reports a lasting shift that no single turn would, from the turn that crosses the limit', () => {
    const states = drift([1.5, 1.5, 1.5, 1.5, 1.5, 1.5], rule);
    expect(states.map(({ alert }) => alert)).toEqual([null, null, null, null, null, 'up']);
  });

  it.each([
    ['up', [9], 'up'],
    ['up', [-9], null],
    ['down', [-9], 'down'],
    ['down', [9], null],
    ['both', [9], 'up'],
    ['both', [-9], 'down'],
  ] as const)('looks %s only: %j', (direction, scores, alert) => {
    expect(drift(scores, { ...rule, direction })[0]!.alert).toBe(alert);
  });

  it('leaves the sums where a turn has no score', () => {
    expect(drift([2, null, 2], rule).map(({ up }) => up)).toEqual([1.5, 1.5, 3]);
  });

  it('is never negative, and silent where nothing exceeds the slack', () => {
    const score = fc.double({ min: -0.5, max: 0.5, noNaN: true });
    fc.assert(
      fc.property(fc.array(score), (scores) => {
        for (const { up, down, alert } of drift(scores, { ...defaultDriftRule, direction: 'both' })) {
          expect(Math.min(up, down)).toBeGreaterThanOrEqual(0);
          expect(alert).toBeNull();
        }
      }),
    );
  });
});
