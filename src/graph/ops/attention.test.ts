import { describe, expect, it } from 'vitest';
import { infer } from '../../../test/helpers/op-rules.ts';

describe('rotaryEmbedding', () => {
  const types = ['f32[batch, position, 16]', 'i64[batch, position]', 'f32[100, 4]', 'f32[100, 4]'];

  it('keeps the type', () => {
    expect(infer('rotaryEmbedding', types, { heads: 2 })).toBe('f32[batch, position, 16]');
  });

  it.each([
    [0, 'f32[batch, 16]', 'expected x [batch, position, heads × head size] with 3 axes, got [batch, 16]'],
    [
      0,
      'f32[batch, position, 15]',
      'expected a last axis that is a multiple of 2 heads, got [batch, position, 15]',
    ],
    [0, 'f32[batch, position, 6]', 'expected an even head size, got 3'],
    [1, 'i64[1, position]', 'expected positions of type i64[batch, position], got i64[1, position]'],
    [1, 'i32[batch, position]', 'expected positions of type i64[batch, position], got i32[batch, position]'],
    [2, 'f32[100, 8]', 'expected cos of type f32[100, 4], got f32[100, 8]'],
    [3, 'f32[99, 4]', 'expected sin of type f32[100, 4], got f32[99, 4]'],
  ])('refuses input %i of type %s', (index, type, message) => {
    expect(() => infer('rotaryEmbedding', types.with(index, type), { heads: 2 })).toThrow(message);
  });
});

describe('groupQueryAttention', () => {
  const attributes = { heads: 4, kvHeads: 2, rotary: true };
  const types = [
    'f32[batch, position, 64]',
    'f32[batch, position, 32]',
    'f32[batch, position, 32]',
    'f32[batch, 2, capacity, 16]',
    'f32[batch, 2, capacity, 16]',
    'i32[batch]',
    'i32[1]',
    'f32[100, 8]',
    'f32[100, 8]',
  ];
  const cache = 'f32[batch, 2, capacity, 16]';

  it('gives the mixed values and the cache', () => {
    expect(infer('groupQueryAttention', types, attributes)).toBe(
      `f32[batch, position, 64] ${cache} ${cache}`,
    );
  });

  it('takes queries, keys and values packed along the last axis', () => {
    const packed = ['f32[batch, position, 128]', null, null, ...types.slice(3)];
    expect(infer('groupQueryAttention', packed, attributes)).toBe(
      `f32[batch, position, 64] ${cache} ${cache}`,
    );
    expect(() =>
      infer('groupQueryAttention', types.with(0, 'f32[batch, position, 128]'), attributes),
    ).toThrow('expected key of type f32[batch, position, 64], got f32[batch, position, 32]');
    expect(() => infer('groupQueryAttention', [types[0]!, null, ...types.slice(2)], attributes)).toThrow(
      'expected an input key, got none',
    );
  });

  it.each([
    [0, 'f32[batch, 64]', 'expected query [batch, position, width] with 3 axes, got [batch, 64]'],
    [0, 'f64[batch, position, 64]', 'expected query of type f32 or f16, got f64'],
    [
      0,
      'f32[batch, position, 66]',
      'expected a last axis that is a multiple of 4 heads, got [batch, position, 66]',
    ],
    [2, 'f32[batch, 1, 32]', 'expected value of type f32[batch, position, 32], got f32[batch, 1, 32]'],
    [
      3,
      'f32[batch, capacity, 2, 16]',
      'expected pastKey of type f32[batch, 2, 2, 16], got f32[batch, capacity, 2, 16]',
    ],
    [
      3,
      'f32[batch, 2, 16]',
      'expected pastKey [batch, kvHeads, capacity, head size] with 4 axes, got [batch, 2, 16]',
    ],
    [
      4,
      'f32[batch, 2, 8, 16]',
      'expected pastValue of type f32[batch, 2, capacity, 16], got f32[batch, 2, 8, 16]',
    ],
    [5, 'i64[batch]', 'expected seqlens of type i32[batch], got i64[batch]'],
    [6, 'i32[]', 'expected total of type i32[1], got i32[]'],
    [7, 'f32[100, 16]', 'expected cos of type f32[100, 8], got f32[100, 16]'],
  ])('refuses input %i of type %s', (index, type, message) => {
    expect(() => infer('groupQueryAttention', types.with(index, type), attributes)).toThrow(message);
  });

  it.each([
    [{ heads: 3 }, 'expected heads as a positive multiple of kvHeads, got 3 and 2'],
    [{ window: 0 }, 'expected a window of at least 1 position, got 0'],
    [{ window: 2.5 }, 'expected a window of at least 1 position, got 2.5'],
    [{ softcap: 0 }, 'expected a softcap > 0, got 0'],
    [{ scale: 0 }, 'expected a scale > 0, got 0'],
    [{ rotary: false }, 'expected cos and sin only with rotary, got them without'],
    [{ heads: 8, kvHeads: 4 }, 'expected a head size that is a multiple of 16 (rotate outside), got 8'],
  ])('refuses attributes %o', (changed, message) => {
    expect(() => infer('groupQueryAttention', types, { ...attributes, ...changed })).toThrow(message);
  });

  it('wants the rotary tables where it rotates, and a head size in blocks of 8 where it does not', () => {
    expect(() => infer('groupQueryAttention', types.slice(0, 7), attributes)).toThrow(
      'expected an input cos, got none',
    );
    const narrow = [
      'f32[batch, position, 48]',
      'f32[batch, position, 24]',
      'f32[batch, position, 24]',
      ...types.slice(3, 7),
    ];
    expect(() => infer('groupQueryAttention', narrow, { ...attributes, rotary: false })).toThrow(
      'expected a head size that is a multiple of 8, got 12',
    );
  });
});
