import type { Dirent } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { PersonaError, UsageError } from '../../errors.ts';
import { readJsonObject } from '../../model/json-text.ts';
import { pathKind } from '../../model/read-bytes.ts';
import { sha256 } from '../../util/hash.ts';
import { slug } from '../cache-folder.ts';
import { regularFile } from './file-identity.ts';
import { runFiles } from '../run-folder.ts';
import { servedRunPaths } from '../served-run.ts';
import { screenFiles } from '../screen-folder.ts';
import { type ScreenManifest, screenManifestSchema } from '../screen-schema.ts';

/** A finished screening below one of the folders that may be read. */
export interface FoundScreen {
  /** Letters, digits, `.`, `_` and `-`; the same for as long as the screening lies where it does. */
  readonly id: string;
  /** Its path below the folder, or the folder's name, for people; of a served run's output the run's id. */
  readonly name: string;
  /** Absolute, and without links. */
  readonly folder: string;
  readonly manifest: ScreenManifest;
  /** Identity of the manifest's file: another one is another screening. */
  readonly version: string;
}

/** Folders below a folder that may hold screenings. */
const deepest = 4;
/** Folders that are looked into, so that a wrong folder does not take for ever. */
const mostFolders = 5000;
const manifestBytes = 64_000_000;
const needed = [runFiles.manifest, screenFiles.scored, screenFiles.parquet];

/** A folder that may be read, without links. */
export interface ScreenRoot {
  readonly folder: string;
  /** Whether it is one of served runs, each with its results in a folder of its own. */
  readonly isOfRuns: boolean;
}

/**
 * The folders as they really lie, their own links followed: first that of served runs, whose screenings so have the ids of their
 * runs.
 *
 * @param runs Folder of served runs; null for none.
 * @throws UsageError for one that is none.
 */
export async function resolveScreenRoots(
  folders: readonly string[],
  runs: string | null,
): Promise<ScreenRoot[]> {
  const real = new Map<string, ScreenRoot>();
  if (runs !== null) {
    const folder = await realpath(runs);
    real.set(folder, { folder, isOfRuns: true });
  }
  for (const folder of folders) {
    if ((await pathKind(folder)) !== 'folder')
      throw new UsageError(
        `--screens: expected a folder with results of \`persona screen\` at "${folder}", got none; check the path.`,
      );
    const resolved = await realpath(folder);
    if (!real.has(resolved)) real.set(resolved, { folder: resolved, isOfRuns: false });
  }
  return [...real.values()];
}

/**
 * The finished screenings in resolved folders and what lies below them, by name. Nothing that a link leads to is one, so that none
 * lies outside; what cannot be read is passed over.
 */
export async function findScreens(roots: readonly ScreenRoot[]): Promise<FoundScreen[]> {
  const found = new Map<string, FoundScreen>();
  // A folder may lie in another one.
  const seen = new Set<string>();
  for (const root of roots) {
    const budget = { folders: mostFolders };
    for await (const folder of foldersOf(root.folder, deepest, budget)) {
      const read = seen.has(folder) ? null : await readManifest(folder);
      if (read === null) continue;
      seen.add(folder);
      const name = nameOf(folder, root);
      const id = idOf(name, folder, found);
      found.set(id, { id, name, folder, ...read });
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function nameOf(folder: string, root: ScreenRoot): string {
  const path = relative(root.folder, folder);
  if (path === '') return root.folder.slice(root.folder.lastIndexOf(sep) + 1);
  const [run] = path.split(sep);
  const below = relative(servedRunPaths.output(join(root.folder, run!)), folder);
  const name = root.isOfRuns && !below.startsWith('..') ? join(run!, below) : path;
  return name.split(sep).join('/');
}

/** Folders that have all files of a screening; what lies below one of them is its own business. */
async function* foldersOf(
  folder: string,
  depth: number,
  budget: { folders: number },
): AsyncGenerator<string> {
  if (budget.folders-- <= 0) return;
  const entries = await readdir(folder, { withFileTypes: true }).catch((): Dirent[] => []);
  const files = new Set(entries.filter((entry) => entry.isFile()).map(({ name }) => name));
  if (needed.every((name) => files.has(name))) {
    yield folder;
    return;
  }
  if (depth === 0) return;
  const below = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'));
  for (const { name } of below.sort((a, b) => (a.name < b.name ? -1 : 1)))
    yield* foldersOf(join(folder, name), depth - 1, budget);
}

/** Whether a screening is still there, unchanged, and no part of the way to it has become a link. */
export async function isWhereItWas({ folder, version }: FoundScreen): Promise<boolean> {
  try {
    return (
      (await realpath(folder)) === folder && (await regularFile(join(folder, runFiles.manifest))) === version
    );
  } catch {
    return false;
  }
}

/** Null for what is no screening, such as another kind of run. */
async function readManifest(folder: string): Promise<Pick<FoundScreen, 'manifest' | 'version'> | null> {
  const path = join(folder, runFiles.manifest);
  try {
    const version = await regularFile(path);
    const parsed = screenManifestSchema.safeParse(await readJsonObject(path, manifestBytes));
    return parsed.success ? { manifest: parsed.data, version } : null;
  } catch (error) {
    if (error instanceof PersonaError) return null;
    throw error;
  }
}

/** A name that is none of an address's, or that two folders share, is told apart by where it lies. */
function idOf(name: string, folder: string, taken: ReadonlyMap<string, unknown>): string {
  const plain = slug(name);
  return plain === name && !taken.has(plain) ? plain : `${plain}-${sha256(folder).slice(0, 8)}`;
}
