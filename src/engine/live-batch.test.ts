/** Calls that share a running batch, where one of them goes wrong. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { UsageError } from '../errors.ts';
import type * as Interventions from './interventions.ts';
import { loadModel } from './load.ts';
import type { LanguageModel } from './model.ts';
import type { GenerateOptions, GenerateRow } from './types.ts';

/**
 * What no one may ask for, and what overflows in half precision at far less: edits of the strength 7 become ones beyond float32.
 * Two of opposite signs have a sum that is no number.
 */
vi.mock('./interventions.ts', async (importOriginal) => {
  const actual = await importOriginal<typeof Interventions>();
  const planInterventions: typeof actual.planInterventions = (...given) => {
    const plan = actual.planInterventions(...given);
    const beyond = (edit: Interventions.Edit): Interventions.Edit =>
      Math.abs(edit.add) === 7 ? { ...edit, add: Math.sign(edit.add) * 3e38 } : edit;
    const layers = [...plan.layers].map(
      ([layer, stages]) => [layer, stages.map((edits) => edits.map(beyond))] as const,
    );
    return { ...plan, layers: new Map(layers) };
  };
  return { ...actual, planInterventions };
});

const stories = fileURLToPath(new URL('../../models/stories260K', import.meta.url));
let model: LanguageModel;
beforeAll(async () => {
  model = await loadModel(stories, { worker: false });
});
afterAll(() => model.close());

const rowOf = (text: string): GenerateRow => ({ ids: model.checkpoint.tokenizer!.encodePrompt(text) });
const tooStrong = (): GenerateRow => {
  const { width } = model.checkpoint.config;
  const vectors = [
    new Float32Array(width).fill(1),
    Float32Array.from({ length: width }, (_, i) => 1 - 2 * (i % 2)),
  ];
  const edits = vectors.map((vector, i) => ({ layer: 2, vector, coef: i === 0 ? 7 : -7 }));
  return { ...rowOf('Lily had'), interventions: edits.map((edit) => ({ ...edit, positions: 'response' })) };
};

async function texts(rows: readonly GenerateRow[], options: GenerateOptions): Promise<(string | null)[]> {
  const found: (string | null)[] = [];
  for await (const { index, text } of model.generate(rows, options)) found[index] = text;
  return found;
}

it.each([
  ['greedy', { temperature: 0 }],
  ['sampled', { temperature: 1, seed: 3 }],
  ['reported', { temperature: 1, seed: 3, logprobs: 2 }],
  ['with a penalty', { temperature: 0, repetitionPenalty: 1.3 }],
] as const)('a steering that leaves no finite logits ends its own call alone: %s', async (_, sampling) => {
  const options: GenerateOptions = { ...sampling, maxTokens: 30 };
  const rows = [rowOf('One day'), rowOf('Once upon a time')];
  const alone = await texts(rows, options);
  const beside = texts(rows, options);
  const later = texts([rowOf('One day')], options);
  await expect(texts([tooStrong(), tooStrong()], options)).rejects.toThrow(UsageError);
  expect(await beside).toEqual(alone);
  expect((await later)[0]).toBe(alone[0]);
  // In the places that it has left.
  expect(await texts(rows, options)).toEqual(alone);
});

it('is told of as what it is', async () => {
  const asked = texts([rowOf('One day'), tooStrong()], { maxTokens: 2 });
  await expect(asked).rejects.toThrow(
    /^row 2: expected interventions .* finite, got too strong ones; use less/,
  );
});
