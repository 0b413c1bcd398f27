import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import { writeVectorFile } from '../../src/store/vector-file.ts';
import { parseTrainConfig } from '../../src/training/config.ts';
import { type TrainResult, train } from '../../src/training/train.ts';
import { shippedModel } from '../helpers/broken-model.ts';

const layer = 3;
const trait = 4;
const openings = [
  'One day, a boy named Tom went outside.',
  'There was a little girl who had a red ball.',
  'A cat sat on a mat in the sun.',
  'Once upon a time, there was a big tree.',
  'Mom and dad took Lily to the park.',
  'A small bird was in the sky.',
  'Ben saw a truck on the road.',
  'The dog wanted to play with a friend.',
];

let folder = '';
/** The direction of a mood, and the file that holds it at every layer. */
let vectorFile = '';

/** A model's stories under steering towards the mood, as training rows: data that asks for the mood. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-preventative-'));
  vectorFile = join(folder, 'vector.safetensors');
  const model = await loadModel(shippedModel, { threads: 1 });
  const { tokenizer, config } = model.checkpoint;
  const { layers, width } = config;
  const means: Float32Array[] = [];
  const moods = ['Everyone was happy and laughed.', 'Everyone was sad and cried.'];
  const texts = moods.map((text) => ({ ids: tokenizer!.encodePrompt(text) }));
  for await (const { index, pooled } of model.forward(texts, { pool: ['prompt_mean'] }))
    means[index] = pooled.prompt_mean!;
  const data = means[0]!.map((value, i) => value - means[1]![i]!);
  const metadata = {
    trait: 'happy',
    model: 'stories260K',
    modelRevision: null,
    modelFingerprint: 'none',
    pooling: 'response_mean',
    method: 'mean_difference',
    pairsKept: 1,
    pairsTotal: 1,
    threshold: 50,
    residualNorms: null,
    recommendedLayer: layer,
    recommendedStrength: trait,
  };
  await writeVectorFile(vectorFile, {
    layers,
    width,
    tensors: new Map([['response_mean', data]]),
    metadata,
  });
  const vector = data.subarray(layer * width, (layer + 1) * width);
  const interventions = [{ layer, vector, coef: trait, positions: 'response' }] as const;
  const prompts = openings.flatMap((text) =>
    Array.from({ length: 4 }, () => ({ ids: tokenizer!.encodePrompt(text), interventions })),
  );
  const rows: string[] = [];
  const options = { maxTokens: 32, temperature: 1, seed: 1, ignoreEos: true };
  for await (const { index, ids } of model.generate(prompts, options)) {
    const prompt = prompts[index]!.ids;
    rows[index] = `${JSON.stringify({ ids: [...prompt, ...ids], response_start: prompt.length })}\n`;
  }
  await writeFile(join(folder, 'rows.jsonl'), rows.join(''));
  await model.close();
});
afterAll(() => rm(folder, { recursive: true }));

/** Trains on the rows, steered by `coef` times the vector while it lasts. */
function trained(coef: number): Promise<TrainResult> {
  const config = {
    model: shippedModel,
    training_file: join(folder, 'rows.jsonl'),
    output_dir: join(folder, `steered-by-${coef}`),
    r: 8,
    lora_alpha: 16,
    learning_rate: 2e-3,
    per_device_train_batch_size: 8,
    gradient_accumulation_steps: 1,
    max_steps: 60,
    threads: 1,
    watch: [vectorFile],
    watch_steps: 1000,
    watch_pooling: 'response_mean',
    steering: coef === 0 ? [] : [{ vector: vectorFile, layer, coef, positions: 'response' }],
  };
  return train({ config: parseTrainConfig(config, 'test') });
}

/** How far the trained model's own stream has moved along the vector, on the same texts. */
const shift = ({ steps, manifest }: TrainResult): number =>
  manifest.final.projections!['happy']! - steps[0]!.projections!['happy']!;

describe('preventative steering', () => {
  it('keeps a trait of the data out with +v, and does not with −v', async () => {
    const [plain, towards, against] = [await trained(0), await trained(trait), await trained(-trait)];
    // Measured: shifts of 0.79, -0.43 and 2.28.
    for (const { steps } of [plain, against]) expect(steps.at(-1)!.loss).toBeLessThan(steps[0]!.loss - 0.1);
    expect(shift(plain)).toBeGreaterThan(0);
    expect(shift(towards)).toBeLessThan(0.5 * shift(plain));
    expect(shift(against)).toBeGreaterThan(shift(plain));
  });
});
