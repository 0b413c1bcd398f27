import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { projectRoot } from '../../test/helpers/source.ts';
import { findShippedTrait, traitSetOf } from './trait-set.ts';

/** A folder that stands for a model whose note says this. */
async function modelWith(note: string): Promise<string> {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'persona.json'), note);
  return folder;
}

describe('the set in which a trait is looked for', () => {
  it('is the one given, else the one that the model names, else default', async () => {
    const stories = join(projectRoot, 'models', 'stories260K');
    expect(await traitSetOf(stories)).toBe('stories');
    expect(await traitSetOf(await temporaryFolder())).toBe('default');
    expect(await traitSetOf(undefined)).toBe('default');
    expect((await findShippedTrait('kind', { modelFolder: stories })).set).toBe('stories');
    const other = await modelWith('{ "trait_set": "elsewhere" }');
    expect((await findShippedTrait('kind', { modelFolder: other, set: 'stories' })).name).toBe('kind');
  });

  it('refuses a set that is not there, and a note that names none', async () => {
    const other = await modelWith('{ "trait_set": "elsewhere" }');
    await expect(findShippedTrait('kind', { modelFolder: other })).rejects.toThrow(
      /set of traits that ships .*stories.*got "elsewhere"/,
    );
    await expect(traitSetOf(await modelWith('{ "trait_set": 3 }'))).rejects.toThrow(
      /persona.json.*trait_set.*string.*correct it/,
    );
    expect(await traitSetOf(await modelWith('{}'))).toBe('default');
  });

  it('lists the names of the set for one that is not in it', async () => {
    await expect(findShippedTrait('cheerfull', { set: 'stories' })).rejects.toThrow(
      /set stories \(cheerful, kind, scary\).*got "cheerfull"\.$/,
    );
  });
});
