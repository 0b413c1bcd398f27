import { describe, expect, it } from 'vitest';
import { infer } from '../../../test/helpers/op-rules.ts';

describe('matMul', () => {
  it.each([
    ['f32[batch, position, 8]', 'f32[8, 3]', {}, 'f32[batch, position, 3]'],
    ['f32[batch, position, 8]', 'f32[3, 8]', { transposeB: true }, 'f32[batch, position, 3]'],
    ['f32[8, 2]', 'f32[8, 3]', { transposeA: true }, 'f32[2, 3]'],
    ['f32[batch, 8, 2]', 'f32[batch, 3, 8]', { transposeA: true, transposeB: true }, 'f32[batch, 2, 3]'],
    ['f32[batch, reading, position]', 'f32[batch, position, 8]', {}, 'f32[batch, reading, 8]'],
    ['f32[heads, 1, 2, 8]', 'f32[batch, 8, 3]', { alpha: 0.5 }, 'f32[heads, batch, 2, 3]'],
    ['f32[batch, position, rank]', 'f32[5, rank]', { transposeB: true }, 'f32[batch, position, 5]'],
    ['f64[2, 0]', 'f64[0, 3]', {}, 'f64[2, 3]'],
  ])('%s × %s %o is %s', (a, b, attributes, result) => {
    expect(infer('matMul', [a, b], attributes)).toBe(result);
  });

  it.each([
    ['f32[2, 8]', 'f32[9, 3]', {}, 'expected one inner length of a and b, got 8 and 9'],
    ['f32[2, 8]', 'f32[8, 3]', { transposeB: true }, 'expected one inner length of a and b, got 8 and 3'],
    ['f32[2, rank]', 'f32[width, 3]', {}, 'expected one inner length of a and b, got rank and width'],
    ['f32[8]', 'f32[8, 3]', {}, 'expected a and b with at least 2 axes, got [8] and [8, 3]'],
    ['f32[2, 4, 8]', 'f32[3, 8, 5]', {}, 'expected axes that are equal or 1, got [2] against [3]'],
    ['f32[2, 8]', 'f16[8, 3]', {}, 'expected a and b of one element type, got f32 and f16'],
    ['bf16[2, 8]', 'bf16[8, 3]', {}, 'expected a of type f32 or f16 or f64, got bf16'],
    ['f64[2, 8]', 'f64[3, 8]', { transposeB: true }, 'expected a of type f32 or f16, got f64'],
  ])('refuses %s × %s %o', (a, b, attributes, message) => {
    expect(() => infer('matMul', [a, b], attributes)).toThrow(message);
  });
});
