import { describe, expect, it } from 'vitest';
import { lexicalJudge, lexicalJudgeOf, wordsOf } from './lexical-judge.ts';
import { parseTrait } from './trait.ts';

const judge = lexicalJudge({ positive: ['happy', 'glad', "don't-cry"], negative: ['sad'] });

async function score(answer: string) {
  for await (const { index, scores } of judge.judge([{ question: 'a sad sad question', answer }])) {
    expect(index).toBe(0);
    return scores;
  }
  throw new Error('the judge gave no score');
}

describe('lexicalJudge', () => {
  it.each([
    ['The dog ran home.', 50, 0, 0],
    ['Happy, HAPPY; the dog was glad!', 80, 3, 0],
    ['He was sad.', 100 / 3, 0, 1],
    ['happy and sad by the sea', 50, 1, 1],
    ['unhappy happyness the saddest of days', 50, 0, 0],
    ['he said don’t-cry to her', 200 / 3, 1, 0],
  ])('scores the smoothed share of whole words of the answer alone: %j', async (answer, trait, p, n) => {
    const scores = await score(answer);
    expect(scores.trait).toBeCloseTo(trait, 10);
    expect(scores.raw).toMatchObject({ positive: p, negative: n });
  });

  it('takes the share of different word trigrams as coherence', async () => {
    expect((await score('one two three four five')).coherence).toBe(100);
    // Eight trigrams, of which "go go go" is there eight times.
    expect((await score('go go go go go go go go go go')).coherence).toBe(12.5);
    expect((await score('a b c a b c')).coherence).toBe(75);
  });

  it('has no trait score without a word, and no coherence below three', async () => {
    expect(await score(' … 42!')).toMatchObject({ trait: null, coherence: null });
    expect(await score('so happy')).toMatchObject({ trait: 200 / 3, coherence: null });
  });

  it('is named after its words, whatever their order', () => {
    const id = (positive: string[]): string => lexicalJudge({ positive, negative: ['sad'] }).id;
    expect(id(['a', 'b'])).toBe(id(['b', 'a']));
    expect(id(['a', 'b'])).not.toBe(id(['a']));
    expect(id(['a'])).toMatch(/^lexical\/1:[0-9a-f]{16}$/);
  });

  it('needs word lists', () => {
    const trait = parseTrait({ instruction: [{ pos: 'a', neg: 'b' }], questions: ['c'] }, 'plain');
    expect(() => lexicalJudgeOf(trait)).toThrow('Expected the trait "plain" to list words');
  });
});

describe('wordsOf', () => {
  it('keeps letters, inner apostrophes and hyphens', () => {
    expect(wordsOf("“Don't!” said O’Neil-Smith, the naïve 3rd – -x-")).toEqual([
      "don't",
      'said',
      "o'neil-smith",
      'the',
      'naïve',
      'rd',
      'x',
    ]);
  });
});
