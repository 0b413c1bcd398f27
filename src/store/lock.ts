import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { StoreError } from '../errors.ts';
import { systemCode } from '../util/system-code.ts';
import { type FileSystem, readTextIfThere, renameLasting, storeFailure, systemFiles } from './files.ts';

/** A held lock; releasing it twice does nothing more. */
export interface FolderLock {
  release(): Promise<void>;
}

/** Who holds a lock. `started` tells a process from a later one that was given the same number. */
interface Owner {
  readonly pid: number;
  readonly host: string;
  readonly started: string | null;
  readonly token: string;
}
const ownerSchema = z.object({
  pid: z.int(),
  host: z.string(),
  started: z.string().nullable(),
  token: z.string(),
});

/** Tokens of the locks that this process holds: a lock with our number but not our token is a leftover. */
const held = new Set<string>();

/**
 * Takes the lock of a folder: one process at a time writes a run. A lock whose process is gone is taken over; whether one
 * on another machine is gone cannot be known, so that a caller may bring a sign of its own as `abandoned`.
 *
 * @throws StoreError naming the process that holds it; `isBusy` tells it from others.
 */
export async function lockFolder(
  folder: string,
  files: FileSystem = systemFiles,
  abandoned: () => Promise<boolean> = async () => false,
): Promise<FolderLock> {
  const path = join(folder, 'lock');
  const owner = await describeSelf(files);
  // Two rounds: the second one after a leftover was cleared away.
  // Known as ours before it is there: another call of this process may read it at once.
  held.add(owner.token);
  try {
    for (let round = 0; round < 2; round++) {
      if (await claim(path, owner, files)) return heldLock(path, owner, files);
      await clearLeftover(path, owner, files, abandoned);
    }
  } catch (error) {
    held.delete(owner.token);
    throw error;
  }
  held.delete(owner.token);
  throw busy(path, 'another process');
}

/** Whether `lockFolder` failed because another process holds the lock. */
export function isBusy(error: unknown): boolean {
  return error instanceof StoreError && error.details['reason'] === BUSY;
}

const BUSY = 'busy';

/** Writes the lock's content aside and links it into place: it is never there half-written. */
async function claim(path: string, owner: Owner, files: FileSystem): Promise<boolean> {
  const aside = join(path, '..', `.lock.${owner.token}.tmp`);
  try {
    const handle = await files.open(aside, 'wx');
    try {
      await handle.writeFile(JSON.stringify(owner));
    } finally {
      await handle.close();
    }
    await files.link(aside, path);
    return true;
  } catch (error) {
    // ENOENT: the holder has cleaned its folder of temporary files, ours among them.
    if (['EEXIST', 'ENOENT'].includes(systemCode(error) ?? '')) return false;
    throw storeFailure(path, error);
  } finally {
    await files.rm(aside, { force: true });
  }
}

function heldLock(path: string, owner: Owner, files: FileSystem): FolderLock {
  const release = async (): Promise<void> => {
    if (held.delete(owner.token)) await files.rm(path, { force: true });
  };
  return { release };
}

/** Removes the lock of a process that is gone; a lock that is held is a StoreError. */
async function clearLeftover(
  path: string,
  self: Owner,
  files: FileSystem,
  abandoned: () => Promise<boolean>,
): Promise<void> {
  const text = await readTextIfThere(path, files);
  if (text === null) return;
  const other = parseOwner(text);
  if (other !== null && (await isAlive(other, self, files, abandoned))) {
    throw busy(
      path,
      other.host === self.host ? `process ${other.pid}` : `process ${other.pid} on ${other.host}`,
    );
  }
  const aside = join(path, '..', `.stale.${self.token}.tmp`);
  try {
    await renameLasting(path, aside, files);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw storeFailure(path, error);
  }
  // Another process may have replaced the leftover between the reading and the renaming: it gets its lock back.
  if ((await readTextIfThere(aside, files)) !== text) await files.link(aside, path).catch(() => undefined);
  await files.rm(aside, { force: true });
}

async function describeSelf(files: FileSystem): Promise<Owner> {
  const token = randomBytes(8).toString('hex');
  return { pid: process.pid, host: hostname(), started: await processStart(process.pid, files), token };
}

function parseOwner(text: string): Owner | null {
  try {
    return ownerSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

async function isAlive(
  other: Owner,
  self: Owner,
  files: FileSystem,
  abandoned: () => Promise<boolean>,
): Promise<boolean> {
  // From here nothing can be known of another machine's processes, so its lock counts as held.
  if (other.host !== self.host) return !(await abandoned());
  if (other.pid === self.pid) return held.has(other.token);
  try {
    process.kill(other.pid, 0);
  } catch (error) {
    if (systemCode(error) === 'ESRCH') return false;
  }
  return other.started === null || other.started === (await processStart(other.pid, files));
}

/** When a process started, in the kernel's ticks; null where there is none, or the system has no /proc. */
export async function processStart(pid: number, files: FileSystem = systemFiles): Promise<string | null> {
  try {
    const text = await files.readFile(`/proc/${pid}/stat`, 'utf8');
    // Field 22; the second field is the program's name in brackets, which may hold spaces.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function busy(path: string, who: string): StoreError {
  return new StoreError(
    `"${join(path, '..')}" is in use by ${who}; wait for it to end, or choose another folder (if it is surely gone, delete "${path}").`,
    { details: { file: path, reason: BUSY } },
  );
}
