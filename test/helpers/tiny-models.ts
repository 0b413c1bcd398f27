/** Tiny random models on disk, opened both ways: on the engine and as numbers for the reference. */

import fc from 'fast-check';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadModel } from '../../src/engine/load.ts';
import type { LanguageModel, LoadOptions } from '../../src/engine/model.ts';
import type { Intervention, Positions } from '../../src/engine/types.ts';
import type { ModelConfig } from '../../src/model/config.ts';
import type { ModelWeights } from '../../src/model/weights.ts';
import { randomStream } from '../../src/util/random.ts';
import { randomFamilies, type RandomDtype, type RandomShape, writeRandomModel } from './random-model.ts';
import { readAllWeights } from './reference-weights.ts';

/** A shape that runs in a millisecond, with more than one of everything. */
export const tinyShape: RandomShape = {
  family: 'qwen2',
  vocabSize: 53,
  width: 24,
  layers: 3,
  heads: 4,
  kvHeads: 2,
  headSize: 16,
  mlpWidth: 40,
  tied: true,
  maxPositions: 512,
  ropeTheta: 1000,
};

export interface TinyOptions {
  readonly shape?: Partial<RandomShape>;
  readonly seed?: number;
  readonly dtype?: RandomDtype;
  readonly shardBytes?: number;
  readonly load?: LoadOptions;
}

export interface TinyModel {
  readonly folder: string;
  readonly model: LanguageModel;
  readonly config: ModelConfig;
  readonly weights: ModelWeights<Float32Array>;
  /** Closes the model and removes its folder. */
  readonly close: () => Promise<void>;
}

/**
 * Writes a tiny random model to a temporary folder and opens it. Its weights are large for its width, so that
 * attention is far from uniform and a wrong position, mask or head shows.
 */
export async function openTinyModel(options: TinyOptions = {}): Promise<TinyModel> {
  const folder = await writeTinyModel(options);
  const model = await loadModel(folder, options.load);
  const { config, weights } = model.checkpoint;
  return {
    folder,
    model,
    config,
    weights: await readAllWeights(weights),
    close: async () => {
      await model.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** Only the folder; whoever asks removes it. */
export async function writeTinyModel(options: TinyOptions = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tiny-model-'));
  await writeRandomModel(
    folder,
    { ...tinyShape, ...options.shape },
    {
      seed: options.seed ?? 1,
      dtype: options.dtype ?? 'F32',
      deviation: 0.25,
      gainDeviation: 0.2,
      ...(options.shardBytes === undefined ? {} : { shardBytes: options.shardBytes }),
    },
  );
  return folder;
}

/** All results of a call, in the order of its rows. */
export async function collect<T extends { readonly index: number }>(results: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const result of results) all[result.index] = result;
  return all;
}

/** Equal arguments give equal ids below `vocabSize`. */
export function randomIds(length: number, vocabSize: number, ...name: (string | number)[]): number[] {
  const stream = randomStream('ids', ...name);
  return Array.from({ length }, () => Math.floor(stream.uniform() * vocabSize));
}

/** A vector of standard normal numbers. */
export function randomVector(width: number, ...name: (string | number)[]): Float32Array {
  const stream = randomStream('vector', ...name);
  return Float32Array.from({ length: width }, () => stream.normal());
}

/** Any family, with what only it has. */
export const anyShape: fc.Arbitrary<Partial<RandomShape>> = fc
  .record({
    family: fc.constantFrom(...randomFamilies),
    vocabSize: fc.integer({ min: 17, max: 90 }),
    width: fc.integer({ min: 2, max: 6 }).map((n) => 8 * n),
    layers: fc.integer({ min: 1, max: 3 }),
    kvHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.integer({ min: 1, max: 3 }),
    headSize: fc.constantFrom(8, 16, 24, 32, 64),
    mlpWidth: fc.integer({ min: 3, max: 50 }),
    tied: fc.boolean(),
    ropeTheta: fc.constantFrom(100, 10_000, 1e6),
    normEps: fc.constantFrom(1e-6, 1e-5),
    scaling: fc.constantFrom('none', 'linear', 'llama3'),
    slidingWindow: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
    attentionBias: fc.boolean(),
    mlpBias: fc.boolean(),
  })
  .map(({ group, scaling, slidingWindow, ...shape }) => ({
    ...shape,
    heads: shape.kvHeads * group,
    ...(scaling === 'none' ? {} : { ropeScaling: scalings[scaling]! }),
    ...(slidingWindow === undefined ? {} : { slidingWindow }),
  }));

const scalings: Readonly<Record<string, Readonly<Record<string, string | number>>>> = {
  linear: { rope_type: 'linear', factor: 3 },
  llama3: {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 32,
  },
};

/** Interventions of every kind on a model of this size; up to `most` of them. */
export function anyInterventions(
  config: Pick<ModelConfig, 'layers' | 'width'>,
  most: number,
  positions: readonly Positions[] = ['all', 'prompt', 'response'],
): fc.Arbitrary<Intervention[]> {
  const strength = fc.integer({ min: -8, max: 8 }).map((n) => n / 4);
  const kind = fc.oneof(
    strength.map((coef) => ({ coef })),
    strength.map((coef) => ({ coef, keepNorm: true }) as const),
    fc.constant({ ablate: true } as const),
    fc.record({ min: strength }),
    fc.record({ max: strength }),
    fc.tuple(strength, strength).map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) })),
  );
  const one = fc.record({
    layer: fc.integer({ min: 1, max: config.layers }),
    // Few different vectors, so that equal and overlapping directions meet on one layer.
    vector: fc.integer({ min: 0, max: 3 }).map((n) => randomVector(config.width, n)),
    positions: fc.constantFrom(...positions),
    kind,
  });
  return fc.array(
    one.map(({ kind, ...target }) => ({ ...target, ...kind })),
    { maxLength: most },
  );
}
