import { describe, expect, it } from 'vitest';
import { pythonInt } from './python-int.ts';

describe('pythonInt', () => {
  // What CPython 3 answers to int(text).
  it.each([
    ['50', 50],
    [' 50', 50],
    ['\t5\n', 5],
    ['+5', 5],
    ['-7', -7],
    ['-0', 0],
    ['007', 7],
    ['1_0', 10],
    ['\u00855', 5],
    ['\u00a05', 5],
    ['\u20005', 5],
    ['٣', 3],
    ['１２', 12],
    ['𝟓𝟎', 50],
    ['٣5', 35],
  ])('reads %j', (text, value) => {
    expect(pythonInt(text)).toBe(value);
  });

  it.each(['', '+', '+ 5', '--5', '5.0', '5%', '0x10', '1e2', '_1', '1__0', '1_', 'five', '½', '²', '5 0'])(
    'refuses %j',
    (text) => {
      expect(pythonInt(text)).toBeNull();
    },
  );

  it.each(['\u001c5', '5\u001f', '\ufeff5', '\u180e5'])(
    'refuses %j, whose blank is none to Python',
    (text) => {
      expect(pythonInt(text)).toBeNull();
    },
  );
});
