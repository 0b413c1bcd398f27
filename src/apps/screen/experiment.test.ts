import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../../../test/helpers/temporary-folder.ts';
import { lexicalJudges } from '../../persona/lexical-judge.ts';
import { shippedModelFolder } from '../../store/shipped-model.ts';
import { screeningExperiment } from './experiment.ts';

it('trains on the highest, random and lowest samples, and keeps what it found', async () => {
  const folder = await temporaryFolder();
  const before = process.env['PERSONA_CACHE'];
  process.env['PERSONA_CACHE'] = join(folder, 'cache');
  onTestFinished(() => {
    if (before === undefined) delete process.env['PERSONA_CACHE'];
    else process.env['PERSONA_CACHE'] = before;
  });
  const out = join(folder, 'out');
  const options = {
    model: shippedModelFolder(),
    out,
    judges: lexicalJudges,
    traits: ['evil'],
    families: ['evil', 'mistake_animals'],
    variants: ['normal', 'misaligned_2'],
    rows: 16,
    subset: 8,
    samples: 1,
    extractSamples: 1,
    extractQuestions: 4,
    capability: 0,
    maxTokens: 40,
  };
  const result = await screeningExperiment(options);
  const [evil] = result.traits;
  expect(evil!.sets.map(({ set }) => set)).toEqual([
    'evil-normal',
    'evil-misaligned_2',
    'mistake_animals-normal',
    'mistake_animals-misaligned_2',
  ]);
  // What is severe lies further from what the model says than what is normal.
  expect(evil!.sets[1]!.difference).toBeGreaterThan(evil!.sets[0]!.difference);
  for (const score of [evil!.base, ...Object.values(evil!.subsets)]) expect(score.replies).toBeGreaterThan(0);
  const text = (...path: string[]): Promise<string> => readFile(join(out, ...path), 'utf8');
  const high = await text('subsets', 'evil', 'high.jsonl');
  expect(high).toBe(await text('screened', 'top-evil.jsonl'));
  expect(high.trim().split('\n')).toHaveLength(8);
  expect(await text('subsets', 'evil', 'low.jsonl')).toBe(await text('screened', 'bottom-evil.jsonl'));
  expect(JSON.parse(await text('screening.json'))).toEqual(result);
  expect(evil!.estimates.map(({ mode }) => mode)).toEqual(['full', 'prompt-last', 'raw']);
  expect(evil!.estimates[0]).toMatchObject({ r: evil!.r, others: evil!.others });
  const [own, mistakes] = evil!.separations;
  expect(own).toMatchObject({ family: 'evil', severe: 16, normal: 16 });
  expect(own!.auroc).toBeGreaterThan(mistakes!.auroc!);
  // All of it is there already.
  expect(await screeningExperiment(options)).toEqual(result);
});
