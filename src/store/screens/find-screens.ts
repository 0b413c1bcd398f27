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
import { screenFiles } from '../screen-folder.ts';
import { type ScreenManifest, screenManifestSchema } from '../screen-schema.ts';

/** A finished screening below one of the folders that may be read. */
export interface FoundScreen {
  /** Letters, digits, `.`, `_` and `-`; the same for as long as the screening lies where it does. */
  readonly id: string;
  /** Its path below the folder, or the folder's name, for people. */
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

/**
 * The folders as they really lie, their own links followed.
 *
 * @throws UsageError for one that is none.
 */
export async function resolveScreenFolders(folders: readonly string[]): Promise<string[]> {
  const real: string[] = [];
  for (const folder of folders) {
    if ((await pathKind(folder)) !== 'folder')
      throw new UsageError(
        `--screens: expected a folder with results of \`persona screen\` at "${folder}", got none; check the path.`,
      );
    real.push(await realpath(folder));
  }
  return [...new Set(real)];
}

/**
 * The finished screenings in resolved folders and what lies below them, by name. Nothing that a link leads to is one, so that none
 * lies outside; what cannot be read is passed over.
 */
export async function findScreens(roots: readonly string[]): Promise<FoundScreen[]> {
  const found = new Map<string, FoundScreen>();
  for (const root of roots) {
    const budget = { folders: mostFolders };
    for await (const folder of foldersOf(root, deepest, budget)) {
      const read = await readManifest(folder);
      if (read === null) continue;
      const path = relative(root, folder).split(sep).join('/');
      const name = path === '' ? root.slice(root.lastIndexOf(sep) + 1) : path;
      const id = idOf(name, folder, found);
      found.set(id, { id, name, folder, ...read });
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
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
