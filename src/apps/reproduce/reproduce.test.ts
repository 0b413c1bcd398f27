import { mkdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../../../test/helpers/temporary-folder.ts';
import { randomVector } from '../../../test/helpers/tiny-models.ts';
import { vectorOf } from '../../../test/helpers/vectors.ts';
import { loadCheckpoint } from '../../model/checkpoint.ts';
import { packageInfo } from '../../store/package-info.ts';
import { reproductionPaths, writePart } from '../../store/reproduction-folder.ts';
import { openFolder } from '../../store/run-folder.ts';
import { shippedModelFolder } from '../../store/shipped-model.ts';
import { type ReproduceOptions, openScene, recipeOf, reproduce } from './reproduce.ts';
import type { ExtractionData } from './run-vectors.ts';
import { vectorFile } from './scene.ts';
import { changeSettings, quickSettings } from './settings.ts';

/** As little as shows that one experiment works on what another one left. */
const settings = changeSettings(
  quickSettings,
  {
    max_tokens: 24,
    extraction: { traits: ['evil'] },
    finetuning: { families: ['evil'], rows: 16, capability: 0 },
    mitigation: { samples: 1, capability: 0, treatments: ['post_hoc'], post_hoc: [1] },
    screening: { subset: 8 },
  },
  'the test',
);

/** A folder in which the extraction is done already, with a direction out of the air for a vector. */
async function begin(options: ReproduceOptions): Promise<void> {
  const scene = await openScene(options);
  const { config, id } = await loadCheckpoint(options.model);
  const rows = Array.from({ length: config.layers + 1 }, (_, l) => [...randomVector(config.width, 'v', l)]);
  await (await openFolder(scene.out, await recipeOf(scene))).close();
  const file = vectorFile(scene, 'evil');
  await mkdir(dirname(file), { recursive: true });
  await vectorOf('evil', rows, { model: id, recommendedLayer: 3, recommendedStrength: 1 }).save(file);
  const { version } = await packageInfo();
  const data: ExtractionData = { traits: [], cosines: null };
  await writePart(scene.out, { part: 'extraction', version, seconds: 1, failures: [], data });
}

it('works on what is there, trains each data set once, and goes on past what fails', async () => {
  const folder = await temporaryFolder();
  const before = process.env['PERSONA_CACHE'];
  process.env['PERSONA_CACHE'] = join(folder, 'cache');
  onTestFinished(() => {
    if (before === undefined) delete process.env['PERSONA_CACHE'];
    else process.env['PERSONA_CACHE'] = before;
  });
  const out = join(folder, 'run');
  const options: ReproduceOptions = {
    model: shippedModelFolder(),
    out,
    settings,
    train: { warmup_steps: 0, threads: 1 },
    only: ['mitigation', 'screening'],
  };
  await begin(options);
  const notes: string[] = [];
  const { parts, comparisons, complete } = await reproduce({
    ...options,
    onNote: (line) => notes.push(line),
  });
  expect(complete).toBe(true);
  expect(notes.map((line) => line.split(':')[0])).toEqual([
    'extraction',
    'finetuning',
    'mitigation',
    'screening',
  ]);
  const { finetuning, mitigation, screening, monitoring } = parts;
  expect(monitoring).toEqual({ status: 'left out' });
  if (finetuning.status !== 'done' || mitigation.status !== 'done' || screening.status !== 'done')
    throw new Error(JSON.stringify(parts));
  expect(finetuning.data.models.map(({ name }) => name)).toEqual([
    'base',
    'evil-normal',
    'evil-misaligned_1',
    'evil-misaligned_2',
  ]);
  // The plain model of the mitigation is the grid's: the same bytes, and the same score for the same random numbers.
  const adapter = (...path: string[]): Promise<Buffer> =>
    readFile(join(out, ...path, 'adapter_model.safetensors'));
  const plain = await adapter('mitigation', 'evil', 'training', 'plain');
  expect(plain.equals(await adapter('finetuning', 'training', 'evil-misaligned_2'))).toBe(true);
  const arm = mitigation.data[0]!.arms.find(({ name }) => name === 'plain')!;
  expect(arm.scores['evil']!.score).toBe(finetuning.data.models[3]!.scores['evil']!.score);
  await expect(stat(join(out, 'screening', 'training', 'evil-normal'))).rejects.toThrow('ENOENT');
  expect(screening.data.traits[0]!.sets).toHaveLength(3);
  expect(new Set(comparisons.map(({ part }) => part))).toEqual(
    new Set(['finetuning', 'mitigation', 'screening']),
  );
  const page = await readFile(reproductionPaths.report(out), 'utf8');
  expect(page).toContain('Keeping a trait out');
  expect(page.match(/<h2 id=/g)).toHaveLength(7);
  // All of it is there already.
  const again = await reproduce(options);
  expect(again.parts).toEqual(parts);
});
