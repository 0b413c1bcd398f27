import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { copyModel } from '../../test/helpers/broken-model.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import type { LanguageModel } from '../engine/model.ts';
import { loadCheckpoint } from '../model/checkpoint.ts';
import { settle } from './extract-options.ts';
import { readModelNote } from './model-note.ts';

const note = {
  trait_set: 'stories',
  steering: {
    pooling: 'boundary_mean',
    positions: 'boundary',
    strengths: { unit: 'coef', sweep: [-1, 1], dose: [-1, 0, 1] },
  },
};

it('says nothing where there is none, and what is in it otherwise', async () => {
  const folder = await temporaryFolder();
  expect(await readModelNote(folder)).toEqual({ traitSet: null, steering: {} });
  await writeFile(join(folder, 'persona.json'), JSON.stringify(note));
  expect(await readModelNote(folder)).toEqual({ traitSet: 'stories', steering: note.steering });
});

it('is read again once its file has changed, and not before', async () => {
  const folder = await temporaryFolder();
  const file = join(folder, 'persona.json');
  await writeFile(file, JSON.stringify(note));
  const first = await readModelNote(folder);
  expect(await readModelNote(folder)).toBe(first);
  await writeFile(file, JSON.stringify({ trait_set: 'other stories' }));
  expect(await readModelNote(folder)).toEqual({ traitSet: 'other stories', steering: {} });
  await rm(file);
  expect(await readModelNote(folder)).toEqual({ traitSet: null, steering: {} });
});

it('refuses one that it does not understand, by the name of the field', async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'persona.json'), '{ "steering": { "positions": "everywhere" } }');
  await expect(readModelNote(folder)).rejects.toThrow(/persona\.json.*steering\.positions.*correct it/);
});

it('decides where options do not', async () => {
  const folder = await temporaryFolder();
  await copyModel(folder);
  await writeFile(join(folder, 'persona.json'), JSON.stringify(note));
  const model = { checkpoint: await loadCheckpoint(folder) } as LanguageModel;
  const settings = await settle({ model, trait: 'cheerful', out: 'unused' });
  expect(settings).toMatchObject({ pooling: 'boundary_mean', positions: 'boundary', unit: 'coef' });
  expect([settings.sweep!.strengths, settings.dose!.strengths]).toEqual([
    [-1, 1],
    [-1, 0, 1],
  ]);
  const asked = { positions: 'response', pooling: 'response_mean', strengthUnit: 'fraction' } as const;
  const other = await settle({ model, trait: 'cheerful', out: 'unused', ...asked });
  expect(other).toMatchObject({ pooling: 'response_mean', positions: 'response', unit: 'fraction' });
  expect(other.sweep!.strengths).toEqual([-0.4, -0.2, 0.2, 0.4]);
});
