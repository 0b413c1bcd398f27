import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { differingPaths, openRun } from './run-folder.ts';

const recipe = { schema: 1, model: { id: 'tiny', revision: null }, strengths: [-1, 1], seed: 0 };

describe('openRun', () => {
  it('makes the folder, holds it, and goes on with an equal recipe', async () => {
    const path = join(await temporaryFolder(), 'a', 'run');
    const run = await openRun(path, recipe);
    expect(run).toMatchObject({ path, continued: false, manifest: null });
    await expect(openRun(path, recipe)).rejects.toThrow('is in use');
    await run.writeJson('sweep', { done: true });
    await run.close();
    const again = await openRun(path, structuredClone(recipe));
    expect(again.continued).toBe(true);
    expect(await again.readJson('sweep', z.object({ done: z.boolean() }))).toEqual({ done: true });
    expect(await again.readJson('dose', z.object({}))).toBeNull();
    await again.close();
    expect((await readdir(path)).sort()).toEqual(['recipe.json', 'sweep.json']);
  });

  it('refuses another recipe, naming what differs, and leaves the folder free', async () => {
    const path = join(await temporaryFolder(), 'run');
    await (await openRun(path, recipe)).close();
    const other = { ...recipe, model: { id: 'tiny', revision: 'abc' }, strengths: [-1, 2] };
    const failure = await openRun(path, other).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'store', details: { differences: 2 } });
    expect((failure as Error).message).toContain(
      'holds a run made with other options (model.revision is null there and "abc" here; strengths is [-1,1] there and [-1,2] here)',
    );
    await (await openRun(path, recipe)).close();
  });

  it('refuses a folder of other files, and a file', async () => {
    const path = await temporaryFolder();
    await writeFile(join(path, 'thesis.txt'), '');
    await expect(openRun(path, recipe)).rejects.toThrow('got one with other files (thesis.txt)');
    await expect(openRun(join(path, 'thesis.txt'), recipe)).rejects.toThrow('Could not write');
    expect(await readdir(path)).toEqual(['thesis.txt']);
  });

  it('removes what a killed write left', async () => {
    const path = join(await temporaryFolder(), 'run');
    await mkdir(path);
    await writeFile(join(path, '.sweep.json.0123456789ab.tmp'), 'half');
    await (await openRun(path, recipe)).close();
    expect(await readdir(path)).toEqual(['recipe.json']);
  });

  it('says which file is damaged', async () => {
    const path = join(await temporaryFolder(), 'run');
    await mkdir(path);
    await writeFile(join(path, 'recipe.json'), '{"schema": ');
    await expect(openRun(path, recipe)).rejects.toThrow(/recipe\.json" is damaged: .*; start the run again/);
    await writeFile(join(path, 'recipe.json'), JSON.stringify(recipe));
    await writeFile(join(path, 'manifest.json'), '{"schema": 7}');
    await expect(openRun(path, recipe)).rejects.toThrow(/manifest\.json" is damaged: in "schema"/);
    expect(await readFile(join(path, 'manifest.json'), 'utf8')).toBe('{"schema": 7}');
  });
});

describe('differingPaths', () => {
  it('finds leaves that differ, are new or are gone', () => {
    expect(differingPaths({ a: 1, b: { c: [1], d: 'x' } }, { a: 1, b: { c: [1], d: 'x' } })).toEqual([]);
    expect(differingPaths({ a: 1, b: { c: 1 } }, { b: { c: 2 }, e: null })).toEqual([
      'a is 1 there and absent here',
      'b.c is 1 there and 2 here',
      'e is absent there and null here',
    ]);
  });
});
