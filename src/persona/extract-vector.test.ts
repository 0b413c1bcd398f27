import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { differenceOfMeans } from './extract-vector.ts';

const readFrom =
  (records: Readonly<Record<string, readonly (readonly number[])[]>>) => (pooling: string, index: number) =>
    Promise.resolve(Float32Array.from(records[pooling]![index]!));

describe('differenceOfMeans', () => {
  it('is mean of positive minus mean of negative, for every pooling', async () => {
    const read = readFrom({
      a: [
        [1, 2],
        [3, 4],
        [10, 0],
        [20, 8],
      ],
      b: [
        [1, 1],
        [1, 1],
        [0, 0],
        [0, 2],
      ],
    });
    const vectors = await differenceOfMeans({ pos: [2, 3], neg: [0, 1] }, ['a', 'b'], read);
    expect([...vectors]).toEqual([
      ['a', Float32Array.of(13, 1)],
      ['b', Float32Array.of(-1, 0)],
    ]);
  });

  it('sums in double precision: what single precision would lose stays', async () => {
    // 2^24 + 1 is no single-precision number, so a sum in that precision would end at 2^24.
    const big = 2 ** 24;
    const records = [[big], ...Array.from({ length: 8 }, () => [1]), ...Array.from({ length: 9 }, () => [0])];
    const places = Array.from({ length: 9 }, (_, i) => i);
    const rows = { pos: places, neg: places.map((place) => place + 9) };
    const vectors = await differenceOfMeans(rows, ['a'], readFrom({ a: records }));
    expect(vectors.get('a')).toEqual(Float32Array.of(Math.fround((big + 8) / 9)));
  });

  it('equals the sum written out, in the order of the rows, bit for bit', async () => {
    const value = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(value, value), { minLength: 1, maxLength: 20 }), async (rows) => {
        const records = rows.flatMap(([positive, negative]) => [[positive], [negative]]);
        const kept = { pos: rows.map((_, i) => 2 * i), neg: rows.map((_, i) => 2 * i + 1) };
        const mean = (side: 0 | 1): number => rows.reduce((sum, row) => sum + row[side], 0) / rows.length;
        const vectors = await differenceOfMeans(kept, ['a'], readFrom({ a: records }));
        expect(vectors.get('a')![0]).toBe(Math.fround(mean(0) - mean(1)));
      }),
    );
  });

  it('names a rollout whose activations are not finite', async () => {
    const read = readFrom({ a: [[1], [NaN], [2], [3]] });
    const rows = { pos: [0, 1], neg: [2, 3] };
    await expect(differenceOfMeans(rows, ['a'], read)).rejects.toThrow('got others in "a" of rollout 1');
  });
});
