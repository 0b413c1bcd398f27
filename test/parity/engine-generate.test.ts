import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import type { LanguageModel } from '../../src/engine/model.ts';
import { referenceForward, referencePool } from '../../src/engine/reference.ts';
import type { ForwardRow, Generated } from '../../src/engine/types.ts';
import type { ModelWeights } from '../../src/model/weights.ts';
import { shippedModel } from '../helpers/broken-model.ts';
import { relativeError } from '../helpers/numbers.ts';
import { readAllWeights } from '../helpers/reference-weights.ts';
import {
  anyInterventions,
  collect,
  openTinyModel,
  randomIds,
  randomVector,
  type TinyModel,
} from '../helpers/tiny-models.ts';

const seed = 20_250_731;
/** Attention over a cache against attention over the whole row, relative to the largest value. */
const cacheTolerance = 1e-5;
/** A mean kept while generating against a second pass over the text. */
const poolTolerance = 1e-6;
/** Float32 against the Float64 of the reference. */
const referenceTolerance = 1e-4;

/** The text that a row became, to be run in one pass. */
function textOf(prompt: readonly number[], generated: Generated, row: Partial<ForwardRow> = {}): ForwardRow {
  return { ...row, ids: [...prompt, ...generated.ids], responseStart: prompt.length };
}

describe.each([
  ['rotary inside the attention', { headSize: 16 }],
  ['rotary before the attention', { headSize: 24 }],
  ['a window', { family: 'mistral', slidingWindow: 6 }],
  ['head norms', { family: 'qwen3' }],
] as const)('generating with the cache, %s', (_, shape) => {
  let tiny: TinyModel;
  beforeAll(async () => {
    tiny = await openTinyModel({ shape });
  });
  afterAll(() => tiny.close());

  it('gives the residual of a new token that a whole pass gives', async () => {
    const prompts = [1, 2, 3, 15, 16, 17, 64, 129].map((length) => randomIds(length, 53, length));
    const rows = prompts.map((ids) => ({ ids }));
    const options = { maxTokens: 1, ignoreEos: true, capture: ['response_mean'] } as const;
    const generated = await collect(tiny.model.generate(rows, options));
    const texts = generated.map((one, i) => textOf(prompts[i]!, one));
    const passes = await collect(tiny.model.forward(texts, { tokens: true }));
    const size = (tiny.config.layers + 1) * tiny.config.width;
    for (const [i, one] of generated.entries()) {
      const last = passes[i]!.tokens!.slice(-size);
      expect(relativeError(one.pooled.response_mean, last)).toBeLessThan(cacheTolerance);
    }
  });

  it('keeps the means that a second pass over the text gives', async () => {
    const pool = ['response_mean', 'prompt_mean', 'prompt_last'] as const;
    const prompts = [1, 4, 9, 30].map((length) => randomIds(length, 53, length));
    const rows = prompts.map((ids) => ({ ids }));
    const options = { maxTokens: 40, temperature: 1, ignoreEos: true, capture: pool } as const;
    const generated = await collect(tiny.model.generate(rows, options));
    const texts = generated.map((one, i) => textOf(prompts[i]!, one));
    const passes = await collect(tiny.model.forward(texts, { pool }));
    for (const [i, one] of generated.entries()) {
      expect(one.ids).toHaveLength(40);
      for (const pooling of pool) {
        const second = passes[i]!.pooled[pooling]!;
        expect(relativeError(one.pooled[pooling], second)).toBeLessThan(poolTolerance);
      }
    }
  });

  it('stops before the end-of-turn token, which no mean takes in', async () => {
    const prompts = Array.from({ length: 12 }, (_, i) => randomIds(3, 53, i));
    const rows = prompts.map((ids) => ({ ids }));
    const options = { maxTokens: 60, temperature: 2, capture: ['response_mean'] } as const;
    const generated = await collect(tiny.model.generate(rows, options));
    const stopped = generated.filter((one) => one.finishReason === 'stop' && one.ids.length > 0);
    expect(stopped.length).toBeGreaterThan(2);
    expect(generated.every((one) => !one.ids.includes(2))).toBe(true);
    for (const one of stopped) {
      const text = textOf(prompts[one.index]!, one);
      const [pass] = await collect(tiny.model.forward([text], { pool: ['response_mean'] }));
      expect(relativeError(one.pooled.response_mean, pass!.pooled.response_mean!)).toBeLessThan(
        poolTolerance,
      );
    }
  });
});

describe('interventions while generating, on a trained model', () => {
  let model: LanguageModel;
  let weights: ModelWeights<Float32Array>;
  beforeAll(async () => {
    model = await loadModel(shippedModel);
    weights = await readAllWeights(model.checkpoint.weights);
  });
  afterAll(() => model.close());

  it('act at the positions that the reference names, in the prompt and in every step', async () => {
    const { config, tokenizer } = model.checkpoint;
    const endsSentence = (id: number): boolean => tokenizer!.endsSentence(id);
    const capture = ['response_mean', 'boundary_mean', 'prompt_mean', 'prompt_last'] as const;
    const prompt = tokenizer!.encodePrompt('Once upon a time there was a dog. He');
    const row = fc.record({
      ids: fc.integer({ min: 1, max: prompt.length }).map((length) => prompt.slice(0, length)),
      interventions: anyInterventions(config, 4, ['all', 'prompt', 'response', 'boundary']),
    });
    let boundaries = 0;
    const property = fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 4 }), async (rows) => {
      const options = { maxTokens: 24, ignoreEos: true, temperature: 0.8, seed: 3, capture };
      const generated = await collect(model.generate(rows, options));
      for (const [i, one] of generated.entries()) {
        const text = textOf(rows[i]!.ids, one, { interventions: rows[i]!.interventions });
        const { tokens } = referenceForward(config, weights, text, { endsSentence });
        for (const pooling of capture) {
          const expected = referencePool(config, tokens, text, pooling, endsSentence);
          expect(relativeError(one.pooled[pooling], expected)).toBeLessThan(referenceTolerance);
        }
        boundaries += one.ids.filter(endsSentence).length;
      }
    });
    await fc.assert(property, { numRuns: 12, seed });
    expect(boundaries).toBeGreaterThan(10);
  });

  it('leave the prompt alone where they act on the reply only, and the reply where on the prompt only', async () => {
    const { config, tokenizer } = model.checkpoint;
    const ids = tokenizer!.encodePrompt('Lily and Tom went to the');
    const vector = randomVector(config.width, 'positions');
    const added = (positions: 'prompt' | 'response'): Promise<Float32Array> =>
      residualsOfLayer(config.layers, [{ layer: config.layers, vector, coef: 1, positions }]);
    const residualsOfLayer = async (
      layer: number,
      interventions: ForwardRow['interventions'] = [],
    ): Promise<Float32Array> => {
      const row = { ids, responseStart: 4, interventions };
      const [result] = await collect(model.forward([row], { tokens: true }));
      return result!.tokens!.filter((_, i) => Math.floor(i / config.width) % (config.layers + 1) === layer);
    };
    const plain = await residualsOfLayer(config.layers);
    const moved = (steered: Float32Array): boolean[] =>
      ids.map((_, i) => steered[i * config.width] !== plain[i * config.width]);
    // The last prompt token, at 3, belongs to both.
    expect(moved(await added('prompt'))).toEqual(ids.map((_, i) => i < 4));
    expect(moved(await added('response'))).toEqual(ids.map((_, i) => i >= 3));
  });
});
