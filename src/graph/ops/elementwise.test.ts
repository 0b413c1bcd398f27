import { describe, expect, it } from 'vitest';
import { infer } from '../../../test/helpers/op-rules.ts';
import { GraphError } from '../../errors.ts';

describe('binary ops', () => {
  it.each([
    ['f32[batch, 4]', 'f32[batch, 4]', 'f32[batch, 4]'],
    ['f32[batch, position, 4]', 'f32[4]', 'f32[batch, position, 4]'],
    ['f32[batch, 1, 4]', 'f32[position, 1]', 'f32[batch, position, 4]'],
    ['f32[]', 'f32[2, 3]', 'f32[2, 3]'],
    ['f32[1, 0]', 'f32[5, 1]', 'f32[5, 0]'],
    ['i64[3]', 'i64[3]', 'i64[3]'],
    ['f64[3]', 'f64[1]', 'f64[3]'],
  ])('broadcast %s and %s to %s', (a, b, result) => {
    for (const op of ['add', 'sub', 'mul', 'div', 'min', 'max'] as const) {
      expect(infer(op, [a, b])).toBe(result);
    }
  });

  it.each([
    ['f32[2, 3]', 'f32[2, 4]', 'expected axes that are equal or 1, got [2, 3] against [2, 4]'],
    ['f32[batch]', 'f32[position]', 'expected axes that are equal or 1, got [batch] against [position]'],
    ['f32[batch]', 'f32[4]', 'expected axes that are equal or 1, got [batch] against [4]'],
    ['f32[0]', 'f32[2]', 'expected axes that are equal or 1, got [0] against [2]'],
    ['f32[2]', 'f16[2]', 'expected a and b of one element type, got f32 and f16'],
    ['bf16[2]', 'bf16[2]', 'expected a of type f32 or f16 or f64 or i32 or i64, got bf16'],
    ['bool[2]', 'bool[2]', 'expected a of type f32 or f16 or f64 or i32 or i64, got bool'],
  ])('refuse %s and %s', (a, b, message) => {
    expect(() => infer('mul', [a, b])).toThrow(`mul(%0 a: ${a}, %1 b: ${b}): ${message}.`);
  });

  it('say which input is missing, in a GraphError with the facts as fields', () => {
    expect(() => infer('add', ['f32[2]'])).toThrow('expected an input b, got none');
    const refused = (): string => infer('add', ['f32[2]', 'f32[3]']);
    const details = {
      op: 'add',
      inputs: '%0 a: f32[2], %1 b: f32[3]',
      expected: 'axes that are equal or 1',
      got: '[2] against [3]',
    };
    expect(refused).toThrow(GraphError);
    expect(refused).toThrow(expect.objectContaining({ code: 'graph', details }));
  });
});

describe('unary ops', () => {
  it.each(['exp', 'log', 'sqrt', 'reciprocal', 'sigmoid', 'silu', 'tanh', 'neg', 'identity'] as const)(
    '%s keeps the type',
    (op) => {
      expect(infer(op, ['f32[batch, 3]'])).toBe('f32[batch, 3]');
    },
  );

  it('refuse element types that they do not compute', () => {
    expect(() => infer('exp', ['i64[2]'])).toThrow('expected x of type f32 or f16 or f64, got i64');
    expect(() => infer('silu', ['f64[2]'])).toThrow('expected x of type f32 or f16, got f64');
    expect(() => infer('neg', ['u8[2]'])).toThrow(
      'expected x of type f32 or f16 or f64 or i32 or i64, got u8',
    );
    expect(infer('neg', ['i64[2]'])).toBe('i64[2]');
    expect(infer('identity', ['bf16[2]'])).toBe('bf16[2]');
  });

  it('cast changes the element type alone', () => {
    expect(infer('cast', ['bf16[batch, 3]'], { to: 'f32' })).toBe('f32[batch, 3]');
  });
});
