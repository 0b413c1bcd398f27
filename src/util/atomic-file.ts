import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PersonaError, StoreError } from '../errors.ts';

/**
 * Writes a file whole or not at all: `write` fills a temporary file in the same folder, which is flushed to the disk and
 * then renamed to `path`. Whatever fails, the temporary file is removed and what stood at `path` before stays.
 *
 * @throws StoreError when the disk is full, the folder is missing or may not be written; what `write` throws on purpose.
 */
export async function writeFileAtomically(
  path: string,
  write: (handle: FileHandle) => Promise<void>,
): Promise<void> {
  // Two processes may write the same path at once: each has a name of its own, and the last rename wins.
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const handle = await open(temporary, 'wx');
    try {
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error instanceof PersonaError ? error : writeFailure(path, error);
  }
}

/** The StoreError for a failed write to `path`: no space left, no permission, no such folder. */
export function writeFailure(path: string, error: unknown): StoreError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : null;
  const reason =
    (code === null ? undefined : reasons[code]) ?? `the system answered ${code ?? String(error)}`;
  return new StoreError(`Could not write "${path}": ${reason}. Nothing was changed there.`, {
    details: { file: path, reason: code },
    cause: error,
  });
}

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left on the disk; free some and run the command again',
  EDQUOT: 'the disk quota is used up; free some space and run the command again',
  EFBIG: 'the file would be larger than the file system allows; choose another disk',
  EACCES: 'writing there is not permitted; choose another folder or change its permissions',
  EPERM: 'writing there is not permitted; choose another folder or change its permissions',
  EROFS: 'the file system is read-only; choose another folder',
  ENOENT: 'its folder does not exist; create it first',
  ENOTDIR: 'a part of its path is a file, not a folder; choose another path',
  EISDIR: 'a folder stands there; choose another name',
};
