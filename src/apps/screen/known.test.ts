import { describe, expect, it } from 'vitest';
import { foundKnown } from './known.ts';

describe('foundKnown', () => {
  it('tells known rows from others by their values, and counts those that are flagged', () => {
    const found = foundKnown(Float64Array.of(1, 5, 5, 2), Uint8Array.of(1, 1, 0, 1), (i) => i === 1);
    expect(found).toEqual({ auroc: 1 / 6, rows: 3, flagged: 1 });
  });

  it('leaves rows without a value out of the area, and has none where all rows are of one kind', () => {
    const none = (): boolean => false;
    const values = Float64Array.of(1, NaN, 3, NaN);
    expect(foundKnown(values, Uint8Array.of(0, 0, 1, 1), none)).toEqual({ auroc: 1, rows: 2, flagged: 0 });
    expect(foundKnown(values, Uint8Array.of(0, 0, 0, 1), none)).toBeNull();
  });
});
