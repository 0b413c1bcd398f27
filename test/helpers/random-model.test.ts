import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { readWeight } from '../../src/model/read-weights.ts';
import { namedShapes, randomFamilies, type RandomOptions, writeRandomModel } from './random-model.ts';
import { temporaryFolder } from './temporary-folder.ts';

const tiny = namedShapes.tiny;
const options: RandomOptions = { seed: 1, dtype: 'F32' };

async function write(changes: Partial<RandomOptions> = {}, shape = {}): Promise<string> {
  const folder = await temporaryFolder();
  await writeRandomModel(folder, { ...tiny, ...shape }, { ...options, ...changes });
  return folder;
}

async function downProjection(folder: string): Promise<Float32Array> {
  const { weights } = await loadCheckpoint(folder);
  return readWeight(weights.blocks[1]!.projections.down_proj.weight);
}

describe('a random model', () => {
  it('has the same bytes for the same arguments, and others for another seed', async () => {
    const hash = async (folder: string): Promise<string> =>
      createHash('sha256')
        .update(await readFile(join(folder, 'model.safetensors')))
        .digest('hex');
    const first = await hash(await write());
    expect(await hash(await write())).toBe(first);
    expect(await hash(await write({ seed: 2 }))).not.toBe(first);
  });

  it('keeps every number wherever shards end', async () => {
    const sharded = await write({ shardBytes: 30_000 });
    const files = (await readdir(sharded)).filter((name) => name.endsWith('.safetensors'));
    expect(files.length).toBeGreaterThan(3);
    expect(await downProjection(sharded)).toEqual(await downProjection(await write()));
  });

  it('draws from a bell of the asked deviation, each tensor its own', async () => {
    const { weights } = await loadCheckpoint(await write({ deviation: 0.02 }));
    const [one, other] = await Promise.all(
      [0, 1].map((block) => readWeight(weights.blocks[block]!.projections.down_proj.weight)),
    );
    const mean = (f: (i: number) => number): number =>
      one!.reduce((sum, _, i) => sum + f(i), 0) / one!.length;
    expect(Math.abs(mean((i) => one![i]!))).toBeLessThan(0.001);
    expect(Math.sqrt(mean((i) => one![i]! ** 2))).toBeCloseTo(0.02, 3);
    // A flat distribution would have 1.8, a normal one 3.
    expect(mean((i) => (one![i]! / 0.02) ** 4)).toBeGreaterThan(2.5);
    expect(Math.abs(mean((i) => one![i]! * other![i]!))).toBeLessThan(0.02 ** 2 * 0.05);
  });

  it.each([
    ['F16', 11, -14],
    ['BF16', 8, -126],
  ] as const)('rounds to the nearest %s', async (dtype, bits, lowestExponent) => {
    const wide = await downProjection(await write());
    const narrow = await downProjection(await write({ dtype }));
    const spacing = (value: number): number =>
      2 ** (Math.max(Math.floor(Math.log2(Math.abs(value))), lowestExponent) + 1 - bits);
    const errors = wide.map((value, i) => Math.abs(narrow[i]! - value) / spacing(value));
    expect(Math.max(...errors)).toBeLessThanOrEqual(0.5);
    expect(Math.max(...errors)).toBeGreaterThan(0.4);
  });

  it.each(randomFamilies)('is a checkpoint of %s', async (family) => {
    const { config, unusedTensors } = await loadCheckpoint(
      await write({}, { family, tied: family === 'qwen3' }),
    );
    expect(config).toMatchObject({ modelType: family, width: 64, layers: 4, kvHeads: 2, headSize: 16 });
    expect(unusedTensors).toEqual([]);
  });
});
