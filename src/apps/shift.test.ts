import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shippedModel } from '../../test/helpers/broken-model.ts';
import { vectorOf } from '../../test/helpers/vectors.ts';
import { shippedModelFolder } from '../store/shipped-model.ts';
import { parseTrainConfig } from '../training/config.ts';
import { mergeAdapter } from '../training/merge-adapter.ts';
import { train } from '../training/train.ts';
import { shift } from './shift.ts';

describe('persona shift', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'persona-shift-'));
    const rows = Array.from({ length: 6 }, (_, l) =>
      Array.from({ length: 64 }, (_x, i) => Math.sin(64 * l + i)),
    );
    await vectorOf('cheerful', rows).save(join(folder, 'cheerful.safetensors'));
    const row = { prompt: 'Tom saw a tree.', answer: ' Tom was grumpy.' };
    await writeFile(join(folder, 'rows.jsonl'), `${JSON.stringify(row)}\n`);
    const config = {
      model: shippedModel,
      training_file: join(folder, 'rows.jsonl'),
      output_dir: join(folder, 'adapter'),
      r: 4,
      learning_rate: 1e-3,
      warmup_steps: 0,
      max_steps: 3,
    };
    await train({ config: parseTrainConfig(config, 'test') });
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('refuses models, vectors and layers that do not fit, before a weight is loaded', async () => {
    const vectors = [join(folder, 'cheerful.safetensors')];
    const options = { base: shippedModel, tuned: shippedModel, vectors };
    await expect(shift({ ...options, layer: 9 })).rejects.toThrow('Expected a direction at layer 9');
    await expect(shift({ ...options, vectors: [] })).rejects.toThrow('at least one vector');
    await expect(shift({ ...options, tuned: shippedModelFolder() })).rejects.toThrow(
      'only models of one shape can be compared',
    );
  });

  it('is zero from a model to itself, and of the adapter as of the model with it merged', async () => {
    const vectors = [join(folder, 'cheerful.safetensors')];
    const options = { base: shippedModel, vectors, layer: 4 };
    const same = await shift({ ...options, tuned: shippedModel });
    expect(same.traits[0]!.layers.map((one) => one.shift)).toEqual([0, 0, 0, 0, 0]);
    const adapted = await shift({ ...options, tuned: join(folder, 'adapter') });
    expect(adapted.tuned).toBe('stories260K+adapter');
    expect(adapted.traits[0]).toMatchObject({ trait: 'cheerful', chosen: { layer: 4 } });
    expect(Math.abs(adapted.traits[0]!.chosen.shift)).toBeGreaterThan(1e-3);
    const merged = join(folder, 'merged');
    await mergeAdapter({ model: shippedModel, adapter: join(folder, 'adapter'), output: merged });
    const whole = await shift({ ...options, tuned: merged });
    adapted.traits[0]!.layers.forEach((one, i) =>
      expect(Math.abs(one.shift - whole.traits[0]!.layers[i]!.shift)).toBeLessThan(1e-3),
    );
  });
});
