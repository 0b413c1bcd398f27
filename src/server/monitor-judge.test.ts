import { describe, expect, it } from 'vitest';
import { drift } from '../apps/monitor-drift.ts';
import type { PolicyRule } from './monitor-api.ts';
import { type JudgedScore, judgeTurn, readMemory } from './monitor-judge.ts';

const score = (rule: PolicyRule, z: number | null, change: Partial<JudgedScore> = {}): JudgedScore => ({
  policy: 'p',
  action: 'log',
  url: null,
  vector: 'evil',
  rule,
  z,
  percentile: z === null ? null : 50 + z,
  ...change,
});

/** The numbers of the turns that raise an alert, from 1. */
function alertsAt(scores: readonly (JudgedScore | null)[]): number[] {
  let memory: string | null = null;
  return scores.flatMap((one, i) => {
    const judged = judgeTurn(one === null ? [] : [one], memory);
    ({ memory } = judged);
    return judged.alerts.map(() => i + 1);
  });
}

describe('a threshold', () => {
  it.each<[string, PolicyRule, (number | null)[], number[]]>([
    ['is crossed again after it was not', { type: 'threshold', z: 2 }, [1, 3, 3, 2, 3], [2, 5]],
    ['can lie below', { type: 'threshold', z: -2, direction: 'down' }, [0, -3, -1, -3], [2, 4]],
    ['can be a percentile', { type: 'threshold', percentile: 51 }, [1, 2], [2]],
    ['says nothing of a reply without words', { type: 'threshold', z: -5 }, [null, null], []],
  ])('%s', (_, rule, scores, turns) => {
    expect(alertsAt(scores.map((z) => score(rule, z)))).toEqual(turns);
  });
});

describe('a CUSUM', () => {
  it.each(['up', 'down'] as const)('%s is the one of `persona monitor`', (direction) => {
    const rule = { type: 'cusum', k: 0.3, h: 2, direction } as const;
    const scores = [1, -1, 2, null, 1.5, 0.4, -3, -2.5, 0, -2, 3, 3, 3];
    const sums = drift(scores, { slack: 0.3, limit: 2, direction });
    let memory: string | null = null;
    for (const [i, z] of scores.entries()) {
      ({ memory } = judgeTurn([score(rule, z)], memory));
      expect(readMemory(memory).sums.at(0)?.[1] ?? 0).toBe(sums[i]![direction]);
    }
    const crossed = sums.flatMap(({ alert }, i) =>
      alert !== null && (sums[i - 1]?.alert ?? null) === null ? [i + 1] : [],
    );
    expect(alertsAt(scores.map((z) => score(rule, z)))).toEqual(crossed);
    expect(crossed.length).toBeGreaterThan(0);
  });

  it('of every vector and policy adds up by itself, and begins anew where its rule changes', () => {
    const rule = { type: 'cusum', k: 0, h: 3 } as const;
    const other = { type: 'cusum', k: 0, h: 3.5 } as const;
    const { memory } = judgeTurn([score(rule, 2), score(rule, 2, { vector: 'kind' })], null);
    const next = [score(rule, 2), score(rule, 0.5, { vector: 'kind' }), score(other, 2)];
    expect(judgeTurn(next, memory).alerts).toMatchObject([{ vector: 'evil', limit: 3, value: 4 }]);
  });
});

describe('memory', () => {
  const rule = { type: 'threshold', z: 2 } as const;
  it('has what was capped and refused for as long as the policy judges', () => {
    const cap = score(rule, 3, { policy: 'c', action: 'cap' });
    const refuse = score({ ...rule, direction: 'down' }, 1, { policy: '__proto__', action: 'refuse' });
    const first = judgeTurn([cap, refuse], null);
    const kept = { capped: [{ policy: 'c', vector: 'evil', direction: 'up' }], refused: ['__proto__'] };
    expect(readMemory(first.memory)).toMatchObject(kept);
    const quiet = [score(rule, 0, { policy: 'c' }), score(rule, 0, { policy: '__proto__' })];
    expect(readMemory(judgeTurn(quiet, first.memory).memory)).toMatchObject(kept);
    expect(judgeTurn([score(rule, 0)], first.memory).memory).toBeNull();
  });
});
