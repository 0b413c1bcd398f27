import { describe, expect, it } from 'vitest';
import { referenceForward, referencePool } from '../../src/engine/reference.ts';
import type { Generated, GenerateOptions, GenerateRow } from '../../src/engine/types.ts';
import { randomStream } from '../../src/util/random.ts';
import { relativeError } from '../helpers/numbers.ts';
import { openTinyModel, type TinyModel } from '../helpers/tiny-models.ts';

async function collect(
  { model }: TinyModel,
  rows: readonly GenerateRow[],
  options: GenerateOptions,
): Promise<Generated[]> {
  const results: Generated[] = [];
  for await (const result of model.generate(rows, options)) results[result.index] = result;
  return results;
}

/** Prompts of the lengths `lengths`, equal over their first `shared` tokens. */
function prompts(lengths: readonly number[], shared: number, vocabSize: number): GenerateRow[] {
  return lengths.map((length, row) => {
    const common = randomStream('shared');
    const own = randomStream('own', row);
    const ids = Array.from({ length }, (_, i) =>
      Math.floor((i < shared ? common : own).uniform() * vocabSize),
    );
    return { ids, key: `row ${row}` };
  });
}

const options: GenerateOptions = {
  maxTokens: 4,
  temperature: 1,
  ignoreEos: true,
  capture: ['response_mean', 'prompt_last'],
};

describe.each([
  ['fp32', {}],
  ['int8 in blocks of 32', { dtype: 'int8', blockSize: 32 }],
  ['int8 in blocks of 128', { dtype: 'int8', blockSize: 128 }],
] as const)('prompts in %s', (_, load) => {
  it('longer than a step give the residuals and logits of one step, at even and odd lengths', async () => {
    const tiny = await openTinyModel({ shape: { maxPositions: 4096 }, load });
    try {
      const rows = prompts([1023, 1024, 1025, 1026, 2049, 2600], 0, tiny.config.vocabSize);
      const pieced = await collect(tiny, rows, { ...options, maxTokens: 1, logprobs: 1, temperature: 0 });
      for (const [i, row] of rows.entries()) {
        const once = { pool: ['prompt_last'], logits: 'last' } as const;
        for await (const whole of tiny.model.forward([row], once)) {
          expect(pieced[i]?.pooled.prompt_last).toEqual(whole.pooled.prompt_last);
          const best = whole.logits?.indexOf(Math.max(...whole.logits));
          expect(pieced[i]?.ids).toEqual([best]);
        }
      }
    } finally {
      await tiny.close();
    }
  });

  it('with a beginning in common give every row the bits of its solo run', async () => {
    const tiny = await openTinyModel({ shape: { maxPositions: 2048 }, load });
    try {
      for (const shared of [300, 301]) {
        const rows = prompts([310, 333, 340, 302, 411, 30, 31, 500], shared, tiny.config.vocabSize);
        const same = rows.map((row, i) => ({ ...row, key: `again ${i}` }));
        const together = await collect(tiny, [...rows, ...same], options);
        for (const [i, row] of [...rows, ...same].entries()) {
          const [solo] = await collect(tiny, [row], options);
          expect({ ...together[i], index: 0 }).toEqual(solo);
        }
      }
    } finally {
      await tiny.close();
    }
  });

  it('are capped by batch tokens without a change', async () => {
    const tiny = await openTinyModel({ shape: { maxPositions: 1024 }, load });
    try {
      const rows = prompts([5, 80, 81, 12, 200, 33, 34, 1], 0, tiny.config.vocabSize);
      const all = await collect(tiny, rows, { ...options, capture: ['prompt_mean'] });
      const capped = await collect(tiny, rows, { ...options, capture: ['prompt_mean'], batchTokens: 100 });
      expect(capped).toEqual(all);
    } finally {
      await tiny.close();
    }
  });
});

describe.each([
  ['rotary inside the attention', { headSize: 16 }],
  ['rotary before the attention', { headSize: 24 }],
  ['a window of 40', { family: 'mistral', slidingWindow: 40 }],
] as const)('pieces behind a past, %s', (_, shape) => {
  it('give the residuals of the slow forward, in prompts of one step, of several, and behind a shared beginning', async () => {
    const tiny = await openTinyModel({ shape: { ...shape, layers: 2, maxPositions: 2048 } });
    try {
      const { config, weights } = tiny;
      // Longer than a piece; three that share 300 tokens, among them one that ends where the beginning does.
      const rows = [
        ...prompts([1101], 0, config.vocabSize),
        ...prompts([300, 307, 352], 300, config.vocabSize),
        ...prompts([2, 31], 0, config.vocabSize),
      ];
      const capture = ['response_mean', 'prompt_last'] as const;
      const generated = await collect(tiny, rows, { ...options, maxTokens: 2, capture });
      for (const [i, row] of rows.entries()) {
        const text = { ids: [...row.ids, ...generated[i]!.ids], responseStart: row.ids.length };
        const { tokens } = referenceForward(config, weights, text);
        for (const pooling of capture) {
          const expected = referencePool(config, tokens, text, pooling);
          expect(relativeError(generated[i]!.pooled[pooling], expected)).toBeLessThan(1e-4);
        }
      }
    } finally {
      await tiny.close();
    }
  });
});

describe('the mean over a prompt', () => {
  it('is that of one pass, in pieces too', async () => {
    const tiny = await openTinyModel({ shape: { maxPositions: 4096 } });
    try {
      const rows = prompts([700, 2049], 0, tiny.config.vocabSize);
      const generated = await collect(tiny, rows, { maxTokens: 1, capture: ['prompt_mean'] });
      for await (const { index, pooled } of tiny.model.forward(rows, { pool: ['prompt_mean'] })) {
        const mean = generated[index]?.pooled.prompt_mean;
        expect(relativeError(mean, pooled.prompt_mean ?? [])).toBeLessThan(1e-6);
      }
    } finally {
      await tiny.close();
    }
  });
});
