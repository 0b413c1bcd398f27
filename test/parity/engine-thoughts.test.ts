import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import type { LanguageModel } from '../../src/engine/model.ts';
import type { ForwardResult } from '../../src/engine/types.ts';
import { relativeError } from '../helpers/numbers.ts';
import { collect, randomIds, writeTinyModel } from '../helpers/tiny-models.ts';
import { thinkEnd, thinkStart, tinyTokenizerJson, tinyVocabSize } from '../helpers/tiny-tokenizer.ts';

let folder = '';
let model: LanguageModel;
beforeAll(async () => {
  folder = await writeTinyModel({ shape: { vocabSize: tinyVocabSize } });
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tinyTokenizerJson()));
  model = await loadModel(folder);
});
afterAll(async () => {
  await model.close();
  await rm(folder, { recursive: true });
});

const prompt = randomIds(6, 200, 'prompt');
const [before, thought, after] = [3, 5, 4].map((length, i) => randomIds(length, 200, 'reply', i));
const pool = ['response_mean', 'prompt_mean', 'prompt_last', 'boundary_mean'] as const;

/** The mean of a row's residuals at some positions. */
function meanAt({ tokens }: ForwardResult, positions: readonly number[]): Float32Array {
  const size = (model.checkpoint.config.layers + 1) * model.checkpoint.config.width;
  return Float32Array.from({ length: size }, (_, i) =>
    positions.reduce((sum, position) => sum + tokens![position * size + i]! / positions.length, 0),
  );
}

describe('thoughts', () => {
  const ids = [...prompt, ...before!, thinkStart, ...thought!, thinkEnd, ...after!];
  const row = { ids, responseStart: prompt.length };

  it('are left out of the means over a given reply where asked for, and of nothing else', async () => {
    const [skipped] = await collect(model.forward([row], { pool, tokens: true, skipThoughts: true }));
    const [whole] = await collect(model.forward([row], { pool }));
    const kept = ids.map((_, i) => i).filter((i) => (i >= 6 && i < 9) || i >= ids.length - after!.length);
    expect(relativeError(skipped!.pooled.response_mean, meanAt(skipped!, kept))).toBeLessThan(1e-5);
    expect(relativeError(whole!.pooled.response_mean, meanAt(skipped!, kept))).toBeGreaterThan(1e-3);
    expect(skipped!.pooled.prompt_mean).toEqual(whole!.pooled.prompt_mean);
    expect(skipped!.pooled.prompt_last).toEqual(whole!.pooled.prompt_last);
  });

  it('are left out while a reply is generated, as in a pass over it', async () => {
    const rows = Array.from({ length: 24 }, (_, i) => ({ ids: [...prompt, thinkStart], key: `${i}` }));
    const options = { maxTokens: 60, temperature: 2, seed: 3, capture: pool, ignoreEos: true } as const;
    const replies = await collect(model.generate(rows, { ...options, skipThoughts: true }));
    const closed = replies.filter((reply) => reply.ids.slice(0, -1).includes(thinkEnd));
    const open = replies.filter((reply) => !reply.ids.includes(thinkEnd));
    // Random weights close some thoughts and never close others.
    expect(closed.length).toBeGreaterThan(0);
    expect(open.length).toBeGreaterThan(0);
    for (const reply of closed) {
      const given = { ids: [...prompt, thinkStart, ...reply.ids], responseStart: prompt.length + 1 };
      const [pass] = await collect(model.forward([given], { pool, skipThoughts: true }));
      for (const name of pool)
        expect(relativeError(reply.pooled[name], pass!.pooled[name]!)).toBeLessThan(1e-5);
    }
    for (const { pooled } of open) {
      expect(pooled.response_mean).toBeUndefined();
      expect(pooled.boundary_mean).toEqual(pooled.prompt_last);
    }
  });

  it('are pooled like the rest unless asked otherwise', async () => {
    const rows = [{ ids: [...prompt, thinkStart], key: 'a' }];
    const options = { maxTokens: 8, capture: pool, ignoreEos: true } as const;
    const [kept] = await collect(model.generate(rows, options));
    expect(kept!.pooled.response_mean).toBeDefined();
  });
});
