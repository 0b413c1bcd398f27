import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AbortError, DataError, UsageError } from '../errors.ts';
import { loadModel } from './load.ts';
import type { LanguageModel } from './model.ts';
import type { Generated, GenerateOptions, GenerateRow } from './types.ts';

const stories = fileURLToPath(new URL('../../models/stories260K', import.meta.url));
let model: LanguageModel;
beforeAll(async () => {
  model = await loadModel(stories);
});
afterAll(async () => {
  await model.close();
});

const encode = (text: string): number[] => model.checkpoint.tokenizer?.encodePrompt(text) ?? [];
const openings = [
  'One day',
  'Lily had a',
  'The dog ran to the park and',
  'Once upon a time, there was',
  'Tim',
];
const rowsOf = (texts: readonly string[]): GenerateRow[] =>
  texts.map((text, i) => ({ ids: encode(text), key: `${text} ${i}` }));

async function collect(rows: readonly GenerateRow[], options: GenerateOptions): Promise<Generated[]> {
  const results: Generated[] = [];
  for await (const result of model.generate(rows, options)) results[result.index] = result;
  return results;
}

describe('generate', () => {
  const sampled: GenerateOptions = {
    maxTokens: 24,
    temperature: 1,
    topP: 0.95,
    seed: 7,
    capture: ['response_mean', 'boundary_mean', 'prompt_mean', 'prompt_last'],
  };

  it('gives each row the same bits whatever number of rows run side by side', async () => {
    const rows = rowsOf([...openings, ...openings, ...openings]);
    const [together, ...others] = await Promise.all(
      [undefined, 1, 2, 4, 7].map((batchRows) =>
        collect(rows, batchRows === undefined ? sampled : { ...sampled, batchRows }),
      ),
    );
    for (const other of others) expect(other).toEqual(together);
  });

  it('draws different texts for different keys of one prompt, and the same for the same', async () => {
    const ids = encode('One day');
    const texts = await collect(
      ['a', 'b', 'a'].map((key) => ({ ids, key })),
      sampled,
    );
    expect(texts[0]?.ids).toEqual(texts[2]?.ids);
    expect(texts[0]?.ids).not.toEqual(texts[1]?.ids);
  });

  it('stops at an end-of-turn token and leaves it out, unless told to go on', async () => {
    const [eos] = model.checkpoint.generation.eosTokenIds;
    const rows = rowsOf(Array.from({ length: 12 }, () => 'The end.'));
    const options: GenerateOptions = { maxTokens: 400, temperature: 1, seed: 1 };
    const stopped = (await collect(rows, options)).filter((row) => row.finishReason === 'stop');
    expect(stopped.length).toBeGreaterThan(0);
    for (const row of stopped) {
      expect(row.ids).not.toContain(eos);
      expect(row.ids.length).toBeLessThan(400);
    }
    const ignoring = await collect(rows.slice(0, 3), { ...options, ignoreEos: true });
    expect(ignoring.map((row) => [row.ids.length, row.finishReason])).toEqual([
      [400, 'length'],
      [400, 'length'],
      [400, 'length'],
    ]);
  });

  it('keeps every finished row and throws AbortError when stopped in between', async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const run = async (): Promise<void> => {
      const rows = rowsOf(openings);
      for await (const row of model.generate(rows, {
        maxTokens: 4,
        batchRows: 1,
        signal: controller.signal,
      })) {
        seen.push(row.index);
        if (seen.length === 2) controller.abort();
      }
    };
    await expect(run()).rejects.toThrow(AbortError);
    expect(seen).toHaveLength(2);
  });

  it('ends a reply at a stop string, across token borders, and leaves it out of the text', async () => {
    const rows = rowsOf(['Once upon a time']);
    const [whole] = await collect(rows, { maxTokens: 60 });
    const text = whole?.text ?? '';
    const stop = text.slice(30, 37);
    const [cut] = await collect(rows, { maxTokens: 60, stop: ['never in it', stop] });
    expect(cut?.text).toBe(text.slice(0, text.indexOf(stop)));
    expect(cut?.finishReason).toBe('stop');
    expect(whole?.ids.slice(0, cut?.ids.length)).toEqual(cut?.ids);
  });

  it('streams tokens whose texts add up to the reply, stop string or not', async () => {
    const rows = rowsOf(openings);
    for (const stop of [[], ['the', ', ']]) {
      const texts = rows.map(() => '');
      const ids: number[][] = rows.map(() => []);
      const results = await collect(rows, {
        ...sampled,
        stop,
        onToken: (event) => {
          texts[event.index] += event.text;
          if (event.id !== null) ids[event.index]?.push(event.id);
        },
      });
      expect(texts).toEqual(results.map((row) => row.text));
      expect(ids).toEqual(results.map((row) => row.ids));
    }
  });

  it('cancels one row and leaves the others as they are', async () => {
    const rows = rowsOf(openings);
    const plain = await collect(rows, sampled);
    const controller = new AbortController();
    const already = AbortSignal.abort();
    const withSignals = rows.map((row, i) =>
      i === 1 ? { ...row, signal: controller.signal } : i === 3 ? { ...row, signal: already } : row,
    );
    let tokens = 0;
    const results = await collect(withSignals, {
      ...sampled,
      onToken: ({ index }) => {
        if (index === 1 && ++tokens === 5) controller.abort();
      },
    });
    expect(results[1]?.finishReason).toBe('cancelled');
    expect(results[1]?.ids).toEqual(plain[1]?.ids.slice(0, 5));
    expect(results[3]).toMatchObject({ finishReason: 'cancelled', ids: [], text: '' });
    for (const i of [0, 2, 4]) expect(results[i]).toEqual(plain[i]);
  });

  it('reports log-probabilities under the model, whatever the sampling', async () => {
    const [row] = rowsOf(['Lily had a']);
    const [result] = await collect([row as GenerateRow], { ...sampled, logprobs: 3 });
    const ids = [...(row as GenerateRow).ids, ...(result?.ids ?? [])];
    for await (const { nll } of model.forward(
      [{ ids, responseStart: ids.length - (result?.ids.length ?? 0) }],
      { nll: true },
    )) {
      result?.logprobs?.forEach(({ logprob, top }, i) => {
        expect(logprob).toBeCloseTo(-(nll?.[ids.length - (result?.ids.length ?? 0) + i] as number), 4);
        expect(top).toHaveLength(3);
        expect(top[0]?.logprob).toBeGreaterThanOrEqual(logprob);
      });
    }
    expect(result?.logprobs).toHaveLength(result?.ids.length ?? -1);
  });

  it('yields nothing for no rows', async () => {
    expect(await collect([], { maxTokens: 3 })).toEqual([]);
  });

  it.each<[string, Partial<GenerateRow>, Partial<GenerateOptions>, new (m: string) => Error, RegExp]>([
    [
      'an empty prompt',
      { ids: [] },
      {},
      DataError,
      /row 1: expected at least one token, got an empty prompt/,
    ],
    [
      'an id beyond the vocabulary',
      { ids: [1, 512] },
      {},
      DataError,
      /ids from 0 to 511, got 512 at position 1/,
    ],
    ['a negative id', { ids: [-1] }, {}, DataError, /got -1/],
    ['a fraction', { ids: [1.5] }, {}, DataError, /got 1\.5/],
    [
      'a reply beyond the context',
      {},
      { maxTokens: 600 },
      DataError,
      /context of 512 tokens, got a prompt of 1/,
    ],
    ['no tokens', {}, { maxTokens: 0 }, UsageError, /max tokens above 0, got 0/],
    ['a negative temperature', {}, { temperature: -1 }, UsageError, /temperature of 0 or more, got -1/],
    ['top-p 0', {}, { topP: 0 }, UsageError, /top-p above 0/],
    ['a negative top-k', {}, { topK: -1 }, UsageError, /top-k, 0 or more/],
    ['min-p above 1', {}, { minP: 1.5 }, UsageError, /min-p from 0 to 1/],
    ['a penalty of 0', {}, { repetitionPenalty: 0 }, UsageError, /repetition penalty above 0/],
    ['an empty stop string', {}, { stop: [''] }, UsageError, /stop strings that are not empty/],
    ['batch rows 0', {}, { batchRows: 0 }, UsageError, /batch rows above 0, got 0/],
  ])('refuses %s', async (_, row, options, errorClass, message) => {
    const attempt = collect([{ ids: [1], ...row }], { maxTokens: 2, ...options });
    await expect(attempt).rejects.toThrow(errorClass);
    await expect(collect([{ ids: [1], ...row }], { maxTokens: 2, ...options })).rejects.toThrow(message);
  });
});

describe('a closed model', () => {
  it('says that it is closed', async () => {
    const closed = await loadModel(stories);
    await closed.close();
    const run = async (): Promise<void> => {
      for await (const row of closed.forward([{ ids: [1] }], { pool: ['prompt_last'] }))
        expect(row).toBeNull();
    };
    await expect(run()).rejects.toThrow(/closed; load it again/);
  });
});
