import { randomBytes } from 'node:crypto';
import { copyFile, lstat, mkdir, readlink, realpath, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { StoreError } from '../../errors.ts';
import { writeFailure, writeFileAtomically } from '../../util/atomic-file.ts';
import { COMMIT, repoFolderName } from '../hub-cache.ts';
import { systemCode } from '../../util/system-code.ts';
import type { HubFile } from './listing.ts';

/** The folders of one model in the cache, as Hugging Face's tools lay them out. */
export interface RepoFolders {
  readonly repo: string;
  /** Contents, named by their hashes. */
  readonly blobs: string;
  /** One folder of links per commit. */
  readonly snapshots: string;
  /** One file per branch or tag with its commit. */
  readonly refs: string;
}

/** Where a model's folders are in a cache. */
export function repoFolders(cache: string, name: string): RepoFolders {
  const repo = join(cache, repoFolderName(name));
  return {
    repo,
    blobs: join(repo, 'blobs'),
    snapshots: join(repo, 'snapshots'),
    refs: join(repo, 'refs'),
  };
}

/**
 * Gives a blob its name in the snapshot of a commit: a relative link, or a copy where the system has no links for users.
 * A right link stays as it is, anything else is replaced.
 *
 * @throws StoreError where the folder cannot be written, or a link in it leads out of the cache.
 */
export async function linkFile(folders: RepoFolders, commit: string, file: HubFile): Promise<void> {
  const path = join(folders.snapshots, commit, ...file.path.split('/'));
  const blob = join(folders.blobs, file.hash.hex);
  try {
    await mkdir(dirname(path), { recursive: true });
    await requireInside(dirname(path), folders.repo);
    const target = relative(dirname(path), blob);
    if ((await linkTarget(path)) === target) return;
    await replaceWith(path, (temporary) => linkOrCopy(target, blob, temporary));
  } catch (error) {
    throw error instanceof StoreError ? error : writeFailure(path, error);
  }
}

/**
 * Notes which commit a branch or tag means; a commit needs no note.
 *
 * @throws StoreError where it cannot be written.
 */
export async function writeRef(folders: RepoFolders, revision: string, commit: string): Promise<void> {
  if (COMMIT.test(revision)) return;
  const path = join(folders.refs, ...revision.split('/'));
  try {
    await mkdir(dirname(path), { recursive: true });
  } catch (error) {
    throw writeFailure(path, error);
  }
  // Without a line break: other readers take the text as it is.
  await writeFileAtomically(path, async (handle) => handle.writeFile(commit));
}

/** A folder of the cache that is a link to elsewhere would let names of the Hub be written there. */
async function requireInside(folder: string, repo: string): Promise<void> {
  const below = relative(repo, folder);
  if ((await realpath(folder)) === join(await realpath(repo), below)) return;
  throw new StoreError(
    `Expected "${folder}" to be a folder of the cache, got a link that leads out of it; remove the link and run the command again.`,
    { details: { folder } },
  );
}

/** What the link at a path points to; null where no link is. */
async function linkTarget(path: string): Promise<string | null> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : null;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  }
}

/** Makes a file beside `path` and renames it over what is there, so that a reader always finds one of both. */
async function replaceWith(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await make(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function linkOrCopy(target: string, blob: string, path: string): Promise<void> {
  try {
    await symlink(target, path);
  } catch (error) {
    // Windows lets only some users make links; some network file systems have none.
    if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes(systemCode(error) ?? '')) throw error;
    await copyFile(blob, path);
  }
}
