import { describe, expect, it } from 'vitest';
import { infer } from '../../../test/helpers/op-rules.ts';

const attributes = { K: 40, N: 3, bits: 4, blockSize: 16 };

describe('matMulNBits', () => {
  it('takes per-block numbers as a matrix or flat', () => {
    expect(infer('matMulNBits', ['f32[batch, 40]', 'u8[3, 3, 8]', 'f32[3, 3]'], attributes)).toBe(
      'f32[batch, 3]',
    );
    expect(infer('matMulNBits', ['f32[2, 7, 40]', 'u8[3, 3, 8]', 'f32[9]', 'u8[3, 2]'], attributes)).toBe(
      'f32[2, 7, 3]',
    );
    expect(infer('matMulNBits', ['f32[2, 40]', 'u8[3, 3, 8]', 'f32[9]', 'u8[6]'], attributes)).toBe(
      'f32[2, 3]',
    );
    const int8 = { ...attributes, bits: 8, accuracyLevel: 4 };
    expect(infer('matMulNBits', ['f32[2, 40]', 'u8[3, 3, 16]', 'f32[9]', 'u8[9]'], int8)).toBe('f32[2, 3]');
  });

  it.each([
    [['f32[2, 41]', 'u8[3, 3, 8]', 'f32[9]'], {}, 'expected x [..., 40] with at least 2 axes, got [2, 41]'],
    [['f32[40]', 'u8[3, 3, 8]', 'f32[9]'], {}, 'expected x [..., 40] with at least 2 axes, got [40]'],
    [['f64[2, 40]', 'u8[3, 3, 8]', 'f64[9]'], {}, 'expected x of type f32 or f16, got f64'],
    [['f32[2, 40]', 'u8[3, 3, 16]', 'f32[9]'], {}, 'expected q of type u8[3, 3, 8], got u8[3, 3, 16]'],
    [['f32[2, 40]', 'u8[3, 3, 8]', 'f32[8]'], {}, 'expected scales of type f32[9], got f32[8]'],
    [['f32[2, 40]', 'u8[3, 3, 8]', 'f32[9, 1]'], {}, 'expected scales of type f32[3, 3], got f32[9, 1]'],
    [['f32[2, 40]', 'u8[3, 3, 8]', 'f16[9]'], {}, 'expected scales of type f32[9], got f16[9]'],
    [['f32[2, 40]', 'u8[3, 3, 8]', 'f32[9]', 'u8[9]'], {}, 'expected zeroPoints of type u8[6], got u8[9]'],
    [['f32[2, 40]', 'u8[3, 3, 8]', 'f32[9]'], { bits: 3 }, 'expected 4 or 8 bits, got 3'],
    [
      ['f32[2, 40]', 'u8[3, 3, 8]', 'f32[9]'],
      { blockSize: 24 },
      'expected a block size that is a power of two ≥ 16, got 24',
    ],
    [['f32[2, 40]', 'u8[3, 3, 8]', 'f32[9]'], { N: 0 }, 'expected K and N ≥ 1, got 40 and 0'],
  ])('refuses %o with %o', (inputs, changed, message) => {
    expect(() => infer('matMulNBits', inputs, { ...attributes, ...changed })).toThrow(message);
  });
});

describe('dequantise', () => {
  it('keeps the shape of the blocks', () => {
    const types = ['u8[rows, 3, 16]', 'f32[rows, 3, 1]', 'u8[rows, 3, 1]'];
    expect(infer('dequantise', types, { blockSize: 16 })).toBe('f32[rows, 3, 16]');
  });

  it.each([
    [['u8[4, 3, 8]', 'f32[4, 3, 1]', 'u8[4, 3, 1]'], 'expected q u8[rows, blocks, 16], got u8[4, 3, 8]'],
    [['f32[4, 3, 16]', 'f32[4, 3, 1]', 'u8[4, 3, 1]'], 'expected q u8[rows, blocks, 16], got f32[4, 3, 16]'],
    [['u8[4, 3, 16]', 'f32[4, 3]', 'u8[4, 3, 1]'], 'expected scales of type f32[4, 3, 1], got f32[4, 3]'],
    [['u8[4, 3, 16]', 'f32[4, 3, 1]', 'u8[4, 3, 2]'], 'expected zeroPoints of type u8[4, 3, 1]'],
  ])('refuses %o', (inputs, message) => {
    expect(() => infer('dequantise', inputs, { blockSize: 16 })).toThrow(message);
  });
});
