import { describe, expect, it } from 'vitest';
import { vectorOf } from '../../../test/helpers/vectors.ts';
import { finetuningShift } from './shift.ts';

describe('the finetuning shift', () => {
  it('is the mean movement along the unit vector, layer by layer, as computed by hand', () => {
    // Two layers of width 2, and the embeddings before them; the vector is zero at layer 1.
    const vector = vectorOf('t', [
      [9, 9],
      [0, 0],
      [3, 4],
    ]);
    const base = [Float32Array.of(0, 0, 1, 1, 2, 2), Float32Array.of(0, 0, 1, 1, 0, 0)];
    const tuned = [Float32Array.of(5, 5, 2, 2, 7, 2), Float32Array.of(5, 5, 2, 2, 0, 10)];
    const shifts = finetuningShift(base, tuned, vector, 'test');
    expect(shifts.map(({ layer }) => layer)).toEqual([2]);
    // (5·3)/5 = 3 and (10·4)/5 = 8; both moved, by 5 and by 10.
    expect(shifts[0]!.shift).toBeCloseTo(5.5, 12);
    expect(shifts[0]!.moved).toBeCloseTo(7.5, 12);
    expect(shifts[0]!.interval).toEqual({ lower: 3, upper: 8 });
  });

  it('does not depend on the vector’s length, and turns with its sign', () => {
    const base = [Float32Array.of(0, 0, 1, 2), Float32Array.of(0, 0, 0, 1)];
    const tuned = [Float32Array.of(0, 0, 3, 1), Float32Array.of(0, 0, 2, 5)];
    const shiftOf = (factor: number): number =>
      finetuningShift(
        base,
        tuned,
        vectorOf('t', [
          [0, 0],
          [factor, 2 * factor],
        ]),
        'a',
      )[0]!.shift;
    expect(shiftOf(7)).toBeCloseTo(shiftOf(1), 6);
    expect(shiftOf(-1)).toBeCloseTo(-shiftOf(1), 6);
  });
});
