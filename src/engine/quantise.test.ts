import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runGraph } from '../../test/helpers/run-graph.ts';
import { ModelError } from '../errors.ts';
import { GraphBuilder } from '../graph/graph.ts';
import { randomStream } from '../util/random.ts';
import { type BlockFormat, blocksPerRow, bytesPerBlock, dequantiseRows, quantiseRows } from './quantise.ts';
import { roundHalfEven } from './quantise.ts';
import { cosine } from '../util/vectors.ts';

const origin = { name: 'w', firstRow: 0 };
const formats: readonly BlockFormat[] = ([8, 4] as const).flatMap((bits) =>
  ([32, 128] as const).map((blockSize) => ({ bits, blockSize })),
);
const named = formats.map((format) => [`int${format.bits}, block ${format.blockSize}`, format] as const);

/** Rows of weights of any size in reach, with exact zeros and repeated extremes among them. */
const anyRows = fc
  .record({ columns: fc.integer({ min: 1, max: 200 }), rows: fc.integer({ min: 1, max: 3 }) })
  .chain(({ columns, rows }) => {
    const weight = fc.oneof(
      { weight: 6, arbitrary: fc.double({ min: -1, max: 1, noNaN: true }) },
      { weight: 1, arbitrary: fc.constantFrom(0, -0, 1, -1, 0.5) },
    );
    const values = fc.array(weight, { minLength: columns * rows, maxLength: columns * rows });
    const exponent = fc.integer({ min: -90, max: 90 });
    return fc.tuple(values, exponent).map(([values, exponent]) => ({
      columns,
      weights: Float32Array.from(values, (value) => value * 2 ** exponent),
    }));
  });

function squaredError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);
}

describe.each(named)('quantiseRows (%s)', (_, format) => {
  const roundTrip = (weights: Float32Array, columns: number): Float32Array =>
    dequantiseRows(quantiseRows(weights, columns, format, origin), columns, format);

  it('fills the layout, padding with the zero point', () => {
    fc.assert(
      fc.property(anyRows, ({ weights, columns }) => {
        const { q, scales } = quantiseRows(weights, columns, format, origin);
        const rows = weights.length / columns;
        const blocks = blocksPerRow(columns, format);
        const blockBytes = bytesPerBlock(format);
        expect(scales).toHaveLength(rows * blocks);
        expect(q).toHaveLength(rows * blocks * blockBytes);
        const used = Math.ceil(((columns - (blocks - 1) * format.blockSize) * format.bits) / 8);
        for (let row = 1; row <= rows; row++) {
          const padding = q.subarray(
            row * blocks * blockBytes - (blockBytes - used),
            row * blocks * blockBytes,
          );
          expect(new Set([format.bits === 8 ? 0x80 : 0x88, ...padding]).size).toBe(1);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('gives equal bytes for equal weights, and for rows one by one', () => {
    fc.assert(
      fc.property(anyRows, ({ weights, columns }) => {
        const whole = quantiseRows(weights, columns, format, origin);
        const last = quantiseRows(weights.slice(-columns), columns, format, { name: 'w', firstRow: 1 });
        expect(whole.q.subarray(-last.q.length)).toEqual(last.q);
        expect(whole.scales.subarray(-last.scales.length)).toEqual(last.scales);
      }),
      { numRuns: 30 },
    );
  });

  it('keeps zeros, and blocks of nothing else have the scale 0', () => {
    const weights = new Float32Array(2 * 150);
    weights[299] = 2 ** -140;
    const { q, scales } = quantiseRows(weights, 150, format, origin);
    expect(new Set(scales)).toEqual(new Set([0]));
    expect(new Set(q)).toEqual(new Set([format.bits === 8 ? 0x80 : 0x88]));
    expect(roundTrip(weights, 150)).toEqual(new Float32Array(300));
  });

  it.each([NaN, Infinity, -Infinity])('refuses %d and says where it is', (value) => {
    const weights = Float32Array.from({ length: 300 }, (_, i) => Math.sin(i));
    weights[207] = value;
    const quantise = (): unknown => quantiseRows(weights, 100, format, { name: 'model.norm', firstRow: 40 });
    expect(quantise).toThrow(ModelError);
    expect(quantise).toThrow(`in tensor "model.norm", got ${value} in row 42, column 7`);
  });

  it('agrees with the runtime on what the bytes mean', async () => {
    for (const K of [format.blockSize, 328, 3 * format.blockSize - 5]) {
      const [N, rows] = [24, 4];
      const random = randomStream('product', K, format.bits, format.blockSize);
      const weights = Float32Array.from({ length: N * K }, () => 0.02 * random.normal());
      const x = Float32Array.from({ length: rows * K }, () => random.normal());
      const quantised = quantiseRows(weights, K, format, origin);
      const y = await product(x, rows, K, N, format, quantised);
      const expected = plainProduct(x, dequantiseRows(quantised, K, format), rows, K, N);
      expect(cosine(y, expected)).toBeGreaterThan(0.999);
      // The cosine forgives a factor.
      expect(squaredError(y, expected)).toBeLessThan(
        0.002 * squaredError(expected, new Float32Array(y.length)),
      );
    }
  });
});

describe.each(named.slice(0, 2))('8 bits (%s)', (_, format) => {
  it('is off by at most half a scale', () => {
    fc.assert(
      fc.property(anyRows, ({ weights, columns }) => {
        const quantised = quantiseRows(weights, columns, format, origin);
        const back = dequantiseRows(quantised, columns, format);
        weights.forEach((weight, i) => {
          const block =
            Math.floor(i / columns) * blocksPerRow(columns, format) +
            Math.floor((i % columns) / format.blockSize);
          const scale = quantised.scales[block]!;
          // Beside the half, 127 times what the scale itself is rounded by.
          const bound = scale === 0 ? 127 * 2 ** -126 : scale * (0.5 + 127 * 2 ** -23);
          expect(Math.abs(back[i]! - weight)).toBeLessThanOrEqual(bound);
        });
      }),
    );
  });

  it('quantises what it gave to the same bytes, and negated weights to negated ones', () => {
    fc.assert(
      fc.property(anyRows, ({ weights, columns }) => {
        const once = quantiseRows(weights, columns, format, origin);
        const twice = quantiseRows(dequantiseRows(once, columns, format), columns, format, origin);
        expect(twice.q).toEqual(once.q);
        const negated = quantiseRows(
          weights.map((weight) => -weight),
          columns,
          format,
          origin,
        );
        expect(negated.scales).toEqual(once.scales);
        expect(negated.q).toEqual(once.q.map((byte) => 256 - byte));
      }),
    );
  });

  it('puts the extreme at 127', () => {
    const weights = Float32Array.from({ length: format.blockSize }, (_, i) => i - 40);
    const { q, scales } = quantiseRows(weights, weights.length, format, origin);
    const extreme = Math.max(40, format.blockSize - 41);
    expect(scales).toEqual(Float32Array.of(extreme / 127));
    expect(Math.max(...Array.from(q, (byte) => Math.abs(byte - 128)))).toBe(127);
  });
});

describe.each(named.slice(2))('4 bits (%s)', (_, format) => {
  /** Each block with its extreme at −8 or at 7 of its scale, as simpler schemes do it. */
  const simple = (weights: Float32Array, columns: number, place: number): Float32Array =>
    weights.map((weight, i) => {
      const row = Math.floor(i / columns) * columns;
      const begin = row + Math.floor((i % columns) / format.blockSize) * format.blockSize;
      const block = weights.subarray(begin, Math.min(begin + format.blockSize, row + columns));
      const extreme = block.reduce((best, w) => (Math.abs(w) > Math.abs(best) ? w : best), 0);
      const scale = extreme / place;
      return scale === 0 ? 0 : scale * Math.min(7, Math.max(-8, Math.round(weight / scale)));
    });

  it.each([-8, 7])('has no larger error than a scale with the extreme at %d', (place) => {
    fc.assert(
      fc.property(anyRows, ({ weights, columns }) => {
        const quantised = quantiseRows(weights, columns, format, origin);
        const own = squaredError(dequantiseRows(quantised, columns, format), weights);
        const size = squaredError(weights, new Float32Array(weights.length));
        expect(own).toBeLessThanOrEqual(
          squaredError(simple(weights, columns, place), weights) + 1e-6 * size + 2 ** -240,
        );
      }),
    );
  });

  it('finds the scale of weights that 4 bits hold exactly, of either sign', () => {
    for (const scale of [0.25, -0.25]) {
      const levels = Array.from({ length: 2 * format.blockSize }, (_, i) => ((7 * i) % 16) - 8);
      const weights = Float32Array.from(levels, (level) => level * scale);
      const quantised = quantiseRows(weights, format.blockSize, format, origin);
      expect(dequantiseRows(quantised, format.blockSize, format)).toEqual(weights);
      expect(quantised.scales).toEqual(Float32Array.of(scale, scale));
    }
  });

  it('puts the earlier of two weights into the lower half', () => {
    const weights = new Float32Array(format.blockSize);
    weights.set([-8, 3, 7, -2]);
    const { q } = quantiseRows(weights, weights.length, format, origin);
    expect([...q.subarray(0, 3)]).toEqual([0xb0, 0x6f, 0x88]);
  });

  it('leaves about the error on normal weights that a search of a hundred scales does', () => {
    const random = randomStream('normal');
    const weights = Float32Array.from({ length: 64 * 1024 }, () => random.normal());
    const quantised = quantiseRows(weights, 1024, format, origin);
    const error = squaredError(dequantiseRows(quantised, 1024, format), weights);
    const relative = Math.sqrt(error / squaredError(weights, new Float32Array(weights.length)));
    // The search: 0.0810 and 0.0966; the extreme at −8: 0.0861 and 0.1033.
    expect(relative).toBeLessThan(format.blockSize === 32 ? 0.0818 : 0.0976);
  });
});

describe('roundHalfEven', () => {
  it.each([
    [0.5, 0],
    [1.5, 2],
    [-0.5, 0],
    [-1.5, -2],
    [2.499, 2],
    [-126.51, -127],
    [0.5000001, 1],
  ])('%d → %d', (value, rounded) => {
    expect(roundHalfEven(value) + 0).toBe(rounded);
  });
});

async function product(
  x: Float32Array,
  rows: number,
  K: number,
  N: number,
  format: BlockFormat,
  { q, scales }: { readonly q: Uint8Array; readonly scales: Float32Array },
): Promise<Float32Array> {
  const g = new GraphBuilder('product');
  const shape = [N, blocksPerRow(K, format), bytesPerBlock(format)];
  const y = g.matMulNBits(
    g.input('x', 'f32', ['batch', K]),
    g.constant('q', q, shape),
    g.constant('scales', scales, [scales.length]),
    null,
    { K, N, ...format, accuracyLevel: 4 },
  );
  g.output('y', y);
  const results = await runGraph(g.build(), { x: { dims: [rows, K], data: x } });
  return results['y']!.data as Float32Array;
}

function plainProduct(
  x: Float32Array,
  weights: Float32Array,
  rows: number,
  K: number,
  N: number,
): Float32Array {
  return Float32Array.from({ length: rows * N }, (_, i) => {
    const [a, b] = [Math.floor(i / N) * K, (i % N) * K];
    let sum = 0;
    for (let k = 0; k < K; k++) sum += x[a + k]! * weights[b + k]!;
    return sum;
  });
}
