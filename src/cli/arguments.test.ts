import { InvalidArgumentError } from '@commander-js/extra-typings';
import { describe, expect, it } from 'vitest';
import { decimal, namesOf, numbers, tokenIds, wholeNumber, wholeNumbers } from './arguments.ts';

describe('flags', () => {
  it('are parsed when they say what they should', () => {
    expect(wholeNumber(1)('7')).toBe(7);
    expect(decimal(0)('.5')).toBe(0.5);
    expect(decimal(0)('1e-3')).toBe(0.001);
    expect(numbers('-2, 0.5,2')).toEqual([-2, 0.5, 2]);
    expect(wholeNumbers('1,20')).toEqual([1, 20]);
    expect(tokenIds('1, 2,3')).toEqual([1, 2, 3]);
    expect(namesOf(['a', 'b'])('b,a')).toEqual(['b', 'a']);
  });

  it.each([
    ['1.5', wholeNumber(0)],
    ['0', wholeNumber(1)],
    ['', wholeNumber(0)],
    ['0x10', wholeNumber(0)],
    ['99999999999999999999', wholeNumber(0)],
    ['Infinity', decimal(0)],
    ['1.01', decimal(0, 1)],
    ['-0.1', decimal(0)],
    ['1,,2', numbers],
    ['1,-2', tokenIds],
    ['', tokenIds],
    ['a,c', namesOf(['a', 'b'])],
    ['a,a', namesOf(['a', 'b'])],
  ])('refuse %j', (text, parse) => {
    expect(() => parse(text)).toThrow(InvalidArgumentError);
    expect(() => parse(text)).toThrow(/^Expected /);
  });
});
