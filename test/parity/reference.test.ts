import { beforeAll, describe, expect, it } from 'vitest';
import {
  referenceForward,
  referenceGreedy,
  referenceNll,
  referencePool,
} from '../../src/engine/reference.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import type { ModelConfig } from '../../src/model/config.ts';
import type { ModelWeights } from '../../src/model/weights.ts';
import { type Golden, goldenFamilies, greedyNames, readGolden } from '../helpers/golden.ts';
import { relativeError } from '../helpers/numbers.ts';
import { readAllWeights } from '../helpers/reference-weights.ts';
import { describeWithShared } from '../helpers/shared.ts';

/** Float64 here against Float32 there; the data promise 1e-4. */
const tolerance = 2e-6;

describeWithShared('the reference against Hugging Face', () => {
  describe.each(goldenFamilies)('%s', (family) => {
    let golden: Golden;
    let config: ModelConfig;
    let weights: ModelWeights<Float32Array>;
    beforeAll(async () => {
      golden = await readGolden(family);
      const checkpoint = await loadCheckpoint(golden.folder);
      config = checkpoint.config;
      weights = await readAllWeights(checkpoint.weights);
    });

    it('gives the same residuals, logits, losses and means', () => {
      for (const row of golden.rows) {
        const { tokens, logits } = referenceForward(config, weights, row);
        row.layers.forEach((expected, block) => {
          expect(relativeError(layerOf(config, tokens, block + 1), expected)).toBeLessThan(tolerance);
        });
        expect(relativeError(logits, row.logits)).toBeLessThan(tolerance);
        expect(relativeError(referenceNll(config, logits, row), row.nll)).toBeLessThan(tolerance);
        for (const pooling of ['response_mean', 'prompt_mean', 'prompt_last'] as const) {
          const mean = referencePool(config, tokens, row, pooling).slice(config.width);
          expect(relativeError(mean, row.pooled[pooling])).toBeLessThan(tolerance);
        }
      }
    });

    it.each(greedyNames)('continues greedily: %s', (name) => {
      const one = golden.greedy.find((candidate) => candidate.name === name)!;
      const { prompt: ids, interventions, tokens } = one;
      // Three tokens by the loop, the rest in one pass over the expected text, which decides the same.
      const begun = referenceGreedy(config, weights, { ids, interventions }, 3);
      expect(begun.ids).toEqual(tokens.slice(0, 3));
      const text = { ids: [...ids, ...tokens.slice(0, -1)], responseStart: ids.length, interventions };
      const logits = referenceForward(config, weights, text).logits.slice(
        (ids.length - 1) * config.vocabSize,
      );
      expect(relativeError(logits, one.logits)).toBeLessThan(tolerance);
      expect(tokens.map((_, i) => best(config, logits, i))).toEqual(tokens);
    });
  });
});

/** One layer of `[tokens, L+1, width]` as `[tokens, width]`. */
function layerOf(config: ModelConfig, tokens: Float64Array, layer: number): Float64Array {
  const { width, layers } = config;
  return tokens.filter((_, i) => Math.floor(i / width) % (layers + 1) === layer);
}

/** The likeliest token by row `i` of `logits`. */
function best(config: ModelConfig, logits: Float64Array, i: number): number {
  const row = logits.slice(i * config.vocabSize, (i + 1) * config.vocabSize);
  return row.indexOf(Math.max(...row));
}
