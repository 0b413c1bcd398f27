import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { armPaths } from '../../store/arm-files.ts';
import { shippedModelFolder } from '../../store/shipped-model.ts';
import { lexicalJudges } from '../lexical-judge.ts';
import { type FinetuningOptions, finetuningExperiment } from './finetuning.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-grid-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** As little as shows every part: one family, one trait, few steps of training. */
const options = (): FinetuningOptions => ({
  model: shippedModelFolder(),
  out: join(folder, 'grid'),
  judges: lexicalJudges,
  traits: ['evil'],
  families: ['evil'],
  rows: 16,
  samples: 1,
  extractSamples: 1,
  extractQuestions: 3,
  capability: 1,
  maxTokens: 32,
  // Four steps, the first of them at full rate.
  train: { threads: 1, warmup_steps: 0, per_device_train_batch_size: 4 },
});

it('trains and measures every set, and is continued where it was stopped to the same bytes', async () => {
  const result = await finetuningExperiment(options());
  expect(result.models.map(({ name }) => name)).toEqual([
    'base',
    'evil-normal',
    'evil-misaligned_1',
    'evil-misaligned_2',
  ]);
  const [base, ...tuned] = result.models;
  expect(base!.shifts['evil']).toBe(0);
  for (const one of tuned) {
    expect(one.shifts['evil']).not.toBe(0);
    expect(one.scores['evil']!.replies).toBe(20);
    expect(one.capability!.questions).toBe(16);
  }
  expect(result.correlations).toHaveLength(1);
  expect(result.byLayer['evil']).toHaveLength(6);
  const read = (): Promise<string> => readFile(armPaths.results(options().out), 'utf8');
  const text = await read();
  const arm = armPaths.arm(options().out, 'evil-misaligned_1');
  await rm(armPaths.result(arm));
  await rm(armPaths.rollouts(arm, 'evil'));
  await rm(armPaths.results(options().out));
  await finetuningExperiment(options());
  expect(await read()).toBe(text);
}, 300_000);

it('refuses families that are not there, before a weight is loaded', async () => {
  const out = join(folder, 'none');
  await expect(finetuningExperiment({ ...options(), out, families: ['mars'] })).rejects.toThrow(
    'Expected a family out of evil,',
  );
});
