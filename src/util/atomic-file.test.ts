import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeFileAtomically } from './atomic-file.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { ParseError, StoreError } from '../errors.ts';

/** What the system says when the disk is full. */
function noSpace(): Error {
  return Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
}

describe('writeFileAtomically', () => {
  it('replaces the file and leaves nothing beside it', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'a.bin');
    await writeFile(path, 'before');
    await writeFileAtomically(path, async (handle) => {
      await handle.writeFile('after');
      // Until it is whole the new text stands elsewhere.
      expect(await readFile(path, 'utf8')).toBe('before');
    });
    expect(await readFile(path, 'utf8')).toBe('after');
    expect(await readdir(folder)).toEqual(['a.bin']);
  });

  it('keeps the old file and says what to do when the disk is full', async () => {
    const folder = await temporaryFolder();
    const path = join(folder, 'a.bin');
    await writeFile(path, 'before');
    const writing = writeFileAtomically(path, async (handle) => {
      await handle.writeFile('half');
      throw noSpace();
    });
    await expect(writing).rejects.toThrow(StoreError);
    await expect(writing).rejects.toThrow(/a\.bin.*no space is left on the disk; free some and run/);
    await expect(writing).rejects.toMatchObject({ details: { file: path, reason: 'ENOSPC' } });
    expect(await readFile(path, 'utf8')).toBe('before');
    expect(await readdir(folder)).toEqual(['a.bin']);
  });

  it('says that the folder is missing', async () => {
    const path = join(await temporaryFolder(), 'none', 'a.bin');
    await expect(writeFileAtomically(path, () => Promise.resolve())).rejects.toThrow(
      /its folder does not exist; create it first/,
    );
  });

  it('says that a folder stands at the path, and removes the temporary file', async () => {
    const folder = await temporaryFolder();
    await expect(writeFileAtomically(folder, () => Promise.resolve())).rejects.toThrow(StoreError);
    expect(await readdir(folder)).toEqual([]);
  });

  it('passes on an error that was thrown on purpose', async () => {
    const path = join(await temporaryFolder(), 'a.bin');
    const writing = writeFileAtomically(path, () => Promise.reject(new ParseError('on purpose')));
    await expect(writing).rejects.toThrow(ParseError);
  });
});
