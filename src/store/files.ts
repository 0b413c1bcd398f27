import * as nodeFiles from 'node:fs/promises';
import { join } from 'node:path';
import { PersonaError, StoreError } from '../errors.ts';
import { writeFailure, writeFileAtomically } from '../util/atomic-file.ts';
import { systemCode } from '../util/system-code.ts';

/** What the store asks of a file system; tests give one that runs out of space. */
export type FileSystem = Pick<
  typeof nodeFiles,
  'open' | 'rename' | 'mkdir' | 'readdir' | 'readFile' | 'rm' | 'link'
>;

/** The machine's own file system. */
export const systemFiles: FileSystem = nodeFiles;

/** Names that a killed write leaves behind. */
const temporary = /^\..*\.tmp$/;

/** Writes text or bytes to a file that is then there whole, or not at all; errors as `writeFileAtomically`. */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  await writeFileAtomically(path, (handle) => handle.writeFile(content));
}

/** Writes a value as JSON, indented by two spaces. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeWhole(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** The text of a file, or null where there is none. */
export async function readTextIfThere(path: string, files: FileSystem = systemFiles): Promise<string | null> {
  try {
    return await files.readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw readFailure(path, error);
  }
}

/** Whether a file that can be read stands at a path. */
export async function isThere(path: string, files: FileSystem = systemFiles): Promise<boolean> {
  const handle = await files.open(path, 'r').catch(() => null);
  await handle?.close();
  return handle !== null;
}

/** Removes what killed writes left in a folder; call only while holding the folder's lock. */
export async function removeTemporaries(folder: string, files: FileSystem = systemFiles): Promise<void> {
  for (const name of await files.readdir(folder)) {
    if (isTemporary(name)) await files.rm(join(folder, name), { force: true });
  }
}

/** Whether a folder's entry is the leftover of a killed write. */
export function isTemporary(name: string): boolean {
  return temporary.test(name);
}

/** Renames within a folder, and puts the folder's entries on the disk so that this outlives a power cut. */
export async function renameLasting(
  from: string,
  to: string,
  files: FileSystem = systemFiles,
): Promise<void> {
  await files.rename(from, to);
  // Some systems cannot open or sync a folder; there a rename is as lasting as they make it.
  const handle = await files.open(join(to, '..'), 'r').catch(() => null);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

/** A failed write as the store's own error; errors thrown on purpose pass through. */
export function storeFailure(path: string, error: unknown): PersonaError {
  return error instanceof PersonaError ? error : writeFailure(path, error);
}

/** As `storeFailure`, for a read. */
export function readFailure(path: string, error: unknown): PersonaError {
  if (error instanceof PersonaError) return error;
  const code = systemCode(error);
  const why =
    code === 'ENOENT'
      ? 'nothing is there; check the path'
      : code === 'EACCES' || code === 'EPERM'
        ? 'reading there is not permitted; change its permissions'
        : `the system answered ${code ?? String(error)}`;
  return new StoreError(`Could not read "${path}": ${why}.`, {
    details: { file: path, reason: code },
    cause: error,
  });
}
