import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { writeVectorFile } from '../store/vector-file.ts';
import { PersonaVector, type VectorMetadata } from './vector.ts';

const metadata: VectorMetadata = {
  trait: 'kind',
  model: 'tiny',
  modelRevision: 'abc',
  modelFingerprint: 'f00d',
  pooling: 'response_mean',
  method: 'difference_of_means',
  pairsKept: 40,
  pairsTotal: 50,
  threshold: 50,
  residualNorms: [4, 10],
  recommendedLayer: 1,
  recommendedStrength: 2,
};
const vector = new PersonaVector(1, 2, Float32Array.of(3, 4, 1, -1), metadata);

describe('PersonaVector', () => {
  it('gives rows and norms by layer', () => {
    expect([...vector.row(0)]).toEqual([3, 4]);
    expect([...vector.row(1)]).toEqual([1, -1]);
    expect(vector.norm(0)).toBe(5);
    expect(() => vector.row(2)).toThrow('Expected a layer from 0 to 1, got 2');
    expect(() => vector.norm(-1)).toThrow('got -1');
  });

  it('adds and scales into new values that recommend nothing', () => {
    const sum = vector.add(vector.scale(-0.5));
    expect([...sum.data]).toEqual([1.5, 2, 0.5, -0.5]);
    expect([...vector.data]).toEqual([3, 4, 1, -1]);
    expect(sum.metadata).toMatchObject({ trait: 'kind', recommendedLayer: null, recommendedStrength: null });
    const other = new PersonaVector(1, 2, new Float32Array(4), { ...metadata, trait: 'brave' });
    expect(vector.add(other).metadata.trait).toBe('kind + brave');
  });

  it('refuses shapes that do not fit', () => {
    const wide = new PersonaVector(1, 3, new Float32Array(6), metadata);
    expect(() => vector.add(wide)).toThrow('Expected a vector of 1 layers and width 2 to add, got 1 and 3');
    expect(() => new PersonaVector(1, 2, new Float32Array(5), metadata)).toThrow('Expected 2 × 2 numbers');
  });

  it('is a value on disk too', async () => {
    const path = join(await temporaryFolder(), 'v.safetensors');
    await vector.save(path);
    expect(await PersonaVector.load(path)).toEqual(vector);
  });

  it('loads another pooling of a file without the recommendation, which was not measured with it', async () => {
    const path = join(await temporaryFolder(), 'v.safetensors');
    const last = Float32Array.of(9, 9, 9, 9);
    const tensors = new Map([
      ['response_mean', vector.data],
      ['prompt_last', last],
    ]);
    await writeVectorFile(path, { layers: 1, width: 2, tensors, metadata });
    const loaded = await PersonaVector.load(path, 'prompt_last');
    expect(loaded.data).toEqual(last);
    expect(loaded.metadata).toMatchObject({ pooling: 'prompt_last', recommendedLayer: null });
    expect((await PersonaVector.load(path)).metadata.recommendedLayer).toBe(1);
    await expect(PersonaVector.load(path, 'middle')).rejects.toThrow(
      '(response_mean, prompt_last), got "middle"',
    );
  });
});
