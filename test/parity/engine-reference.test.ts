import fc from 'fast-check';
import { rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import { referenceForward, referenceNll, referencePool } from '../../src/engine/reference.ts';
import type { ForwardResult, ForwardRow, Pooling } from '../../src/engine/types.ts';
import { relativeError } from '../helpers/numbers.ts';
import {
  anyInterventions,
  anyShape,
  collect,
  openTinyModel,
  randomIds,
  type TinyModel,
  tinyShape,
  writeTinyModel,
} from '../helpers/tiny-models.ts';

/** Float32 on the engine against Float64 in the reference, relative to a tensor's largest value. */
const tolerance = 1e-4;
/** The cases of a run never change; another seed is another hundred models. */
const seed = 20_250_729;
const everything = { tokens: true, logits: 'all', nll: true } as const;

/** The worst of all that `forward` returns for a row against the reference. */
function worstError(tiny: TinyModel, row: ForwardRow, result: ForwardResult): number {
  const { config, weights } = tiny;
  const { tokens, logits } = referenceForward(config, weights, row);
  const pooled = Object.entries(result.pooled).map(([pooling, mean]) =>
    relativeError(mean, referencePool(config, tokens, row, pooling as Pooling)),
  );
  return Math.max(
    relativeError(result.tokens, tokens),
    relativeError(result.logits, logits),
    relativeError(result.nll, referenceNll(config, logits, row)),
    ...pooled,
  );
}

describe('the engine against the reference', () => {
  it('agrees for any family, size, dtype, rotary scaling, window and bias', async () => {
    const models = fc.record({
      shape: anyShape,
      seed: fc.nat(1000),
      dtype: fc.constantFrom('F32', 'F16', 'BF16'),
      shardBytes: fc.option(fc.integer({ min: 100, max: 20_000 }), { nil: undefined }),
      lengths: fc.array(fc.integer({ min: 2, max: 40 }), { minLength: 1, maxLength: 4 }),
    });
    const property = fc.asyncProperty(models, async ({ lengths, shardBytes, ...options }) => {
      const tiny = await openTinyModel({ ...options, ...(shardBytes === undefined ? {} : { shardBytes }) });
      try {
        const rows = lengths.map((length, i) => ({
          ids: randomIds(length, tiny.config.vocabSize, i),
          responseStart: Math.ceil(length / 2),
        }));
        const pool = ['response_mean', 'prompt_mean', 'prompt_last'] as const;
        const results = await collect(tiny.model.forward(rows, { ...everything, pool }));
        for (const [i, row] of rows.entries()) {
          expect(worstError(tiny, row, results[i]!)).toBeLessThan(tolerance);
        }
      } finally {
        await tiny.close();
      }
    });
    await fc.assert(property, { numRuns: 30, seed });
  });

  it('agrees under any list of interventions, at every kind of position', async () => {
    const tiny = await openTinyModel();
    const row = fc.integer({ min: 2, max: 20 }).chain((length) =>
      fc.record({
        ids: fc.array(fc.nat(tiny.config.vocabSize - 1), { minLength: length, maxLength: length }),
        responseStart: fc.integer({ min: 1, max: length }),
        interventions: anyInterventions(tiny.config, 5),
      }),
    );
    const property = fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 5 }), async (rows) => {
      const results = await collect(tiny.model.forward(rows, everything));
      for (const [i, one] of rows.entries()) {
        expect(worstError(tiny, one, results[i]!)).toBeLessThan(tolerance);
      }
    });
    try {
      await fc.assert(property, { numRuns: 60, seed });
    } finally {
      await tiny.close();
    }
  });

  it('agrees where rows are longer than a block of the runtime, windows and all', async () => {
    const tiny = await openTinyModel({ shape: { family: 'mistral', slidingWindow: 70 } });
    const rows = [3, 130, 300, 513 - 1].map((length) => ({ ids: randomIds(length, 53, length) }));
    const results = await collect(tiny.model.forward(rows, everything));
    for (const [i, row] of rows.entries()) {
      expect(worstError(tiny, row, results[i]!)).toBeLessThan(tolerance);
    }
    await tiny.close();
  });

  it('refuses a head size that the attention kernel cannot take', async () => {
    const folder = await writeTinyModel({ shape: { headSize: 12 } });
    await expect(loadModel(folder)).rejects.toThrow(/head size that is a multiple of 8/);
    await rm(folder, { recursive: true });
    expect(tinyShape.headSize % 8).toBe(0);
  });
});
