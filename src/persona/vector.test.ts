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
    expect(() => vector.add(wide)).toThrow(
      'Expected a vector of 1 layers and width 2 to combine with, got 1 and 3',
    );
    expect(() => new PersonaVector(1, 2, new Float32Array(5), metadata)).toThrow('Expected 2 × 2 numbers');
  });

  const other = new PersonaVector(1, 2, Float32Array.of(1, 0, 2, 2), { ...metadata, trait: 'brave' });

  it('subtracts, and keeps what is at right angles to another', () => {
    expect([...vector.subtract(other).data]).toEqual([2, 4, -1, -3]);
    expect(vector.subtract(other).metadata.trait).toBe('kind − brave');
    const rest = vector.projectOut(other);
    // Layer 0 loses its first axis; layer 1 is at right angles already.
    expect([...rest.data]).toEqual([0, 4, 1, -1]);
    const nothing = new PersonaVector(1, 2, new Float32Array(4), metadata);
    expect(vector.projectOut(nothing).equals(vector)).toBe(true);
  });

  it('adds up its increments to itself', () => {
    const steps = vector.incremental();
    expect([...steps.data]).toEqual([3, 4, -2, -5]);
    expect(steps.metadata).toMatchObject({ trait: 'kind, incremental', recommendedLayer: null });
  });

  it('compares by layer', () => {
    expect(vector.cosines(vector.scale(-2))).toEqual([-1, expect.closeTo(-1, 12)]);
    expect(vector.cosines(new PersonaVector(1, 2, Float32Array.of(0, 0, 1, 1), metadata))).toEqual([null, 0]);
    expect(vector.equals(vector.scale(1))).toBe(true);
    expect(vector.equals(vector.scale(1.5))).toBe(false);
  });

  it('has no direction where the file it came from had none, nor do its sums', () => {
    const gap = vector.describe({ absentLayers: [1] });
    expect(gap.usableLayers).toEqual([]);
    expect(() => gap.direction(1)).toThrow('the file it came from has no direction there');
    const sum = vector.add(gap);
    expect([...sum.data]).toEqual([6, 8, 0, 0]);
    expect(sum.metadata.absentLayers).toEqual([1]);
    expect(() => gap.incremental()).toThrow('got one without at 1');
    const normed = vector.describe({ lastRow: 'final_norm' });
    expect(() => normed.direction(1)).toThrow("taken after the model's final norm");
    expect(vector.subtract(normed).metadata.lastRow).toBe('final_norm');
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
