import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { referenceForward } from '../../engine/reference.ts';
import type { Intervention } from '../../engine/types.ts';
import { type TinyModel, openTinyModel, randomIds, randomVector } from '../../../test/helpers/tiny-models.ts';
import { type EncodedChoices, likeliest, scoreChoices } from './score-choices.ts';

/** Σ log softmax over the continuation's tokens, by hand from the Float64 reference. */
function byHand(tiny: TinyModel, question: EncodedChoices, interventions: readonly Intervention[]): number[] {
  const { config, weights } = tiny;
  return question.continuations.map((continuation) => {
    const ids = [...question.prompt, ...continuation];
    const row = { ids, responseStart: question.prompt.length, interventions };
    const { logits } = referenceForward(config, weights, row);
    return continuation.reduce((sum, id, i) => {
      const at = question.prompt.length - 1 + i;
      const line = logits.subarray(at * config.vocabSize, (at + 1) * config.vocabSize);
      const total = line.reduce((acc, value) => acc + Math.exp(value), 0);
      return sum + line[id]! - Math.log(total);
    }, 0);
  });
}

describe('log-probabilities of choices', () => {
  let tiny: TinyModel;
  beforeAll(async () => {
    tiny = await openTinyModel();
  });
  afterAll(() => tiny.close());
  const promptOf = (i: number): number[] => randomIds(5 + i, 53, 'choice prompt', i);
  const steering = (): Intervention[] => [
    { layer: 2, vector: randomVector(24, 'choice'), coef: 3, positions: 'response' },
  ];

  it.each([
    ['single tokens', [[3], [7], [11], [19]]],
    ['texts of several tokens', [[3, 4], [7], [11, 12, 13], [19, 2]]],
  ])('are those computed by hand, steered and not: %s', async (_, continuations) => {
    const questions = [0, 1, 2].map((i): EncodedChoices => ({ prompt: promptOf(i), continuations }));
    for (const interventions of [[], steering()]) {
      const scores = await scoreChoices(tiny.model, questions, { interventions });
      for (const [i, question] of questions.entries()) {
        const expected = byHand(tiny, question, interventions);
        expect(scores[i]).toHaveLength(expected.length);
        scores[i]!.forEach((value, k) => expect(Math.abs(value - expected[k]!)).toBeLessThan(1e-4));
      }
    }
  });

  it('move when the model is steered, and come in the order of the questions', async () => {
    const questions = Array.from(
      { length: 300 },
      (_, i): EncodedChoices => ({
        prompt: promptOf(i % 7),
        continuations: [[3], [7]],
      }),
    );
    const seen: number[] = [];
    const plain = await scoreChoices(tiny.model, questions, { onProgress: (done) => seen.push(done) });
    expect(seen).toEqual([256, 300]);
    expect(plain[8]).toEqual(plain[1]);
    const steered = await scoreChoices(tiny.model, questions.slice(0, 1), { interventions: steering() });
    expect(Math.abs(steered[0]![0]! - plain[0]![0]!)).toBeGreaterThan(1e-3);
  });
});

it('takes the first of equal choices', () => {
  expect(likeliest(Float64Array.of(-2, -1, -1))).toBe(1);
});
