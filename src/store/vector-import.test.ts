import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeWithShared, sharedPath } from '../../test/helpers/shared.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { type GgufEntry, writeGguf } from '../model/gguf-writer.ts';
import { writePtTensor } from '../model/pt-writer.ts';
import { writeControlVector } from './control-vector.ts';
import { type VectorFile, unknownOrigin, unusableReason } from './vector-file.ts';
import { importVector } from './vector-import.ts';

const rows = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const file: VectorFile = {
  layers: 3,
  width: 2,
  tensors: new Map([['response_mean', rows]]),
  metadata: {
    ...unknownOrigin({ trait: 'kind', pooling: 'response_mean', model: 'tiny' }),
    modelFingerprint: 'f00d',
    recommendedLayer: 2,
    recommendedStrength: 1.5,
    residualNorms: [1, 2, 3, 4],
  },
};

const noKeys = new Map<string, GgufEntry>();

async function path(name: string): Promise<string> {
  return join(await temporaryFolder(), name);
}

describe("the authors' .pt", () => {
  it('is read row for row; its name tells trait and pooling, its last row is no direction', async () => {
    const pt = await path('kind_prompt_avg_diff.pt');
    await writePtTensor(pt, { shape: [4, 2], data: rows }, 'kind');
    const { file: read, notes } = await importVector(pt);
    expect(read.layers).toBe(3);
    expect(read.tensors.get('prompt_mean')).toEqual(rows);
    expect(read.metadata).toMatchObject({ trait: 'kind', pooling: 'prompt_mean', lastRow: 'final_norm' });
    expect(unusableReason(read, 3)).toContain("after the model's final norm");
    expect(unusableReason(read, 2)).toBeNull();
    expect(notes.join()).toContain('row 3 was taken after the final norm');
  });

  it.each(['kind_boundary_mean_diff.pt', 'kind_boundary_mean_axis.pt'])(
    'has the pooling that its name says where the authors have no such: %s',
    async (name) => {
      const pt = await path(name);
      await writePtTensor(pt, { shape: [4, 2], data: rows }, 'kind');
      const { file: read } = await importVector(pt, name.includes('axis') ? { layout: 'axis' } : {});
      expect(read.metadata).toMatchObject({ trait: 'kind', pooling: 'boundary_mean' });
    },
  );

  it('of one direction is refused', async () => {
    const pt = await path('v.pt');
    await writePtTensor(pt, { shape: [8], data: rows }, 'v');
    await expect(importVector(pt)).rejects.toThrow('[L+1, width], got [8]');
  });
});

describe("assistant-axis's .pt", () => {
  it('has row i for layer i + 1, and none for the embeddings', async () => {
    const pt = await path('axis.pt');
    await writePtTensor(pt, { shape: [4, 2], data: rows }, 'axis');
    const { file: read } = await importVector(pt, { layout: 'axis' });
    expect([read.layers, read.width]).toEqual([4, 2]);
    expect([...read.tensors.get('unknown')!]).toEqual([0, 0, ...rows]);
    expect(unusableReason(read, 0)).not.toBeNull();
    expect(unusableReason(read, 4)).toBeNull();
  });
});

describe('control vectors', () => {
  it('hold layers 2 to L of a vector and its metadata, and come back with them', async () => {
    const gguf = await path('v.gguf');
    expect(await writeControlVector(gguf, file, 'response_mean')).toEqual([2, 3]);
    const { file: read } = await importVector(gguf);
    expect([...read.tensors.get('response_mean')!]).toEqual([0, 0, 0, 0, 5, 6, 7, 8]);
    expect(read.metadata).toEqual({ ...file.metadata, absentLayers: [0, 1] });
  });

  it('of one layer hold that layer', async () => {
    const gguf = await path('v.gguf');
    expect(await writeControlVector(gguf, file, 'response_mean', 3)).toEqual([3]);
    await expect(writeControlVector(gguf, file, 'response_mean', 1)).rejects.toThrow(
      'a layer that a control vector can hold (2, 3; it has no place for layer 1), got 1',
    );
    // What stood there stays.
    expect((await importVector(gguf)).file.metadata.absentLayers).toEqual([0, 1, 2]);
  });

  it('of others put direction.N at layer N + 1, shifted where asked', async () => {
    const gguf = await path('happy.gguf');
    const vectors = [1, 2].map((n) => ({ name: `direction.${n}`, data: Float32Array.of(n, n) }));
    await writeGguf(gguf, noKeys, vectors);
    const plain = await importVector(gguf, { layers: 4 });
    expect([...plain.file.tensors.get('unknown')!]).toEqual([0, 0, 0, 0, 1, 1, 2, 2, 0, 0]);
    expect(plain.file.metadata).toMatchObject({ trait: 'happy', model: 'unknown', absentLayers: [0, 1, 4] });
    const shifted = await importVector(gguf, { layerShift: -1 });
    expect([...shifted.file.tensors.get('unknown')!]).toEqual([0, 0, 1, 1, 2, 2]);
    await expect(importVector(gguf, { layers: 2 })).rejects.toThrow('layers 1 to 2, got 2 to 3');
  });

  it('with a direction.0 are refused, unless it is to be moved or dropped', async () => {
    const gguf = await path('v.gguf');
    const vectors = [0, 1].map((n) => ({ name: `direction.${n}`, data: Float32Array.of(n + 1) }));
    await writeGguf(gguf, noKeys, vectors);
    await expect(importVector(gguf)).rejects.toThrow('has a "direction.0", which llama.cpp refuses');
    const moved = await importVector(gguf, { directionZero: 'move' });
    expect([...moved.file.tensors.get('unknown')!]).toEqual([0, 1, 2]);
    const dropped = await importVector(gguf, { directionZero: 'drop' });
    expect(dropped.file.metadata.absentLayers).toEqual([0, 1]);
  });

  it.each([
    ['another name', 'blk.0.weight', Float32Array.of(1, 2), 'called direction.1, direction.2 and so on'],
    [
      'another length',
      'direction.2',
      Float32Array.of(1),
      'expected direction.2 to be 2 numbers as the others',
    ],
    ['not a number', 'direction.2', Float32Array.of(1, NaN), 'direction.2 holds numbers that are not finite'],
    ['a layer of millions', 'direction.999999', Float32Array.of(1, 2), 'expected at most 4096 layers'],
  ])('with %s are refused', async (_, name, data, problem) => {
    const gguf = await path('v.gguf');
    await writeGguf(gguf, noKeys, [
      { name: 'direction.1', data: Float32Array.of(1, 2) },
      { name, data },
    ]);
    await expect(importVector(gguf)).rejects.toThrow(problem);
  });

  it('of one wide direction at a high layer are refused before they grow', async () => {
    const gguf = await path('v.gguf');
    await writeGguf(gguf, noKeys, [{ name: 'direction.4096', data: new Float32Array(32_769).fill(1) }]);
    await expect(importVector(gguf)).rejects.toThrow('expected at most 134217728 numbers, got 4097 layers');
  });
});

describe('files that are no vectors', () => {
  it('are told from the first bytes, whatever they are called', async () => {
    const wrong = await path('v.gguf');
    await writeFile(wrong, 'hello there');
    await expect(importVector(wrong)).rejects.toThrow('neither an archive of torch.save nor a GGUF file');
    await expect(importVector(join(wrong, '..', 'absent'))).rejects.toThrow(
      'Expected a vector file or a run folder',
    );
  });
});

describeWithShared('real control vectors', () => {
  it.each([
    ['create', 32, 4096],
    ['diffmean-1', 28, 1536],
    ['happy_diffmean', 28, 1536],
    ['style-probe', 28, 1536],
  ])('%s: direction.0 is explained, and read where moved', async (name, layers, width) => {
    const gguf = sharedPath('data/persona/control-vectors-gguf', `${name}.gguf`);
    await expect(importVector(gguf)).rejects.toThrow('because it cannot steer block 0');
    const { file: read } = await importVector(gguf, { directionZero: 'move' });
    expect([read.layers, read.width]).toEqual([layers, width]);
    expect(read.metadata.absentLayers).toEqual([0]);
  });
});
