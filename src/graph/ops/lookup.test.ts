import { describe, expect, it } from 'vitest';
import { infer } from '../../../test/helpers/op-rules.ts';

describe('gather', () => {
  it.each([
    ['bf16[100, 8]', 'i64[batch, position]', 'bf16[batch, position, 8]'],
    ['f32[100]', 'i32[4]', 'f32[4]'],
    ['f32[100, 2, 3]', 'i64[]', 'f32[2, 3]'],
  ])('rows of %s at %s are %s', (table, ids, result) => {
    expect(infer('gather', [table, ids])).toBe(result);
  });

  it('refuses other index types and scalars', () => {
    expect(() => infer('gather', ['f32[9, 2]', 'f32[3]'])).toThrow(
      'expected ids of type i32 or i64, got f32',
    );
    expect(() => infer('gather', ['f32[]', 'i64[3]'])).toThrow(
      'expected a table with at least 1 axis, got a scalar',
    );
  });
});

describe('gatherRows', () => {
  it('picks positions of each batch row', () => {
    expect(infer('gatherRows', ['f32[batch, position, 8]', 'i64[batch, query, 1]'])).toBe(
      'f32[batch, query, 8]',
    );
    expect(infer('gatherRows', ['f32[batch, position]', 'i64[batch, 2, 1]'])).toBe('f32[batch, 2]');
  });

  it.each([
    [
      'f32[batch, position, 8]',
      'i64[batch, query]',
      'expected index [batch, query, 1] with 3 axes, got [batch, query]',
    ],
    [
      'f32[batch, position, 8]',
      'i64[batch, query, 2]',
      'expected index [batch, query, 1], got a last axis of 2',
    ],
    [
      'f32[batch, position, 8]',
      'i64[rows, query, 1]',
      'expected index with the first axis of x, batch, got rows',
    ],
    ['f32[batch, position, 8]', 'i32[batch, query, 1]', 'expected index of type i64, got i32'],
    ['f32[8]', 'i64[8, query, 1]', 'expected x with at least 2 axes, got 1'],
  ])('refuses %s at %s', (x, index, message) => {
    expect(() => infer('gatherRows', [x, index])).toThrow(message);
  });
});
