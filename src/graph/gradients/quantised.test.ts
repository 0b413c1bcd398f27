import { describe, expect, it } from 'vitest';
import { gradientErrors } from '../../../test/helpers/check-gradients.ts';
import { peakGrowth } from '../../../test/helpers/peak-growth.ts';
import { f32 } from '../../../test/helpers/run-graph.ts';
import type { Value } from '../index.ts';
import { GraphBuilder, gradients } from '../index.ts';

const bytes = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => 128 + Math.round(90 * Math.sin(1.3 * i)));
const slopes = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => 0.003 + 0.001 * Math.cos(i));

describe('a product with 8-bit blocks', () => {
  it.each([
    ['whole blocks', 64],
    ['a last block that is not full', 40],
  ])('%s: its gradient is that of the dequantised weight', async (_, K) => {
    const [N, blockSize] = [3, 32];
    const blocks = Math.ceil(K / blockSize);
    const feeds = {
      x: f32(
        [2, 2, K],
        Array.from({ length: 4 * K }, (__, i) => Math.sin(1.7 * i)),
      ),
    };
    const errors = await gradientErrors({
      feeds,
      define: (g, { x }) =>
        g.matMulNBits(
          x!,
          g.constant('q', bytes(N * blocks * blockSize), [N, blocks, blockSize]),
          g.constant('scales', slopes(N * blocks), [N * blocks]),
          null,
          // Level 1: the kernel computes in fp32, so that central differences see no rounding of x.
          { K, N, bits: 8, blockSize, accuracyLevel: 1 },
        ),
    });
    expect(errors).toEqual([]);
  });

  it('refuses what stays frozen, and 4 bits', () => {
    const product = (bits: 4 | 8): { g: GraphBuilder; x: Value; scales: Value; loss: Value } => {
      const g = new GraphBuilder('frozen');
      const [x, q] = [g.input('x', 'f32', [2, 32]), g.input('q', 'u8', [4, 1, 4 * bits])];
      const scales = g.input('scales', 'f32', [4]);
      const y = g.matMulNBits(x, q, scales, null, { K: 32, N: 4, bits, blockSize: 32 }, 'y');
      return { g, x, scales, loss: g.reduceSum(y, [0, 1], { keepDims: false }) };
    };
    const eight = product(8);
    expect(() => gradients(eight.g, eight.loss, [eight.scales])).toThrow(
      'Gradient of matMulNBits (y): scales have none; expected frozen blocks; train an adapter or fp32 weights.',
    );
    const four = product(4);
    expect(() => gradients(four.g, four.loss, [four.x])).toThrow(
      'Gradient of matMulNBits (y): its weight has 4 bits; expected a weight of 8 bits or fp32.',
    );
  });
});

describe('memory of the backward pass', () => {
  it('holds few dequantised matrices at once, however many there are', () => {
    // 24 matrices of 16 MB each in fp32: 384 MB if all were dequantised at once.
    expect(peakGrowth('quantised-chain')).toBeLessThan(192 * 2 ** 20);
  });
});
