import { expect, it } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import type { LoadOptions } from '../../src/engine/model.ts';
import type { ForwardRow, Pooling } from '../../src/engine/types.ts';
import { randomStream } from '../../src/util/random.ts';
import { describeWithShared, sharedPath } from '../helpers/shared.ts';
import { cosine } from '../../src/util/vectors.ts';

const all: readonly Pooling[] = ['response_mean', 'prompt_mean', 'prompt_last'];

/** Eight rows of random ids of different lengths, half prompt, half response. */
function randomRows(vocabSize: number): ForwardRow[] {
  return Array.from({ length: 8 }, (_, row) => {
    const random = randomStream('quantised', row);
    const length = 12 + 7 * row;
    const ids = Array.from({ length }, () => Math.floor(random.uniform() * vocabSize));
    return { ids, responseStart: length / 2 - (length % 2) / 2 };
  });
}

/** Smallest cosine, over layers, rows and poolings, between what fp32 and what `load` pools. */
async function smallestCosine(
  folder: string,
  load: LoadOptions,
  pool: readonly Pooling[] = all,
): Promise<number> {
  const [exact, quantised] = [await pooled(folder, {}, pool), await pooled(folder, load, pool)];
  return Math.min(...exact.map((vector, i) => cosine(vector, quantised[i] as Float32Array)));
}

/** One vector a row, pooling and layer. */
async function pooled(folder: string, load: LoadOptions, pool: readonly Pooling[]): Promise<Float32Array[]> {
  const model = await loadModel(folder, load);
  const { vocabSize, layers, width } = model.checkpoint.config;
  const vectors: Float32Array[][] = [];
  for await (const result of model.forward(randomRows(vocabSize), { pool })) {
    vectors[result.index] = pool.flatMap((pooling) =>
      Array.from({ length: layers }, (_, block) => {
        const layer = block + 1;
        return (result.pooled[pooling] as Float32Array).subarray(layer * width, (layer + 1) * width);
      }),
    );
  }
  await model.close();
  return vectors.flat();
}

const models = [
  ['golden llama', sharedPath('golden', 'llama')],
  ['golden qwen2', sharedPath('golden', 'qwen2')],
  ['golden qwen3', sharedPath('golden', 'qwen3')],
  ['golden mistral', sharedPath('golden', 'mistral')],
  ['TinyStories-656K', sharedPath('data', 'models', 'TinyStories-656K')],
  ['stories260K', new URL('../../models/stories260K', import.meta.url).pathname],
] as const;

describeWithShared('quantised weights', () => {
  it.each(models.flatMap(([name, folder]) => [32, 128].map((block) => [name, block, folder] as const)))(
    '%s in int8, blocks of %i, pools as fp32 does',
    async (_, blockSize, folder) => {
      const load = { dtype: 'int8', blockSize: blockSize as 32 | 128 } as const;
      expect(await smallestCosine(folder, load)).toBeGreaterThanOrEqual(0.999);
    },
  );

  // In blocks of 128 the mean over tokens still agrees; a single token's residual falls to 0.974.
  it.each([
    [32, all],
    [128, ['response_mean', 'prompt_mean']],
  ] as const)(
    'TinyStories-656K in int4, blocks of %i, pools nearly as fp32 does',
    async (blockSize, pool) => {
      const folder = sharedPath('data', 'models', 'TinyStories-656K');
      expect(await smallestCosine(folder, { dtype: 'int4', blockSize }, pool)).toBeGreaterThanOrEqual(0.98);
    },
  );
});
