import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type JudgeAnswer, rescore, sampleSpread, scoreAnswer, scoresOf } from './answer.ts';

/** Tokens by their probabilities. */
function tokens(...entries: readonly (readonly [string, number])[]): JudgeAnswer {
  return { kind: 'tokens', tokens: entries.map(([token, p]) => [token, Math.log(p)]) };
}

describe('the score of the most likely tokens', () => {
  it('is the mean of the numbers, weighted by their probability among the numbers', () => {
    const answer = tokens(['80', 0.5], ['90', 0.25], ['REF', 0.2], ['The', 0.05]);
    expect(scoreAnswer(answer)).toBeCloseTo((80 * 0.5 + 90 * 0.25) / 0.75, 12);
  });

  it('counts every token that int() reads: blanks, signs, other scripts, each spelling for itself', () => {
    const answer = tokens(['50', 0.4], [' 50', 0.1], ['+60', 0.1], ['-0', 0.1], ['٣', 0.1], ['5.0', 0.2]);
    expect(scoreAnswer(answer)).toBeCloseTo((50 * 0.5 + 60 * 0.1 + 0 + 3 * 0.1) / 0.8, 12);
  });

  it('leaves out numbers outside of 0 to 100', () => {
    expect(scoreAnswer(tokens(['101', 0.5], ['-1', 0.1], ['40', 0.4]))).toBeCloseTo(40, 12);
  });

  it('lets the last of two tokens of one spelling count, as a dictionary does', () => {
    expect(scoreAnswer(tokens(['0', 0.5], ['100', 0.2], ['0', 0.2]))).toBeCloseTo(50, 12);
  });

  it('is null below a quarter of the probability, and for no token at all', () => {
    expect(scoreAnswer(tokens(['100', 0.2499], ['REFUSAL', 0.75]))).toBeNull();
    expect(scoreAnswer(tokens(['100', 0.2501], ['REFUSAL', 0.74]))).toBeCloseTo(100, 12);
    expect(scoreAnswer(tokens())).toBeNull();
  });

  it('stays within 0 to 100 for any distribution', () => {
    const entry = fc.tuple(fc.string({ maxLength: 4 }), fc.double({ min: -30, max: 0, noNaN: true }));
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 20 }), (list) => {
        const score = scoreAnswer({ kind: 'tokens', tokens: list });
        expect(score === null || (score >= 0 && score <= 100)).toBe(true);
      }),
    );
  });
});

describe('the score of other answers', () => {
  it('of a whole distribution is its mean, or null where the numbers weigh too little', () => {
    const flat = (mass: number): JudgeAnswer => ({
      kind: 'numbers',
      logprobs: Array.from({ length: 101 }, () => Math.log(mass / 101)),
    });
    expect(scoreAnswer(flat(0.9))).toBeCloseTo(50, 10);
    expect(scoreAnswer(flat(0.24))).toBeNull();
  });

  it.each([
    [['80', ' 90 ', '**70**', '"60".', '75/100'], 75],
    [['80', 'I cannot rate this.', 'REFUSAL', 'REFUSAL'], 80],
    [['80', 'REFUSAL', 'REFUSAL', 'REFUSAL', 'REFUSAL'], null],
    [['7 out of 10', '101', '85%', '8.5', ''], null],
    [[], null],
  ])('of samples %j is %j', (texts, score) => {
    expect(scoreAnswer({ kind: 'samples', texts })).toBe(score);
  });

  it('of a refusal is null', () => {
    expect(scoreAnswer({ kind: 'refused', reason: 'content_filter' })).toBeNull();
  });

  it('comes with a spread where it was sampled', () => {
    expect(sampleSpread({ kind: 'samples', texts: ['70', '80', 'no', '90'] })).toBe(10);
    expect(sampleSpread({ kind: 'samples', texts: ['70', 'no'] })).toBeNull();
    expect(sampleSpread(tokens(['70', 1]))).toBeNull();
  });
});

describe('stored scores', () => {
  it('are computed again from their answers, through JSON and back', () => {
    const answers = { trait: tokens(['31', 0.7], ['77', 0.2]), coherence: tokens(['REFUSAL', 0.9]) };
    const scores = scoresOf(answers);
    expect(scores.coherence).toBeNull();
    const stored = JSON.parse(JSON.stringify({ ...scores, trait: 1, coherence: 2 })) as typeof scores;
    expect(rescore(stored)).toEqual(scores);
  });

  it('of another judge are left alone', () => {
    expect(rescore({ trait: 1, coherence: 2, raw: { words: 3 } })).toBeNull();
    expect(rescore({ trait: 1, coherence: 2, raw: null })).toBeNull();
  });
});
