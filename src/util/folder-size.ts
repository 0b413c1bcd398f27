import { lstat, readdir } from 'node:fs/promises';
import type { Dirent } from 'node:fs';
import { join } from 'node:path';

/** What lies in a folder and below it. */
export interface FolderSize {
  readonly files: number;
  /** Sum of the files' lengths; links count nothing and are not followed. */
  readonly bytes: number;
}

/** Counts the files below a folder that `isCounted` accepts by name; what cannot be read counts nothing. */
export async function measureFolder(
  folder: string,
  isCounted: (name: string) => boolean = () => true,
): Promise<FolderSize> {
  let [files, bytes] = [0, 0];
  const waiting = [folder];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    for (const entry of await entriesOf(at)) {
      const path = join(at, entry.name);
      if (entry.isDirectory()) waiting.push(path);
      if (!entry.isFile() || !isCounted(entry.name)) continue;
      files++;
      bytes += await sizeOf(path);
    }
  }
  return { files, bytes };
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  return readdir(folder, { withFileTypes: true }).catch(() => []);
}

async function sizeOf(path: string): Promise<number> {
  // Another process may have removed it since.
  return lstat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
