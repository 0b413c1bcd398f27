import { describe, expect, it } from 'vitest';
import { randomStream } from '../../util/random.ts';
import { auroc, foundKnown } from './known.ts';

/** By its definition: the share of pairs of a known and another row in which the known one lies higher. */
function slowAuroc(values: readonly number[], known: readonly number[]): number {
  let [pairs, wins] = [0, 0];
  for (const [i, a] of values.entries())
    for (const [j, b] of values.entries()) {
      if (known[i] !== 1 || known[j] !== 0) continue;
      pairs++;
      wins += a > b ? 1 : a === b ? 0.5 : 0;
    }
  return wins / pairs;
}

describe('auroc', () => {
  it('is the share of pairs in the right order, ties as halves', () => {
    const random = randomStream('auroc test');
    for (let round = 0; round < 20; round++) {
      // Few distinct values, so that many are equal.
      const values = Array.from({ length: 30 }, () => Math.floor(random.uniform() * 8));
      const known = values.map((value, i) => Number(i < 2 || (i > 3 && random.uniform() < value / 16)));
      expect(auroc(Float64Array.from(values), Uint8Array.from(known))).toBeCloseTo(
        slowAuroc(values, known),
        12,
      );
    }
  });

  it('is 1, 0 or a half at the ends, and nothing without both kinds', () => {
    expect(auroc(Float64Array.of(1, 2, 3), Uint8Array.of(0, 0, 1))).toBe(1);
    expect(auroc(Float64Array.of(1, 2, 3), Uint8Array.of(1, 0, 0))).toBe(0);
    expect(auroc(Float64Array.of(2, 2, 2), Uint8Array.of(1, 0, 0))).toBe(0.5);
    expect(auroc(Float64Array.of(1, 2), Uint8Array.of(0, 0))).toBeNull();
    expect(auroc(new Float64Array(0), new Uint8Array(0))).toBeNull();
  });

  it('goes with the known rows that are flagged', () => {
    const found = foundKnown(Float64Array.of(1, 5, 5, 2), Uint8Array.of(1, 1, 0, 1), (i) => i === 1);
    expect(found).toEqual({ auroc: 1 / 6, rows: 3, flagged: 1 });
  });
});
