/** Models in GGUF run as their twins in safetensors do. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import type { LoadOptions } from '../../src/engine/model.ts';
import { dequantiseRows } from '../../src/engine/quantise.ts';
import { sameBlocks } from '../../src/engine/same-blocks.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { readGgufModel } from '../../src/model/gguf-checkpoint.ts';
import { ggufBlockTypes } from '../../src/model/gguf-types.ts';
import { readRows, readWeight } from '../../src/model/read-weights.ts';
import { writeSafetensors } from '../../src/model/safetensors-writer.ts';
import { weightSources } from '../../src/model/weights.ts';
import { writeGgufTwin } from '../helpers/gguf-twin.ts';
import { type RandomShape, writeRandomModel } from '../helpers/random-model.ts';
import { describeWithShared, sharedPath } from '../helpers/shared.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';

const shipped = (name: string): string => fileURLToPath(new URL(`../../models/${name}`, import.meta.url));

/** Greedy continuations of some prompts. */
async function greedy(
  path: string,
  prompts: readonly string[],
  maxTokens: number,
  options: LoadOptions = {},
): Promise<{ readonly ids: readonly number[]; readonly text: string | null }[]> {
  const model = await loadModel(path, options);
  try {
    const rows = prompts.map((prompt) => ({ ids: model.checkpoint.tokenizer!.encodePrompt(prompt) }));
    const found = [];
    for await (const row of model.generate(rows, { maxTokens, ignoreEos: true })) found.push(row);
    return found
      .toSorted((a, b) => a.index - b.index)
      .map(({ ids, text }) => ({ ids: [...ids], text: text ?? null }));
  } finally {
    await model.close();
  }
}

/** Logits of the last of some tokens, `[vocabulary]`. */
async function lastLogits(path: string, options: LoadOptions = {}): Promise<number[]> {
  const model = await loadModel(path, options);
  try {
    const rows = [{ ids: [1, 5, 9, 33, 17, 60, 2] }];
    for await (const { logits } of model.forward(rows, { logits: 'last' })) return [...logits!];
  } finally {
    await model.close();
  }
  throw new Error('no result');
}

const shape: RandomShape = {
  family: 'llama',
  vocabSize: 96,
  width: 256,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headSize: 64,
  mlpWidth: 256,
  tied: false,
  maxPositions: 64,
  ropeTheta: 10_000,
};
const int8 = { dtype: 'int8' } as const;

/** A folder in safetensors of the numbers that a GGUF file stands for. */
async function unpacked(gguf: string): Promise<string> {
  const folder = join(await temporaryFolder(), 'unpacked');
  await mkdir(folder);
  const { documents } = await readGgufModel(gguf);
  await writeFile(join(folder, 'config.json'), JSON.stringify(documents.get('config.json')));
  const sources = weightSources((await loadCheckpoint(gguf)).weights);
  const tensors = await Promise.all(
    sources.map(async (source) => ({
      name: source.name,
      shape: source.shape,
      data: await readWeight(source),
    })),
  );
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
  return folder;
}

describe('a model that ships, as GGUF', () => {
  it.each(['fp32', 'int8'] as const)('persona-tiny in F16 says the same in %s', async (dtype) => {
    const path = join(await temporaryFolder(), 'tiny.gguf');
    await writeGgufTwin(shipped('persona-tiny'), path, 'F16');
    const prompts = ['<|im_start|>user\nHow are you?<|im_end|>\n<|im_start|>assistant\n'];
    const twin = await greedy(shipped('persona-tiny'), prompts, 24, { dtype });
    expect(await greedy(path, prompts, 24, { dtype })).toEqual(twin);
    expect(twin[0]!.ids).toHaveLength(24);
  });
});

describeWithShared("llama.cpp's stories260K.gguf", () => {
  it('tells the stories of its converted twin, token by token', async () => {
    const gguf = sharedPath('data', 'models', 'stories260K', 'stories260K.gguf');
    const prompts = ['', 'Once upon a time', 'Lily saw a “big” dog.'];
    const twin = await greedy(shipped('stories260K'), prompts, 200);
    expect(await greedy(gguf, prompts, 200)).toEqual(twin);
    expect(twin[1]!.text).toContain('Lily');
  });
});

describe('a random model in GGUF', () => {
  it.each([
    ['llama', { attentionBias: true, mlpBias: true }],
    ['qwen2', { tied: true }],
    ['qwen3', { headSize: 32 }],
  ] as const)('of %s computes what the folder does that it was made from', async (family, more) => {
    const folder = join(await temporaryFolder(), family);
    const gains = { gainDeviation: 0.2, deviation: 0.1 };
    await writeRandomModel(folder, { ...shape, family, ...more }, { seed: 3, dtype: 'F32', ...gains });
    const path = join(folder, 'twin.gguf');
    await writeGgufTwin(folder, path, 'F32');
    for (const options of [{}, int8]) {
      const logits = await lastLogits(folder, options);
      expect(await lastLogits(path, options)).toEqual(logits);
      expect(new Set(logits).size).toBe(shape.vocabSize);
    }
  });

  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'persona-gguf-'));
    await writeRandomModel(folder, shape, { seed: 3, dtype: 'F32' });
  });
  afterAll(() => rm(folder, { recursive: true }));

  it.each([...ggufBlockTypes, 'F16', 'BF16'] as const)(
    'of %s computes in fp32 and int8 what safetensors of the same numbers do',
    async (type) => {
      const path = join(await temporaryFolder(), 'twin.gguf');
      await writeGgufTwin(folder, path, type);
      const twin = await unpacked(path);
      const logits = await lastLogits(path);
      expect(logits.every(Number.isFinite)).toBe(true);
      expect(logits).toEqual(await lastLogits(twin));
      expect(logits).not.toEqual(await lastLogits(folder));
      // Blocks of 128 are made from the numbers in either case, so they are the same too.
      const wide = { ...int8, blockSize: 128 } as const;
      expect(await lastLogits(path, wide)).toEqual(await lastLogits(twin, wide));
    },
  );

  it.each([
    ['Q8_0', 8],
    ['Q5_0', 8],
    ['Q4_0', 8],
    ['Q4_0', 4],
  ] as const)('%s becomes blocks of %i bits without loss', async (type, bits) => {
    const path = join(await temporaryFolder(), 'twin.gguf');
    await writeGgufTwin(folder, path, type);
    const { weights } = await loadCheckpoint(path);
    const format = { bits, blockSize: 32 } as const;
    // −0 stands for a zero level under a negative scale; it equals 0 in every sum.
    const bytes = (values: Float32Array): Buffer => Buffer.from(values.map((value) => value + 0).buffer);
    for (const { weight } of Object.values(weights.blocks[1]!.projections)) {
      const [rows, columns] = weight.shape as readonly [number, number];
      const same = sameBlocks(await readRows(weight, 0, rows), weight.dtype, format);
      const numbers = dequantiseRows(same!, columns, format);
      expect(bytes(numbers).equals(bytes(await readWeight(weight)))).toBe(true);
    }
  });

  it('is quantised anew where the blocks do not fit', async () => {
    const bytes = new Uint8Array(34);
    expect(sameBlocks(bytes, 'Q8_0', { bits: 8, blockSize: 32 })).not.toBeNull();
    expect(sameBlocks(bytes, 'Q8_0', { bits: 4, blockSize: 32 })).toBeNull();
    expect(sameBlocks(bytes, 'Q8_0', { bits: 8, blockSize: 128 })).toBeNull();
    expect(sameBlocks(new Uint8Array(20), 'Q4_1', { bits: 8, blockSize: 32 })).toBeNull();
    // A scale that is infinite.
    bytes.set([0x00, 0x7c]);
    expect(sameBlocks(bytes, 'Q8_0', { bits: 8, blockSize: 32 })).toBeNull();
  });
});
