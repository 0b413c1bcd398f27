import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { breakSpellings, splitAtSpellings } from './spellings.ts';

const spelled = ['<|a|>', '|a|>', '<|a|>x', '.*', '\u{1f642}!'].map((content) => ({ content }));
const marker = '\ue000';
const text = fc.array(fc.constantFrom('<', '|', 'a', '>', 'x', '.', '*', '\u{1f642}', '!', ' '), {
  maxLength: 20,
});

describe('splitAtSpellings', () => {
  it('cuts leftmost first and longest first', () => {
    expect(splitAtSpellings('b<|a|>xc|a|>', spelled)).toEqual(['b', spelled[2], 'c', spelled[1]]);
    expect(splitAtSpellings('', spelled)).toEqual([]);
    expect(splitAtSpellings('b', [])).toEqual(['b']);
  });

  it('loses nothing', () => {
    fc.assert(
      fc.property(text, (parts) => {
        const pieces = splitAtSpellings(parts.join(''), spelled);
        expect(pieces).not.toContain('');
        expect(pieces.map((piece) => (typeof piece === 'string' ? piece : piece.content)).join('')).toBe(
          parts.join(''),
        );
      }),
    );
  });
});

describe('breakSpellings', () => {
  it('puts the marker after the first character', () => {
    expect(breakSpellings('b<|a|>\u{1f642}!', spelled, '#')).toBe('b<#|#a|>\u{1f642}#!');
  });

  it('leaves no spelling behind and takes nothing away', () => {
    fc.assert(
      fc.property(text, (parts) => {
        const broken = breakSpellings(parts.join(''), spelled, marker);
        for (const { content } of spelled) expect(broken).not.toContain(content);
        expect(broken.replaceAll(marker, '')).toBe(parts.join(''));
      }),
    );
  });
});
