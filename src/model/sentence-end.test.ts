import { describe, expect, it } from 'vitest';
import { endsSentence } from './sentence-end.ts';

describe('endsSentence', () => {
  it.each([
    '.',
    '!',
    '?',
    '\u2026',
    '\u3002',
    '\uff01',
    '\uff1f',
    ' end.',
    '."',
    '.\u201d ',
    '?)',
    '!\u300d',
    '...',
    '\n',
    ',\n',
    'a\nb',
    '\r',
  ])('holds for %j', (text) => {
    expect(endsSentence(text)).toBe(true);
  });

  it.each(['', ' ', 'a', ',', ';', ':', '"', ')', '.5', '.a', '(', '\ufffd', '\u201c'])(
    'does not hold for %j',
    (text) => {
      expect(endsSentence(text)).toBe(false);
    },
  );
});
