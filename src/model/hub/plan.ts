import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { HubName } from '../hub-cache.ts';
import { defaultPatience } from '../../util/http/retry.ts';
import { partialBytes } from './blob.ts';
import type { DownloadOptions } from './download.ts';
import { listFiles } from './listing.ts';
import type { HubFile } from './listing.ts';
import { filesByPattern, filesForLoader, shardsByName } from './select.ts';
import type { HubSettings } from './settings.ts';
import { repoFolders } from './snapshot.ts';

/** What a download would do. */
export interface SnapshotPlan {
  readonly commit: string;
  readonly files: readonly PlannedFile[];
}

export interface PlannedFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Of them, bytes that are still to be fetched: what the cache has is known by its size, and not hashed. */
  readonly missing: number;
}

/**
 * The files that `downloadSnapshot` would have in the cache, by the Hub's listing alone: nothing is written, and of a
 * model in several files those are taken whose names say that they are its shards.
 *
 * @throws as `downloadSnapshot`, but for what only shows when files are fetched.
 */
export async function planSnapshot(
  model: HubName,
  { endpoint, token, cache }: HubSettings,
  options: Pick<DownloadOptions, 'allow' | 'patience' | 'signal' | 'onNote'> = {},
): Promise<SnapshotPlan> {
  const patience = { ...defaultPatience, ...options.patience };
  const { allow, signal, onNote } = options;
  const listing = await listFiles({ endpoint, token, stallMs: patience.stallMs }, model, {
    patience,
    signal,
    onNote,
  });
  const files =
    allow === undefined
      ? [...filesForLoader(listing, model.name).files, ...shardsByName(listing)]
      : filesByPattern(listing, allow);
  const { blobs } = repoFolders(cache, model.name);
  const planned = files.map(async (file): Promise<PlannedFile> => {
    return { path: file.path, size: file.size, missing: await missingBytes(blobs, file) };
  });
  return { commit: listing.commit, files: await Promise.all(planned) };
}

async function missingBytes(blobs: string, file: HubFile): Promise<number> {
  const found = await stat(join(blobs, file.hash.hex)).catch(() => null);
  if (found?.isFile() === true && found.size === file.size) return 0;
  return Math.max(0, file.size - (await partialBytes(blobs, file)));
}
