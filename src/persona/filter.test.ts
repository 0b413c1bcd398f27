import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type FilterRule, filterPairs, type ScoredPair } from './filter.ts';
import type { Scores } from './judge.ts';

const scores = (trait: number | null, coherence: number | null): Scores => ({ trait, coherence, raw: null });
const pair = (key: string, positive?: Scores, negative?: Scores): ScoredPair => ({ key, positive, negative });
const paired: FilterRule = { mode: 'paired', threshold: 50, coherence: 50 };
const independent: FilterRule = { ...paired, mode: 'independent' };

const number = fc.option(fc.double({ min: 0, max: 100, noNaN: true }));
const anyScores = fc.array(fc.tuple(number, number, number, number), { maxLength: 30 });
const toPairs = (rows: readonly (readonly (number | null)[])[]): ScoredPair[] =>
  rows.map(([a, b, c, d], i) => pair(String(i), scores(a!, b!), scores(c!, d!)));
/** As in Python, where a comparison with NaN is false. */
const nan = (value: number | null): number => value ?? NaN;

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
    const { kept, counts } = filterPairs([pair('a', positive, negative)], paired);
    const keys = reason === null ? ['a'] : [];
    expect(kept).toEqual({ pos: keys, neg: keys });
    const dropped = Object.entries(counts.dropped).filter(([, count]) => count > 0);
    expect(dropped).toEqual(reason === null ? [] : [[reason, 1]]);
  });

  it('moves the thresholds of the trait and of coherence apart', () => {
    const pairs = [pair('a', scores(60, 55), scores(39, 90)), pair('b', scores(60, 90), scores(41, 90))];
    expect(filterPairs(pairs, { ...paired, threshold: 60 }).kept.pos).toEqual(['a']);
    expect(filterPairs(pairs, { ...paired, threshold: 55, coherence: 56 }).kept.pos).toEqual(['b']);
  });

  it('lets an independent rollout stay without its partner', () => {
    const pairs = [
      pair('a', scores(90, 90), scores(90, 90)),
      pair('b', scores(10, 90), scores(10, 90)),
      pair('c', scores(null, 90), undefined),
    ];
    expect(filterPairs(pairs, paired).kept).toEqual({ pos: [], neg: [] });
    const { kept, counts } = filterPairs(pairs, independent);
    expect(kept).toEqual({ pos: ['a'], neg: ['b'] });
    expect(counts).toMatchObject({
      kept: 1,
      poles: {
        pos: { sampled: 3, kept: 1, withoutTrait: 1, withoutCoherence: 0 },
        neg: { sampled: 2, kept: 1, withoutTrait: 0, withoutCoherence: 0 },
      },
      dropped: {
        partner_missing: 0,
        not_scored: 1,
        positive_below_threshold: 1,
        negative_above_threshold: 1,
      },
    });
  });

  it('counts every pair once, and equals the rule of the code written out', () => {
    fc.assert(
      fc.property(anyScores, (rows) => {
        const { kept, counts } = filterPairs(toPairs(rows), paired);
        const expected = rows.flatMap(([a, b, c, d], i) =>
          nan(a) >= 50 && nan(c) < 50 && nan(b) >= 50 && nan(d) >= 50 ? [String(i)] : [],
        );
        expect(kept).toEqual({ pos: expected, neg: expected });
        const dropped = Object.values(counts.dropped).reduce((sum, count) => sum + count, 0);
        expect(counts.kept + dropped).toBe(rows.length);
      }),
    );
  });

  it('counts every rollout once where they stand for themselves', () => {
    fc.assert(
      fc.property(anyScores, (rows) => {
        const { kept, counts } = filterPairs(toPairs(rows), independent);
        const keysOf = (holds: (row: (typeof rows)[number]) => boolean): string[] =>
          rows.flatMap((row, i) => (holds(row) ? [String(i)] : []));
        expect(kept.pos).toEqual(keysOf(([a, b]) => nan(a) >= 50 && nan(b) >= 50));
        expect(kept.neg).toEqual(keysOf(([, , c, d]) => nan(c) < 50 && nan(d) >= 50));
        const dropped = Object.values(counts.dropped).reduce((sum, count) => sum + count, 0);
        expect(kept.pos.length + kept.neg.length + dropped).toBe(2 * rows.length);
      }),
    );
  });
});
