import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fakeTrait, openFakeModel } from '../../../test/helpers/fake-model.ts';
import { temporaryFolder } from '../../../test/helpers/temporary-folder.ts';
import { vectorOf } from '../../../test/helpers/vectors.ts';
import { poolings } from '../../engine/types.ts';
import { writeVectorFile } from '../../store/vector-file.ts';
import { lexicalJudgeOf } from '../lexical-judge.ts';
import { parseTrait } from '../trait.ts';
import { poolingExperiment } from './poolings.ts';

const trait = parseTrait(fakeTrait, 'cheerful');
const [width, layers] = [64, 3];

/** The fake model's mood is axis 0: the response mean lies along it, the others beside it, and ten times as long. */
async function writeVectors(file: string): Promise<void> {
  const along = (axis: number, length: number): Float32Array =>
    Float32Array.from({ length: (layers + 1) * width }, (_, i) => (i % width === axis ? length : 0));
  const { metadata } = vectorOf('cheerful', [[1]], { model: 'fake' });
  const tensors = new Map(
    poolings.map((name) => [name, name === 'response_mean' ? along(0, 2) : along(5, 20)]),
  );
  await writeVectorFile(file, { layers, width, tensors, metadata });
}

it('finds the pooling whose direction steers, at equal lengths, and continues what is there', async () => {
  const folder = await temporaryFolder();
  await writeVectors(join(folder, 'vector.safetensors'));
  const options = {
    model: await openFakeModel(join(folder, 'model')),
    trait,
    vector: join(folder, 'vector.safetensors'),
    judge: lexicalJudgeOf(trait),
    out: join(folder, 'run'),
    layer: 2,
    lengths: [1, 2],
    maxTokens: 24,
  };
  const result = await poolingExperiment(options);
  expect(result).toMatchObject({ layer: 2, positions: 'response', unit: 2, samples: 3 });
  expect(result.points.map(({ pooling, length }) => `${pooling} ${length}`)).toHaveLength(8);
  const scoreOf = (name: string): number =>
    result.points.find(({ pooling, length }) => pooling === name && length === 2)!.score!;
  expect(scoreOf('response_mean')).toBeGreaterThan(result.unsteered.score! + 20);
  // The random numbers are the unsteered ones, and nothing moves the mood.
  expect(scoreOf('prompt_last')).toBe(result.unsteered.score);
  expect(JSON.parse(await readFile(join(options.out, 'poolings.json'), 'utf8'))).toEqual(result);
  expect(await poolingExperiment(options)).toEqual(result);
  await expect(poolingExperiment({ ...options, layer: 1 })).rejects.toThrow('layer is 2 there and 1 here');
});
