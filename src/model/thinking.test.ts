import { describe, expect, it } from 'vitest';
import { thinkTokensOf, withoutThoughts } from './thinking.ts';

const tokens = { open: 8, close: 9 };
const added = (id: number, content: string) => ({ id, content, special: false }) as never;

describe('withoutThoughts', () => {
  it.each([
    ['a span with its delimiters', [1], [8, 2, 9, 3, 4], [3, 4]],
    ['several spans', [1], [3, 8, 2, 9, 4, 8, 9, 5], [3, 4, 5]],
    ['one that the prompt opened', [1, 8], [2, 2, 9, 3], [3]],
    ['one that the prompt opened and closed', [8, 9], [3, 4], [3, 4]],
    ['one that is never closed', [1], [3, 8, 2, 2], [3]],
    ['a close that nothing opened', [1], [3, 9, 4], [3, 9, 4]],
  ])('leaves out %s', (_, prompt, reply, expected) => {
    expect(withoutThoughts(tokens, prompt, reply)).toEqual(expected);
  });

  it('leaves a reply alone where the tokenizer has no such tokens', () => {
    expect(withoutThoughts(null, [1], [8, 9])).toEqual([8, 9]);
  });
});

describe('thinkTokensOf', () => {
  it('wants both', () => {
    const both = { addedTokens: [added(8, '<think>'), added(9, '</think>')] };
    expect(thinkTokensOf(both)).toEqual(tokens);
    expect(thinkTokensOf({ addedTokens: [added(8, '<think>')] })).toBeNull();
    expect(thinkTokensOf(null)).toBeNull();
  });
});
