import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearestName } from './nearest.ts';

describe('nearestName', () => {
  const known = ['layer', 'vector', 'coef', 'positions', 'min', 'max'];

  it('finds what a slip of the finger meant', () => {
    expect(nearestName('layers', known)).toBe('layer');
    expect(nearestName('vecotr', known)).toBe('vector');
    expect(nearestName('position', known)).toBe('positions');
    expect(nearestName('Coef', known)).toBe('coef');
  });

  it('suggests nothing for a stranger', () => {
    expect(nearestName('temperature', known)).toBeNull();
    expect(nearestName('', known)).toBeNull();
    expect(nearestName('x'.repeat(10_000), known)).toBeNull();
    expect(nearestName('layer', [])).toBeNull();
  });

  it('takes a known name as itself and survives any text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 20 }), fc.array(fc.string({ maxLength: 20 })), (name, others) => {
        expect(nearestName(name, [...others, name])?.toLowerCase()).toBe(name.toLowerCase());
        const found = nearestName(name, others);
        expect(found === null || others.includes(found)).toBe(true);
      }),
    );
  });
});
