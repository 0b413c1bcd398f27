import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UsageError } from '../errors.ts';
import { downloadSnapshot } from '../model/hub/download.ts';
import type { DownloadOptions, SnapshotFile } from '../model/hub/download.ts';
import { hubSettings } from '../model/hub/settings.ts';
import type { HubOptions, HubSettings } from '../model/hub/settings.ts';
import { findModelFolder, parseHubName, repoFolderName } from '../model/hub-cache.ts';
import type { Environment, HubName } from '../model/hub-cache.ts';
import { lockFolder } from '../store/lock.ts';
import { writeFailure } from '../util/atomic-file.ts';
import { defined } from '../util/defined.ts';

export interface PullOptions extends HubOptions, DownloadOptions {
  /** A branch, a tag or a commit, instead of the one in the name; default main. */
  readonly revision?: string;
  /** Default: the environment of this process. */
  readonly environment?: Environment;
}

/** A model in the local Hugging Face cache. */
export interface PulledModel {
  /** `owner/name`. */
  readonly repo: string;
  /** As it was asked for. */
  readonly revision: string;
  readonly commit: string;
  /** Absolute folder with the model's files, in Hugging Face layout. */
  readonly folder: string;
  /** Null offline, where nothing tells which files there should be. */
  readonly files: readonly SnapshotFile[] | null;
  /** Bytes of the files that were downloaded now. */
  readonly fetchedBytes: number;
}

/**
 * Downloads a model or an adapter, `owner/name` or `owner/name@revision`, into the local Hugging Face cache, where every
 * command finds it by its name, and so do Hugging Face's own tools. What is there and right is not fetched again; what was
 * cut off is gone on with. With HF_HUB_OFFLINE it says where the cache has the model.
 *
 * @throws UsageError for a name that is none, where the Hub refuses or cannot be reached; ParseError where it lies;
 *   ModelError where the repository holds no weights that can be loaded; StoreError where the disk is full or another
 *   process downloads the same model; AbortError.
 */
export async function pull(repo: string, options: PullOptions = {}): Promise<PulledModel> {
  const { environment = process.env } = options;
  const model = parseName(repo, options.revision);
  const settings = await hubSettings(options, environment);
  if (settings.offline) return findOffline(model, settings, environment);
  if (settings.tokenWithheld)
    options.onNote?.(`the token is not sent: ${settings.endpoint} is not encrypted`);
  const lock = await lockFolder(await makeLockFolder(settings.cache, model));
  try {
    const snapshot = await downloadSnapshot(model, settings, options);
    const fetched = snapshot.files.filter((file) => file.fetched);
    return {
      repo: model.name,
      revision: model.revision,
      ...snapshot,
      fetchedBytes: fetched.reduce((total, { size }) => total + size, 0),
    };
  } finally {
    await lock.release();
  }
}

/** The parts of a model's name; UsageError for one that is none. */
export function parseName(repo: string, revision: string | undefined): HubName {
  const named = parseHubName(repo);
  const model = revision === undefined ? named : parseHubName(`${named?.name ?? ''}@${revision}`);
  if (named !== null && model !== null && (revision === undefined || !repo.includes('@'))) return model;
  const given = revision === undefined ? repo : `${repo} at revision ${revision}`;
  throw new UsageError(
    `Expected a model's name on the Hub such as owner/name or owner/name@revision, got ${JSON.stringify(given)}; copy it from the model's page.`,
    { details: defined({ repo, revision }) },
  );
}

/** Beside the locks of Hugging Face's own tools; the folder outlives the lock. */
async function makeLockFolder(cache: string, { name }: HubName): Promise<string> {
  const folder = join(cache, '.locks', repoFolderName(name));
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw writeFailure(folder, error);
  }
  return folder;
}

async function findOffline(
  { name, revision }: HubName,
  { cache }: HubSettings,
  environment: Environment,
): Promise<PulledModel> {
  try {
    const found = await findModelFolder(`${name}@${revision}`, { ...environment, HF_HUB_CACHE: cache });
    const { folder, revision: commit } = found;
    if (commit !== null) return { repo: name, revision, commit, folder, files: null, fetchedBytes: 0 };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
  }
  throw new UsageError(
    `Expected ${name} at revision "${revision}" in the cache "${cache}", got none, and HF_HUB_OFFLINE forbids to download it; unset it and run the command again.`,
    { details: { repo: name, revision, cache } },
  );
}
