import { stat } from 'node:fs/promises';

/** What of a file changes with any write to it; null where there is none. */
export async function fileState(path: string): Promise<string | null> {
  const found = await stat(path, { bigint: true }).catch(() => null);
  if (found === null || !found.isFile()) return null;
  return [found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ');
}
