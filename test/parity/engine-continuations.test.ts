import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ContinuationsRow } from '../../src/engine/types.ts';
import { collect, openTinyModel, randomIds, type TinyModel } from '../helpers/tiny-models.ts';

/** Attention over a cache against attention over the whole row, on a sum of log-probabilities. */
const tolerance = 1e-5;

/** Each continuation run with its prompt, one row each. */
async function bruteForce({ model }: TinyModel, row: ContinuationsRow): Promise<number[]> {
  const rows = row.continuations.map((ids) => ({
    ids: [...row.ids, ...ids],
    responseStart: row.ids.length,
  }));
  const results = await collect(model.forward(rows, { nll: true }));
  return results.map(({ nll }) => -nll!.reduce((sum, value) => sum + value, 0));
}

/** Numbers as digits with an end, single tokens with an end, and others of any shape. */
function rowsOf(vocabSize: number): ContinuationsRow[] {
  const digits = Array.from({ length: 101 }, (_, n) => Array.from(String(n), Number).concat(11));
  const singles = Array.from({ length: 30 }, (_, n) => [12 + n, 11]);
  const others = Array.from({ length: 20 }, (_, n) => randomIds(1 + (n % 5), 6, 'continuation', n));
  const prompt = (length: number): number[] => randomIds(length, vocabSize, 'prompt', length);
  return [
    { ids: prompt(7), continuations: digits },
    { ids: prompt(12), continuations: singles },
    { ids: prompt(33), continuations: others },
    // A prompt that comes twice, and one that is one token.
    { ids: prompt(12), continuations: others },
    { ids: prompt(1), continuations: digits.slice(0, 12) },
    { ids: prompt(5), continuations: [[3]] },
    { ids: prompt(6), continuations: [] },
  ];
}

describe.each([
  ['rotary inside the attention', { shape: { headSize: 16 } }],
  ['rotary before the attention', { shape: { headSize: 24 } }],
  [
    'weights in blocks of 128',
    { shape: { width: 128, mlpWidth: 128 }, load: { dtype: 'int8', blockSize: 128 } },
  ],
] as const)('log-probabilities of continuations, %s', (_, options) => {
  let tiny: TinyModel;
  beforeAll(async () => {
    tiny = await openTinyModel(options);
  });
  afterAll(() => tiny.close());

  it('are those of running every continuation with its prompt', async () => {
    const rows = rowsOf(tiny.config.vocabSize);
    const scored = await collect(tiny.model.scoreContinuations(rows));
    expect(scored).toHaveLength(rows.length);
    for (const [i, row] of rows.entries()) {
      const expected = await bruteForce(tiny, row);
      const got = [...scored[i]!.logprobs];
      expect(got).toHaveLength(expected.length);
      got.forEach((value, j) => expect(Math.abs(value - expected[j]!)).toBeLessThan(tolerance));
    }
  });

  it('do not depend on how many rows run side by side', async () => {
    const rows = rowsOf(tiny.config.vocabSize);
    const wide = await collect(tiny.model.scoreContinuations(rows));
    const narrow = await collect(tiny.model.scoreContinuations(rows, { batchRows: 1 }));
    expect(narrow.map(({ logprobs }) => [...logprobs])).toEqual(wide.map(({ logprobs }) => [...logprobs]));
  });
});

describe('scoring continuations', () => {
  it('stops when asked', async () => {
    const tiny = await openTinyModel();
    const rows = rowsOf(tiny.config.vocabSize);
    const stopped = collect(tiny.model.scoreContinuations(rows, { signal: AbortSignal.abort() }));
    await expect(stopped).rejects.toThrow(/^stopped/);
    await tiny.close();
  });

  it('refuses what cannot be run, naming the row', async () => {
    const tiny = await openTinyModel();
    const score = (row: ContinuationsRow) => collect(tiny.model.scoreContinuations([row]));
    await expect(score({ ids: [1], continuations: [[2], []] })).rejects.toThrow(/^row 1: .*empty one/);
    await expect(score({ ids: [1], continuations: [[53]] })).rejects.toThrow(
      /^row 1: .*got 53 at position 1/,
    );
    await expect(score({ ids: [], continuations: [] })).rejects.toThrow(/^row 1: .*empty prompt/);
    await tiny.close();
  });
});
