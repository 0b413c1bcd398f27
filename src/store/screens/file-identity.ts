import type { Stats } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { DataError } from '../../errors.ts';
import { readFailure } from '../files.ts';

/** Tells a file from the one that replaces it under its name. */
export function identityOf({ dev, ino, size, mtimeMs }: Stats): string {
  return [dev, ino, size, mtimeMs].join(':');
}

/**
 * The identity of a regular file.
 *
 * @throws DataError for what is none, such as a link; StoreError where it cannot be looked at.
 */
export async function regularFile(path: string): Promise<string> {
  const found = await lstat(path).catch((error: unknown) => {
    throw readFailure(path, error);
  });
  if (found.isFile()) return identityOf(found);
  throw new DataError(`Expected a file at "${path}", got a link or a folder.`);
}
