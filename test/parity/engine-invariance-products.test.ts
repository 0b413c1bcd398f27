/**
 * Batch invariance where a product's second factor comes at run time: taps, directions, adapters. The runtime
 * does not pack such a factor, and its kernel then may cut sums in other places for other shapes.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ForwardRow, Generated, GenerateOptions, Intervention } from '../../src/engine/types.ts';
import type { Adapter } from '../../src/model/adapter.ts';
import { projections } from '../../src/model/weights.ts';
import { bitDifference } from '../helpers/numbers.ts';
import { collect, openTinyModel, randomIds, randomVector, type TinyModel } from '../helpers/tiny-models.ts';

/** Above the 512 and, inside the MLP, the 1024 numbers that the runtime sums in one go. */
const width = 640;
const mlpWidth = 1100;
let tiny: TinyModel;
beforeAll(async () => {
  const shape = { width, mlpWidth, layers: 1, headSize: 32 };
  tiny = await openTinyModel({ shape, load: { threads: 2 } });
});
afterAll(() => tiny.close());

/** What differs in any row between its own call and the call of all. */
async function forwardDifferences(
  { model }: TinyModel,
  rows: ForwardRow[],
  adapter?: Adapter,
): Promise<(string | null)[]> {
  const options = {
    pool: ['prompt_mean', 'prompt_last'],
    logits: 'last',
    batchTokens: 1e6,
    ...(adapter === undefined ? {} : { adapter }),
  } as const;
  const together = await collect(model.forward(rows, options));
  const differences: (string | null)[] = [];
  for (const [i, row] of rows.entries()) {
    const [alone] = await collect(model.forward([row], options));
    const same = together[i]!;
    differences.push(
      bitDifference(same.pooled.prompt_mean, alone!.pooled.prompt_mean) ??
        bitDifference(same.pooled.prompt_last, alone!.pooled.prompt_last) ??
        bitDifference(same.logits, alone!.logits),
    );
  }
  return differences;
}

async function generateDifferences(
  { model }: TinyModel,
  rows: ForwardRow[],
  adapter?: Adapter,
): Promise<(string | null)[]> {
  const options: GenerateOptions = {
    maxTokens: 5,
    ignoreEos: true,
    capture: ['response_mean'],
    ...(adapter === undefined ? {} : { adapter }),
  };
  const together = await collect(model.generate(rows, options));
  const differences: (string | null)[] = [];
  const ids = (one: Generated): string => one.ids.join();
  for (const [i, row] of rows.entries()) {
    const alone = (await collect(model.generate([row], options)))[0]!;
    const same = together[i]!;
    const text = ids(same) === ids(alone) ? null : `ids ${ids(same)} instead of ${ids(alone)}`;
    differences.push(text ?? bitDifference(same.pooled.response_mean, alone.pooled.response_mean));
  }
  return differences;
}

function rowsOf(...lengths: number[]): ForwardRow[] {
  return lengths.map((length, i) => ({ ids: randomIds(length, 53, length, i) }));
}

function adapterOf(rank: number): Adapter {
  const { blocks } = tiny.model.checkpoint.weights;
  const pair = (name: (typeof projections)[number], b: number): Adapter['blocks'][number][typeof name] => {
    const [out, input] = blocks[b]!.projections[name].weight.shape as [number, number];
    const small = randomVector(out * rank, name, b, 'b').map((x) => x * 0.01);
    return { rank, a: randomVector(rank * input, name, b, 'a'), b: small };
  };
  return {
    name: 'random',
    sha256: '',
    blocks: blocks.map((_, b) => Object.fromEntries(projections.map((name) => [name, pair(name, b)]))),
  };
}

describe('a row gives the same bits alone and in a batch', () => {
  it('pooled over more tokens than the runtime sums at once', async () => {
    // At this width two threads may share the columns of one row's mean, and take one row each of several.
    const narrow = await openTinyModel({ shape: { width: 128, layers: 1 }, load: { threads: 2 } });
    const differences = await forwardDifferences(narrow, rowsOf(500, 500, 500, 40, 300));
    await narrow.close();
    expect(differences).toEqual([null, null, null, null, null]);
  });

  it('beside rows with many more directions', async () => {
    const counts = [0, 1, 2, 5, 20, 40];
    const rows = rowsOf(...counts.map(() => 9)).map((row, i) => ({
      ...row,
      interventions: Array.from(
        { length: counts[i]! },
        (_, n): Intervention => ({ layer: 1, vector: randomVector(width, n), ablate: true }),
      ),
    }));
    const nothing = counts.map(() => null);
    expect(await forwardDifferences(tiny, rows)).toEqual(nothing);
    expect(await generateDifferences(tiny, rows)).toEqual(nothing);
  });

  it.each([4, 16, 32, 64])('under an adapter of rank %i, run once', async (rank) => {
    expect(await forwardDifferences(tiny, rowsOf(10, 10, 300, 1), adapterOf(rank))).toEqual([
      null,
      null,
      null,
      null,
    ]);
    expect(await forwardDifferences(tiny, rowsOf(10, 11, 12), adapterOf(rank))).toEqual([null, null, null]);
  });

  it.each([4, 16, 32, 64])('under an adapter of rank %i, generating', async (rank) => {
    expect(await generateDifferences(tiny, rowsOf(10, 3, 10), adapterOf(rank))).toEqual([null, null, null]);
  });

  it('generating from a long prompt with more threads than heads', async () => {
    // Idle threads would share the keys of one row among them where a step has too few rows to keep them busy.
    const shape = { width: 24, headSize: 64, layers: 1, maxPositions: 1024 };
    const wide = await openTinyModel({ shape, load: { threads: 16 } });
    const differences = await generateDifferences(wide, rowsOf(700, 700, 700, 700, 700));
    await wide.close();
    expect(differences).toEqual([null, null, null, null, null]);
  });
});
