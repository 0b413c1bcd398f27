import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFailure } from '../../util/atomic-file.ts';
import { forEachConcurrently } from '../../util/concurrently.ts';
import { requireRoom } from '../../util/free-bytes.ts';
import type { HubName } from '../hub-cache.ts';
import { downloadBlob, isBlobRight, partialBytes } from './blob.ts';
import type { BlobSource } from './blob.ts';
import type { Connection } from './client.ts';
import { listFiles } from './listing.ts';
import type { HubFile } from './listing.ts';
import { defaultPatience } from '../../util/http/retry.ts';
import type { Patience } from '../../util/http/retry.ts';
import { filesByPattern, filesForLoader, shardsOf } from './select.ts';
import type { HubSettings } from './settings.ts';
import { linkFile, repoFolders, writeRef } from './snapshot.ts';
import type { RepoFolders } from './snapshot.ts';

/** How far a download is. */
export interface DownloadProgress {
  /** First what the cache has is checked, then the rest is downloaded. */
  readonly phase: 'checking' | 'downloading';
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface DownloadOptions {
  /** Patterns of the files to have instead of those that the loader reads; see `matchesGlob`. */
  readonly allow?: readonly string[];
  /** Files at a time; default 4. */
  readonly parallel?: number;
  readonly patience?: Partial<Patience>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Told of what a person should know: damage that was repaired, long waits. */
  readonly onNote?: (line: string) => void;
  /** Free bytes of the disk with a folder; the system's answer unless a test says otherwise. */
  readonly freeBytes?: (folder: string) => Promise<number | null>;
}

/** A file of a snapshot. */
export interface SnapshotFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** False where the cache had it already. */
  readonly fetched: boolean;
}

export interface Snapshot {
  readonly commit: string;
  /** Absolute folder with the files under their names. */
  readonly folder: string;
  /** Sorted by path. */
  readonly files: readonly SnapshotFile[];
}

/** Enough to keep a few connections busy; more would take turns on the same line. */
const DEFAULT_PARALLEL = 4;
/**
 * Downloads a model's files at a revision into the Hub cache and checks every one of them by size and hash, those that
 * were there before too. The revision's name is noted last, so that it never means a snapshot that is not whole. One
 * process at a time may download the same model.
 *
 * @throws UsageError where the Hub refuses or cannot be reached; ParseError where it lies; ModelError where the repository
 *   holds no weights that can be loaded; StoreError where the disk is full or not writable; AbortError.
 */
export async function downloadSnapshot(
  model: HubName,
  settings: HubSettings,
  options: DownloadOptions = {},
): Promise<Snapshot> {
  const patience = { ...defaultPatience, ...options.patience };
  const { endpoint, token } = settings;
  const connection: Connection = { endpoint, token, stallMs: patience.stallMs };
  const { signal, onNote } = options;
  const listing = await listFiles(connection, model, { patience, signal, onNote });
  const folders = repoFolders(settings.cache, model.name);
  const source = { connection, repo: model.name, revision: model.revision, commit: listing.commit, patience };
  const fetched = new Set<string>();
  const ensure = (files: readonly HubFile[]): Promise<void> =>
    ensureBlobs(files, { folders, source, options, fetched });
  const files: HubFile[] = [];
  if (options.allow === undefined) {
    const { files: known, index } = filesForLoader(listing, model.name);
    files.push(...known);
    if (index !== null) {
      await ensure([index]);
      files.push(...(await shardsOf(listing, index, folders.blobs)));
    }
  } else {
    files.push(...filesByPattern(listing, options.allow));
  }
  await ensure(files);
  for (const file of files) await linkFile(folders, listing.commit, file);
  await writeRef(folders, model.revision, listing.commit);
  return {
    commit: listing.commit,
    folder: join(folders.snapshots, listing.commit),
    files: files
      .map(({ path, size, hash }) => ({ path, size, fetched: fetched.has(hash.hex) }))
      .sort((a, b) => (a.path < b.path ? -1 : 1)),
  };
}

interface Work {
  readonly folders: RepoFolders;
  readonly source: BlobSource;
  readonly options: DownloadOptions;
  /** Hashes of what was downloaded; added to. */
  readonly fetched: Set<string>;
}

/** Has the contents of all these files in the cache, right. */
async function ensureBlobs(
  files: readonly HubFile[],
  { folders, source, options, fetched }: Work,
): Promise<void> {
  const { parallel = DEFAULT_PARALLEL, signal, onNote } = options;
  try {
    await mkdir(folders.blobs, { recursive: true });
  } catch (error) {
    throw writeFailure(folders.blobs, error);
  }
  // Two files with one content are one blob.
  const blobs = [...new Map(files.map((file) => [file.hash.hex, file])).values()];
  const missing = await findMissing(blobs, folders, options);
  const parts = await Promise.all(missing.map((file) => partialBytes(folders.blobs, file)));
  const totalBytes = sum(missing.map(({ size }) => size));
  let doneBytes = sum(parts);
  await requireRoom(folders.blobs, totalBytes - doneBytes, {
    advice: 'set HF_HUB_CACHE to a folder on another disk',
    freeBytes: options.freeBytes,
  });
  const report = (): void => options.onProgress?.({ phase: 'downloading', doneBytes, totalBytes });
  if (missing.length > 0) report();
  const onBytes = (count: number): void => {
    doneBytes += count;
    report();
  };
  // The largest first: what is long should not begin last.
  const order = missing.sort((a, b) => b.size - a.size);
  const work = async (file: HubFile, either: AbortSignal): Promise<void> => {
    await downloadBlob(folders.blobs, file, source, { signal: either, onBytes, onNote });
    fetched.add(file.hash.hex);
  };
  await forEachConcurrently(order, parallel, work, signal);
}

/** The files whose content is not in the cache, or not right there. */
async function findMissing(
  files: readonly HubFile[],
  { blobs }: RepoFolders,
  { parallel = DEFAULT_PARALLEL, signal, onProgress, onNote }: DownloadOptions,
): Promise<HubFile[]> {
  const missing: HubFile[] = [];
  const totalBytes = sum(files.map(({ size }) => size));
  let doneBytes = 0;
  const onBytes = (count: number): void => {
    doneBytes += count;
    onProgress?.({ phase: 'checking', doneBytes, totalBytes });
  };
  const work = async (file: HubFile, either: AbortSignal): Promise<void> => {
    const state = await isBlobRight(blobs, file, { signal: either, onBytes });
    if (state === 'wrong') onNote?.(`${file.path}: the copy in the cache is damaged; fetching it again`);
    if (state !== 'right') missing.push(file);
  };
  await forEachConcurrently(files, parallel, work, signal);
  return missing;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, value) => total + value, 0);
}
