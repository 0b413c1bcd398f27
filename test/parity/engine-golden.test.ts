import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import type { LanguageModel } from '../../src/engine/model.ts';
import { type Golden, goldenFamilies, readGolden } from '../helpers/golden.ts';
import { relativeError } from '../helpers/numbers.ts';
import { describeWithShared } from '../helpers/shared.ts';
import { collect } from '../helpers/tiny-models.ts';

/** What the data promise between float32 programs, relative to a tensor's largest value. */
const tolerance = 1e-4;
/** The same for losses, which are a difference of large numbers. */
const lossTolerance = 1e-5;
const poolings = ['response_mean', 'prompt_mean', 'prompt_last'] as const;

describeWithShared('the engine against Hugging Face', () => {
  describe.each(goldenFamilies)('%s', (family) => {
    let golden: Golden;
    let model: LanguageModel;
    beforeAll(async () => {
      golden = await readGolden(family);
      model = await loadModel(golden.folder);
    });
    afterAll(() => model.close());

    it('gives the same residuals, logits, losses and means', async () => {
      const options = { tokens: true, logits: 'all', nll: true, pool: poolings } as const;
      const results = await collect(model.forward(golden.rows, options));
      const { width, layers } = model.checkpoint.config;
      for (const [i, row] of golden.rows.entries()) {
        const result = results[i]!;
        row.layers.forEach((expected, block) => {
          const layer = result.tokens!.filter((_, at) => Math.floor(at / width) % (layers + 1) === block + 1);
          expect(relativeError(layer, expected)).toBeLessThan(tolerance);
        });
        expect(relativeError(result.logits, row.logits)).toBeLessThan(tolerance);
        expect(relativeError(result.nll, row.nll)).toBeLessThan(lossTolerance);
        for (const pooling of poolings) {
          const pooled = result.pooled[pooling]?.slice(width);
          expect(relativeError(pooled, row.pooled[pooling])).toBeLessThan(tolerance);
        }
      }
    });

    it('continues greedily under every kind of intervention, all in one batch', async () => {
      const rows = golden.greedy.map(({ prompt, interventions }) => ({ ids: prompt, interventions }));
      const generated = await collect(model.generate(rows, { maxTokens: 24, ignoreEos: true }));
      const texts = golden.greedy.map((one) => ({
        ids: [...one.prompt, ...one.tokens.slice(0, -1)],
        responseStart: one.prompt.length,
        interventions: one.interventions,
      }));
      const scored = await collect(model.forward(texts, { logits: 'all' }));
      for (const [i, one] of golden.greedy.entries()) {
        expect(generated[i]!.ids).toEqual(one.tokens);
        const first = (one.prompt.length - 1) * model.checkpoint.config.vocabSize;
        expect(relativeError(scored[i]!.logits?.slice(first), one.logits)).toBeLessThan(tolerance);
      }
    });
  });
});
