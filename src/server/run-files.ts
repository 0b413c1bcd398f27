import { readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { readJsonObject } from '../model/json-text.ts';
import { pathKind } from '../model/read-bytes.ts';
import { PersonaError } from '../errors.ts';
import { isDatasetFile } from '../store/dataset/dataset-files.ts';
import { runFiles } from '../store/run-folder.ts';
import type { RunFile, RunOptions } from './runs-api.ts';

/** Files that a list names. */
const mostFiles = 500;
/** Folders below one another that a list goes into. */
const deepest = 4;
/** A training file is some kilobytes. */
const mostBytes = 1024 * 1024;

/**
 * The file of a relative path inside a folder; null for all else: a path that leads out of it, by its parts or by a link,
 * what is hidden, and what is no regular file.
 */
export async function fileInside(folder: string, path: string): Promise<string | null> {
  if (/[\\\0]/.test(path) || path.split('/').some((part) => part === '' || part.startsWith('.'))) return null;
  if ((await pathKind(folder)) !== 'folder') return null;
  const root = await realpath(folder);
  const asked = join(root, path);
  if ((await pathKind(asked)) !== 'file') return null;
  // A link anywhere on the way has another real path.
  return asked.startsWith(`${root}${sep}`) && (await realpath(asked)) === asked ? asked : null;
}

/** The files below a folder by their relative paths, sorted, hidden ones and links left out; none where there is no folder. */
export async function filesBelow(folder: string, below = '', depth = 0): Promise<RunFile[]> {
  const at = join(folder, below);
  if (depth > deepest || (await pathKind(at)) !== 'folder') return [];
  const found: RunFile[] = [];
  const entries = (await readdir(at, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    if (found.length >= mostFiles) break;
    // A file that is being written has a hidden name, and a lock is nobody's result.
    if (entry.name.startsWith('.') || entry.name === 'lock') continue;
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) found.push(...(await filesBelow(folder, path, depth + 1)));
    else if (entry.isFile()) {
      // It may go away meanwhile.
      const info = await stat(join(folder, path)).catch(() => null);
      if (info !== null) found.push({ path, bytes: info.size });
    }
  }
  return found.slice(0, mostFiles);
}

/** The page that sums a run up. */
export function reportAmong(files: readonly RunFile[]): string | null {
  return files.find(({ path }) => path === runFiles.report)?.path ?? null;
}

/** The data sets in a folder. */
export async function dataFiles(folder: string): Promise<RunFile[]> {
  return (await filesBelow(folder)).filter(({ path }) => isDatasetFile(path));
}

/** The training files in a folder, with the model that each trains. */
export async function trainingFiles(folder: string): Promise<NonNullable<RunOptions['training']>> {
  const found: { file: string; model: string }[] = [];
  for (const { path, bytes } of await filesBelow(folder)) {
    if (!path.endsWith('.json') || bytes > mostBytes) continue;
    try {
      const { model, training_file: rows } = await readJsonObject(join(folder, path), mostBytes);
      if (typeof model === 'string' && rows !== undefined) found.push({ file: path, model });
    } catch (error) {
      if (!(error instanceof PersonaError)) throw error;
    }
  }
  return found;
}
