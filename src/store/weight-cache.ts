import { mkdir, readdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AbortError, StoreError } from '../errors.ts';
import { writeFileAtomically } from '../util/atomic-file.ts';
import { storeFailure, writeJson } from './files.ts';
import { writeAt } from '../util/write-at.ts';
import { type FolderLock, isBusy, lockFolder } from './lock.ts';
import { packageInfo } from './package-info.ts';
import {
  cacheFiles,
  checkWeightCache,
  isLeftover,
  noteWritten,
  WEIGHT_CACHE_SCHEMA,
  type WeightCacheContent,
  type WeightCacheManifest,
} from './weight-cache-check.ts';

export interface WeightCacheOptions {
  /** Takes one line for every build: why, and where. */
  readonly onNotice?: ((message: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes every piece to an open file of the right length whose header is there already; gives the pieces' SHA-256 in
 * hexadecimal, in their order. When it throws, nothing of it writes to the file any more.
 */
export type WriteWeights = (fileDescriptor: number) => Promise<readonly string[]>;

/**
 * The path of `weights.safetensors` with this content: as it lies there if `checkWeightCache` accepts it, else built by
 * `write`. Whatever ends the process, a file of that name is whole, and `manifest.json`, written last, says so. Of
 * several processes that want the same weights one builds them and the others wait for it.
 *
 * @throws StoreError when the disk has too little space or the folder cannot be written; AbortError; what `write` throws.
 */
export async function openWeightCache(
  content: WeightCacheContent,
  write: WriteWeights,
  options: WeightCacheOptions = {},
): Promise<string> {
  const { weights } = cacheFiles(content.folder);
  if ((await checkWeightCache(content)).state === 'sound') return weights;
  await mkdir(content.folder, { recursive: true }).catch((error: unknown) => {
    throw storeFailure(content.folder, error);
  });
  const lock = await waitForLock(content, options);
  try {
    // Another process may have built them in the meantime.
    const found = await checkWeightCache(content);
    if (found.state === 'sound') return weights;
    options.onNotice?.(announce(content, found.state === 'absent' ? null : found.problem));
    await build(content, write);
    return weights;
  } finally {
    await lock.release();
  }
}

/** How often a waiting process looks whether the other one is done. */
const WAIT_MS = 250;
/** A process on another machine, of which nothing else is known, is gone once it has written nothing for so long. */
const SILENT_MS = 10 * 60_000;
/** Left free beside the weights, for the manifest and for what else writes to the disk meanwhile. */
const SPARE_BYTES = 16 * 1024 * 1024;

async function waitForLock(content: WeightCacheContent, options: WeightCacheOptions): Promise<FolderLock> {
  const { folder, model, recipe } = content;
  const abandoned = async (): Promise<boolean> => Date.now() - (await lastSignOfLife(folder)) > SILENT_MS;
  for (let round = 0; ; round++) {
    if (options.signal?.aborted) throw aborted();
    try {
      return await lockFolder(folder, undefined, abandoned);
    } catch (error) {
      if (!isBusy(error)) throw error;
      if (round === 0)
        options.onNotice?.(`Waiting for another process that builds the ${recipe} weights of ${model}.`);
    }
    await sleep(WAIT_MS);
  }
}

/** When the lock or an unfinished file of weights last changed, in milliseconds; writing does that all the time. */
async function lastSignOfLife(folder: string): Promise<number> {
  const names = (await readdir(folder)).filter((name) => name === 'lock' || isLeftover(name));
  const times = names.map(async (name) => {
    const found = await stat(join(folder, name)).catch(() => null);
    return found === null ? 0 : found.mtimeMs;
  });
  return Math.max(0, ...(await Promise.all(times)));
}

async function build(content: WeightCacheContent, write: WriteWeights): Promise<void> {
  const { folder, outline } = content;
  const files = cacheFiles(folder);
  try {
    // Without its manifest what lies there counts as unfinished, whatever happens from here on.
    for (const file of [files.manifest, files.verified, files.weights]) await rm(file, { force: true });
    await removeLeftovers(folder);
    await requireSpace(content);
    let pieces: readonly string[] = [];
    await writeFileAtomically(files.weights, async (handle) => {
      await handle.truncate(outline.fileLength);
      await writeAt(handle, outline.bytes, 0);
      pieces = await write(handle.fd);
    });
    const manifest: WeightCacheManifest = {
      schema: WEIGHT_CACHE_SCHEMA,
      kind: 'weights',
      package: await packageInfo(),
      model: content.model,
      fingerprint: content.fingerprint,
      recipe: content.recipe,
      version: content.version,
      bytes: outline.fileLength,
      pieces: [...pieces],
    };
    await writeJson(files.manifest, manifest);
  } catch (error) {
    throw storeFailure(files.weights, error);
  }
  await noteWritten(folder);
}

/** Only what builds leave: temporary files of the lock belong to processes that are waiting for it. */
async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (isLeftover(name)) await rm(join(folder, name), { force: true });
  }
}

async function requireSpace({ folder, outline, model, recipe }: WeightCacheContent): Promise<void> {
  const { bavail, bsize, blocks } = await statfs(folder);
  // Some network file systems do not say what they hold.
  if (blocks === 0) return;
  const free = bavail * bsize;
  const needed = outline.fileLength + SPARE_BYTES;
  if (free >= needed) return;
  throw new StoreError(
    `Expected ${megabytes(needed)} free in "${folder}" for the ${recipe} weights of ${model}, got ${megabytes(free)}; free some space, or set PERSONA_CACHE to a folder on a larger disk.`,
    { details: { file: folder, needed, free } },
  );
}

function announce({ folder, model, recipe, outline }: WeightCacheContent, problem: string | null): string {
  const size = megabytes(outline.fileLength);
  return problem === null
    ? `Writing the ${recipe} weights of ${model} once, ${size} in "${folder}".`
    : `The cached ${recipe} weights of ${model} in "${folder}" are built again: ${problem}.`;
}

function megabytes(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${Math.ceil(bytes / 1e6)} MB`;
}

function aborted(): AbortError {
  return new AbortError('Stopped before the weights were written; the next start begins anew.');
}
