import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWithShared, sharedPath } from '../../test/helpers/shared.ts';
import { randomVector, tinyShape, writeTinyModel } from '../../test/helpers/tiny-models.ts';
import { type Checkpoint, loadCheckpoint } from '../model/checkpoint.ts';
import { writeVectorFile } from '../store/vector-file.ts';
import { parseTrainConfig } from './config.ts';
import { directionAt, loadDirections } from './directions.ts';
import { type ResolvedSteering, resolveSteering } from './steering.ts';
import { resolveWatched } from './watch.ts';

const { layers, width } = tinyShape;
const data = randomVector((layers + 1) * width, 'steering');
const row = (layer: number): Float32Array => data.slice(layer * width, (layer + 1) * width);

let folder = '';
let checkpoint: Checkpoint;
beforeAll(async () => {
  folder = await writeTinyModel();
  checkpoint = await loadCheckpoint(folder);
  const metadata = {
    trait: 'evil',
    model: 'tiny',
    modelRevision: null,
    modelFingerprint: 'none',
    pooling: 'response_mean',
    method: 'mean_difference',
    pairsKept: 1,
    pairsTotal: 1,
    threshold: 50,
    residualNorms: null,
    recommendedLayer: 2,
    recommendedStrength: 1,
  };
  await writeVectorFile(vector(), { layers, width, tensors: new Map([['response_mean', data]]), metadata });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const vector = (): string => join(folder, 'vector.safetensors');

function resolve(more: Record<string, unknown>): Promise<ResolvedSteering> {
  return resolveSteering(parseTrainConfig({ model: 'm', training_file: 'r', ...more }, 'test'), checkpoint);
}

describe('steering while training', () => {
  it('is none where none is asked for', async () => {
    expect(await resolve({})).toMatchObject({ interventions: [], penalty: null, klWeight: 0, notices: [] });
  });

  it("takes the paper's own configuration", async () => {
    const steering_config = {
      steering_vector_path: vector(),
      type: 'steer',
      steering_coef: 5,
      layers: [1, 3],
    };
    const { interventions } = await resolve({ steering_config, enable_steering_during_training: true });
    expect(interventions).toEqual([
      { layer: 1, vector: row(1), coef: 5, positions: 'all' },
      { layer: 3, vector: row(3), coef: 5, positions: 'all' },
    ]);
    const ablated = await resolve({
      steering_config: { ...steering_config, type: 'ablate', layers: [2] },
      enable_steering_during_training: true,
    });
    expect(ablated.interventions).toEqual([{ layer: 2, vector: row(2), ablate: true, positions: 'all' }]);
    expect((await resolve({ steering_config })).interventions).toEqual([]);
  });

  it('adds the difference to the layer before at all layers', async () => {
    const steering = [{ vector: vector(), layers: 'all', coef: 1.25, incremental: true }];
    const { interventions } = await resolve({ steering });
    expect(interventions.map(({ layer }) => layer)).toEqual([1, 2, 3]);
    interventions.forEach(({ vector: added }, i) =>
      expect(added).toEqual(row(i + 1).map((value, k) => value - row(i)[k]!)),
    );
  });

  it('clamps and ablates, and takes numbers for a vector', async () => {
    const numbers = [...randomVector(width, 'numbers')];
    const { interventions } = await resolve({
      steering: [
        { vector: numbers, layer: 1, max: 0.5, positions: 'response' },
        { vector: numbers, layers: 'all', ablate: true },
      ],
    });
    expect(interventions).toHaveLength(4);
    expect(interventions[0]).toMatchObject({ layer: 1, max: 0.5, positions: 'response' });
    expect(interventions.slice(1).map(({ layer }) => layer)).toEqual([1, 2, 3]);
  });

  it('makes a penalty and a KL term', async () => {
    const { penalty, klWeight, recipe } = await resolve({
      penalty: { weight: 0.1, vector: vector(), layers: [2, 3] },
      kl: { weight: 0.5 },
    });
    expect(penalty).toEqual({
      weight: 0.1,
      directions: [
        { layer: 2, vector: row(2) },
        { layer: 3, vector: row(3) },
      ],
    });
    expect(klWeight).toBe(0.5);
    expect(recipe).toMatchObject({ kl: 0.5, penalty: { weight: 0.1 } });
  });

  it('enters the recipe by its numbers, not by its file', async () => {
    const other = join(folder, 'copy.safetensors');
    await writeFile(other, await import('node:fs/promises').then(({ readFile }) => readFile(vector())));
    const first = await resolve({ steering: [{ vector: vector(), layer: 2, coef: 1 }] });
    const second = await resolve({ steering: [{ vector: other, layer: 2, coef: 1 }] });
    const third = await resolve({ steering: [{ vector: other, layer: 2, coef: 2 }] });
    expect(second.recipe).toEqual(first.recipe);
    expect(third.recipe).not.toEqual(first.recipe);
  });

  it.each<[string, Record<string, unknown>, string]>([
    [
      'no strength',
      { layer: 1 },
      'steering entry 1: expected exactly one of "coef", "ablate": true, or "min"/"max", got none of them',
    ],
    ['two strengths', { layer: 1, coef: 1, ablate: true }, 'got several'],
    ['no layer', { coef: 1 }, 'steering entry 1: expected one of "layer" and "layers", got neither'],
    ['two layers', { coef: 1, layer: 1, layers: [2] }, 'got both'],
    ['a layer beyond the last', { coef: 1, layer: 4 }, 'expected a layer from 1 to 3'],
    [
      'an increment of an ablation',
      { ablate: true, layers: 'all', incremental: true },
      '"incremental" adds differences',
    ],
  ])('is refused with %s', async (_, entry, sentence) => {
    await expect(resolve({ steering: [{ vector: vector(), ...entry }] })).rejects.toThrow(sentence);
  });

  it('is refused with a vector of another model or none at all', async () => {
    await expect(resolve({ steering: [{ vector: [1, 2], layer: 1, coef: 1 }] })).rejects.toThrow('width 24');
    await expect(
      resolve({ steering: [{ vector: join(folder, 'model.safetensors'), layer: 1, coef: 1 }] }),
    ).rejects.toThrow('is no persona vector');
    await expect(resolve({ steering: [{ vector: 'nowhere.pt', layer: 1, coef: 1 }] })).rejects.toThrow(
      'nowhere.pt',
    );
  });
});

describe('a watched vector', () => {
  const watched = (watch: unknown) =>
    resolveWatched(parseTrainConfig({ model: 'm', training_file: 'r', watch }, 'test'), checkpoint);

  it('has the layer that its file recommends, and length 1', async () => {
    const found = await watched([vector(), { vector: vector(), layer: 3, name: 'late' }]);
    expect(found.map(({ name, layer }) => [name, layer])).toEqual([
      ['evil', 2],
      ['late', 3],
    ]);
    expect(Math.sqrt(found[0]!.unit.reduce((sum, x) => sum + x * x, 0))).toBeCloseTo(1, 12);
    expect(found[0]!.unit[5]! / found[0]!.unit[0]!).toBeCloseTo(row(2)[5]! / row(2)[0]!, 5);
  });

  it('has a name of its own', async () => {
    await expect(watched([vector(), vector()])).rejects.toThrow('got "evil" twice; add "name"');
  });
});

describeWithShared("the authors' .pt file", () => {
  const file = sharedPath('data/persona/vectors/Qwen3-4B/evil_response_avg_diff.pt');
  const qwen3 = { layers: 36, width: 2560 };

  it('has directions at every layer but the last, whose row is normed', async () => {
    const directions = await loadDirections(file, qwen3);
    expect(directions).toMatchObject({ name: 'evil', layers: 36, metadata: { recommendedLayer: null } });
    expect(directionAt(directions, 20)).toHaveLength(2560);
    expect(() => directionAt(directions, 36)).toThrow(
      "got 36: its row was taken after the model's final norm, so it cannot be added to the stream after block 36",
    );
  });

  it('is refused for a model of another shape', async () => {
    await expect(loadDirections(file, { layers: 28, width: 3584 })).rejects.toThrow(
      "expected directions for 28 layers of width 3584 (the model's), got 36 layers of width 2560",
    );
  });
});
