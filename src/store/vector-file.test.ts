import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { readSafetensors } from '../model/safetensors-content.ts';
import { writeSafetensors } from '../model/safetensors-writer.ts';
import { type VectorFile, readVectorFile, writeVectorFile } from './vector-file.ts';

const file: VectorFile = {
  layers: 1,
  width: 2,
  tensors: new Map([
    ['response_mean', Float32Array.of(1, 2, 3, -4.5)],
    ['prompt_last', Float32Array.of(0, 0, 0.25, 1e-20)],
  ]),
  metadata: {
    trait: 'cheerful',
    model: 'tiny',
    modelRevision: null,
    modelFingerprint: 'f00d',
    pooling: 'response_mean',
    method: 'difference_of_means',
    pairsKept: 31,
    pairsTotal: 100,
    threshold: 50,
    residualNorms: [4, 10],
    recommendedLayer: 1,
    recommendedStrength: -1.5,
  },
};

describe('vector files', () => {
  it('come back as they were, and equal ones are equal bytes', async () => {
    const folder = await temporaryFolder();
    const [a, b] = [join(folder, 'a.safetensors'), join(folder, 'b.safetensors')];
    await writeVectorFile(a, file);
    expect(await readVectorFile(a)).toEqual(file);
    await writeVectorFile(b, await readVectorFile(a));
    expect(await readFile(b)).toEqual(await readFile(a));
  });

  it('say what their rows mean', async () => {
    const path = join(await temporaryFolder(), 'v.safetensors');
    await writeVectorFile(path, file);
    const { metadata } = await readSafetensors(path);
    expect(Object.fromEntries(metadata)).toMatchObject({
      layer_index_base: '0',
      hook_point: 'resid_post',
      normalised: 'false',
      pairs_kept: '31',
      recommended_strength: '-1.5',
    });
    expect(metadata.has('model_revision')).toBe(false);
  });

  const shape = [2, 2];
  const data = Float32Array.of(1, 2, 3, 4);
  it.each([
    ['no metadata', [{ name: 'response_mean', shape, data }], {}, 'in "format"'],
    [
      'another contract',
      [{ name: 'response_mean', shape, data }],
      { layer_index_base: '1' },
      'in "layer_index_base"',
    ],
    [
      'a count that is none',
      [{ name: 'response_mean', shape, data }],
      { pairs_kept: '-3' },
      'expected a count in digits',
    ],
    [
      'no such pooling',
      [{ name: 'other', shape, data }],
      'ours',
      'expected a tensor "response_mean", got other',
    ],
    ['one axis', [{ name: 'response_mean', shape: [4], data }], 'ours', 'to be floats [L+1, width], got [4]'],
    [
      'infinity',
      [{ name: 'response_mean', shape, data: Float32Array.of(1, Infinity, 0, 0) }],
      'ours',
      'not finite',
    ],
  ] as const)('refuse %s', async (_, tensors, changes, message) => {
    const path = join(await temporaryFolder(), 'v.safetensors');
    await writeVectorFile(path, file);
    const ours = Object.fromEntries((await readSafetensors(path)).metadata);
    const empty = typeof changes === 'object' && Object.keys(changes).length === 0;
    const metadata = empty ? {} : changes === 'ours' ? ours : { ...ours, ...changes };
    await writeSafetensors(path, tensors, metadata);
    const failure = await readVectorFile(path).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'parse', details: { file: path } });
    expect((failure as Error).message).toContain(message);
  });
});
