import { describe, expect, it } from 'vitest';
import { infer } from '../../../test/helpers/op-rules.ts';

describe('reductions', () => {
  it.each([
    ['f32[batch, position, 8]', { axes: [1], keepDims: true }, 'f32[batch, 1, 8]'],
    ['f32[batch, position, 8]', { axes: [-1, 0], keepDims: false }, 'f32[position]'],
    ['i64[2, 3]', { axes: [0, 1], keepDims: false }, 'i64[]'],
  ])('of %s with %o is %s', (x, attributes, result) => {
    for (const op of ['reduceSum', 'reduceMean', 'reduceMax'] as const) {
      expect(infer(op, [x], attributes)).toBe(result);
    }
  });

  it.each([
    ['f32[2, 3]', [2], 'expected an axis from -2 to 1, got 2'],
    ['f32[2, 3]', [0.5], 'expected an axis from -2 to 1, got 0.5'],
    ['f32[2, 3]', [1, -1], 'expected distinct axes, got [1, -1]'],
    ['f32[2, 3]', [], 'expected at least one axis, got none'],
    ['bf16[2, 3]', [0], 'expected x of type f32 or f16 or f64 or i32 or i64, got bf16'],
  ])('of %s over %o are refused', (x, axes, message) => {
    expect(() => infer('reduceSum', [x], { axes, keepDims: true })).toThrow(message);
  });

  it('know that an empty axis has a sum but neither mean nor maximum', () => {
    const attributes = { axes: [1], keepDims: false };
    expect(infer('reduceSum', ['f32[2, 0]'], attributes)).toBe('f32[2]');
    for (const op of ['reduceMean', 'reduceMax'] as const) {
      expect(() => infer(op, ['f32[2, 0]'], attributes)).toThrow(
        'expected folded axes that are not empty, got one of length 0',
      );
    }
  });
});

describe('softmax and logSoftmax', () => {
  it.each(['softmax', 'logSoftmax'] as const)('%s keeps the type and checks its axis', (op) => {
    expect(infer(op, ['f32[batch, 8]'], { axis: -1 })).toBe('f32[batch, 8]');
    expect(() => infer(op, ['f32[batch, 8]'], { axis: 2 })).toThrow('expected an axis from -2 to 1, got 2');
    expect(() => infer(op, ['i64[batch, 8]'], { axis: 0 })).toThrow(
      'expected x of type f32 or f16 or f64, got i64',
    );
  });
});
