import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { filterPairs, type ScoredPair } from './filter.ts';
import type { Scores } from './judge.ts';

const scores = (trait: number | null, coherence: number | null): Scores => ({ trait, coherence, raw: null });
const pair = (key: string, positive?: Scores, negative?: Scores): ScoredPair => ({ key, positive, negative });

describe('filterPairs', () => {
  it.each([
    ['both at their edge', scores(50, 50), scores(49.9, 50), null],
    ['positive too low', scores(49.9, 90), scores(0, 90), 'positive_below_threshold'],
    ['negative at 50', scores(90, 90), scores(50, 90), 'negative_above_threshold'],
    ['positive incoherent', scores(90, 49), scores(0, 90), 'positive_incoherent'],
    ['negative incoherent', scores(90, 90), scores(0, 49), 'negative_incoherent'],
    ['a refusal', scores(null, 90), scores(0, 90), 'not_scored'],
    ['no coherence', scores(90, 90), scores(0, null), 'not_scored'],
    ['no partner', scores(90, 90), undefined, 'partner_missing'],
  ] as const)('judges a pair by the rule of the paper: %s', (_, positive, negative, reason) => {
    const { kept, counts } = filterPairs([pair('a', positive, negative)], 50);
    expect(kept).toEqual(reason === null ? ['a'] : []);
    const dropped = Object.entries(counts.dropped).filter(([, count]) => count > 0);
    expect(dropped).toEqual(reason === null ? [] : [[reason, 1]]);
  });

  it('moves both thresholds apart', () => {
    const pairs = [pair('a', scores(60, 90), scores(39, 90)), pair('b', scores(60, 90), scores(41, 90))];
    expect(filterPairs(pairs, 60).kept).toEqual(['a']);
  });

  it('counts every pair once, and equals the rule of the code written out', () => {
    const number = fc.option(fc.integer({ min: 0, max: 100 }));
    const any = fc.tuple(number, number, number, number);
    fc.assert(
      fc.property(fc.array(any, { maxLength: 30 }), (rows) => {
        const pairs = rows.map(([a, b, c, d], i) => pair(String(i), scores(a, b), scores(c, d)));
        const { kept, counts } = filterPairs(pairs, 50);
        // As in Python, where a comparison with NaN is false.
        const nan = (value: number | null): number => value ?? NaN;
        const expected = rows.flatMap(([a, b, c, d], i) =>
          nan(a) >= 50 && nan(c) < 50 && nan(b) >= 50 && nan(d) >= 50 ? [String(i)] : [],
        );
        expect(kept).toEqual(expected);
        const dropped = Object.values(counts.dropped).reduce((sum, count) => sum + count, 0);
        expect(counts.kept + dropped).toBe(rows.length);
      }),
    );
  });
});
