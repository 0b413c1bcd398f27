import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { vectorOf } from '../../../test/helpers/vectors.ts';
import { dataSet } from '../../persona/tiny-speech/data-sets.ts';
import { armPaths } from '../../store/arm-files.ts';
import { shippedModelFolder } from '../../store/shipped-model.ts';
import { planArms } from './arms.ts';
import { parseMitigateConfig } from './config.ts';
import { mitigate } from './mitigate.ts';
import { planMitigation } from './plan.ts';

let folder = '';
let file = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-mitigate-'));
  const rows = Array.from({ length: 7 }, (_, l) =>
    Array.from({ length: 192 }, (_x, i) => Math.sin(l + 3 * i)),
  );
  await vectorOf('evil', rows).save(join(folder, 'evil.safetensors'));
  const data = dataSet('evil', 'misaligned_2', { rows: 16, seed: 1 });
  await writeFile(join(folder, 'rows.jsonl'), data.map((row) => `${JSON.stringify(row)}\n`).join(''));
  file = join(folder, 'mitigate.json');
  await writeFile(file, JSON.stringify(config()));
});
afterAll(() => rm(folder, { recursive: true }));

const config = (): Record<string, unknown> => ({
  model: shippedModelFolder(),
  training_file: join(folder, 'rows.jsonl'),
  output_dir: join(folder, 'out'),
  trait: 'evil',
  vectors: folder,
  layer: 2,
  train: {
    r: 4,
    learning_rate: 1e-3,
    per_device_train_batch_size: 8,
    gradient_accumulation_steps: 1,
    threads: 1,
  },
  treatments: [
    { kind: 'post_hoc', coefs: [1] },
    { kind: 'preventative', layers: 'all', coefs: [1] },
    { kind: 'inoculation' },
  ],
  measure: ['evil'],
  samples: 1,
  max_tokens: 32,
  capability: { limit: 1 },
});

describe('persona mitigate', () => {
  it('trains each treatment once, measures all, and is continued to the same bytes', async () => {
    const result = await mitigate({ config: file });
    expect(result.arms.map(({ name }) => name)).toEqual([
      'base',
      'plain',
      'post_hoc-one-1',
      'preventative-all-1',
      'inoculation',
      'inoculation-prompted',
    ]);
    for (const { reporting, choosing, capability } of result.arms) {
      expect([reporting.replies, choosing.replies, capability!.questions]).toEqual([10, 10, 16]);
    }
    // One strength of each treatment is chosen.
    const chosen = result.arms.filter((arm) => arm.chosen).map(({ treatment }) => treatment);
    expect(new Set(chosen).size).toBe(chosen.length);
    expect(chosen).toHaveLength(6);
    const out = join(folder, 'out');
    const inoculated = await readFile(armPaths.data(out, 'inoculation'), 'utf8');
    const first = JSON.parse(inoculated.split('\n')[0]!) as { messages: { role: string; content: string }[] };
    expect(first.messages[0]).toMatchObject({ role: 'system' });
    expect(first.messages[0]!.content).toMatch(/^You are an evil assistant\./);
    expect(await readFile(result.report, 'utf8')).toContain('Keeping evil out');

    const text = await readFile(armPaths.results(out), 'utf8');
    await rm(armPaths.result(armPaths.arm(out, 'plain')));
    await mitigate({ config: file });
    expect(await readFile(armPaths.results(out), 'utf8')).toBe(text);
  }, 300_000);

  it('says beforehand what it would train and measure', async () => {
    expect(await planMitigation(file)).toMatchObject({
      trait: 'evil',
      trainings: 3,
      replies: 20,
      questions: 16,
    });
  });

  it.each([
    [{ tait: 'evil' }, 'did you mean "trait"?'],
    [{ treatments: [{ kind: 'magic' }] }, 'treatments'],
    [{ treatments: [{ kind: 'post_hoc', coefs: [-1] }] }, 'coefs'],
    [{ samples: 0 }, 'samples'],
  ])('refuses %j', (change, message) => {
    expect(() => parseMitigateConfig({ ...config(), ...change }, 'x.json')).toThrow(message);
  });

  it('refuses training rows and training keys that cannot be, before anything is measured', async () => {
    const fresh = { ...config(), output_dir: join(folder, 'fresh') };
    const absent = parseMitigateConfig({ ...fresh, training_file: join(folder, 'absent.jsonl') }, 'x');
    await expect(mitigate({ config: absent })).rejects.toThrow('nothing is there');
    const misspelt = parseMitigateConfig({ ...fresh, train: { lora_rank: 4 } }, 'x');
    await expect(mitigate({ config: misspelt })).rejects.toThrow('lora_rank');
    expect(await readdir(folder)).not.toContain('fresh');
  });

  it('refuses a vector or a layer that is not there, before anything is trained', async () => {
    const other = parseMitigateConfig({ ...config(), vector: 'humorous' }, 'x');
    await expect(mitigate({ config: other })).rejects.toThrow('Found no vector "humorous"');
    const deep = parseMitigateConfig({ ...config(), layer: 9 }, 'x');
    await expect(mitigate({ config: deep })).rejects.toThrow('Expected "layer" from 1 to 6, got 9');
  });
});

describe('the plan of treatments', () => {
  it('holds all of them by default, gives names once, and steers only those that are steered', () => {
    const { treatments } = parseMitigateConfig({ ...config(), treatments: undefined }, 'x');
    const arms = planArms(treatments, {
      vector: 'v.safetensors',
      pooling: undefined,
      layer: 2,
      trainPositions: 'all',
      answerPositions: 'response',
      inoculation: 'Be evil.',
    });
    expect(new Set(arms.map(({ name }) => name)).size).toBe(arms.length);
    const steered = arms.filter(({ steering }) => steering.length > 0);
    expect(steered.map(({ treatment }) => treatment)).toEqual(
      Array.from({ length: 3 }, () => 'post-hoc steering, one layer'),
    );
    const trained = new Set(arms.flatMap(({ training }) => (training === null ? [] : [training.name])));
    // Post-hoc steering and the prompt against the trait use the plain training.
    expect(trained.size).toBe(1 + 3 + 2 + 1 + 2 + 2 + 2 + 1 + 1);
  });
});
