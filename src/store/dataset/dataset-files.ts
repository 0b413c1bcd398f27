import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { UsageError } from '../../errors.ts';
import { pathKind } from '../../model/read-bytes.ts';
import { readFailure } from '../files.ts';

/** How the records of a file follow each other: one a line, in one JSON document, or in row groups. */
export type DatasetFormat = 'lines' | 'document' | 'parquet';

export interface DatasetFile {
  /** As a user would name it. */
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  readonly format: DatasetFormat;
  readonly compression: 'none' | 'gzip' | 'zstd';
}

const endings = /\.(jsonl|ndjson|json|parquet)(\.gz|\.zst)?$/i;

/** Whether a file of that name can be one of a data set. */
export function isDatasetFile(name: string): boolean {
  return endings.test(name);
}

/**
 * The files of a data set: those that are named, and of a named folder all that a data set may consist of, in the order of
 * their names, its folders' too.
 *
 * @throws UsageError for a name that is neither, and where there is no such file.
 */
export async function findDatasetFiles(paths: readonly string[]): Promise<DatasetFile[]> {
  const found: DatasetFile[] = [];
  for (const path of paths) {
    const kind = await pathKind(path);
    if (kind === 'folder') found.push(...(await filesIn(path)));
    else if (kind === 'file') found.push(required(path));
    else throw new UsageError(`Expected a file or folder at "${path}", got none; check the path.`);
  }
  // What is named twice, such as a folder and a file in it, is read once.
  if (found.length > 0) return [...new Map(found.map((file) => [file.path, file])).values()];
  throw new UsageError(
    `Expected files that end in .jsonl, .json or .parquet (and .gz or .zst) in ${paths.map((path) => `"${path}"`).join(', ')}, got none.`,
  );
}

async function filesIn(folder: string): Promise<DatasetFile[]> {
  let entries;
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    throw readFailure(folder, error);
  }
  const found: DatasetFile[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.name.startsWith('.')) continue;
    if (entry.isDirectory()) found.push(...(await filesIn(path)));
    else found.push(...(describe(path) ?? []));
  }
  return found;
}

function required(path: string): DatasetFile {
  const [file] = describe(path) ?? [];
  if (file !== undefined) return file;
  throw new UsageError(
    `Expected a file that ends in .jsonl, .ndjson, .json or .parquet, perhaps with .gz or .zst behind it, got "${path}"; rename it.`,
  );
}

function describe(name: string): DatasetFile[] | null {
  const [, ending, packed] = endings.exec(name) ?? [];
  if (ending === undefined) return null;
  const format = { parquet: 'parquet', json: 'document' }[ending.toLowerCase()] ?? 'lines';
  const compression = { '.gz': 'gzip', '.zst': 'zstd' }[packed?.toLowerCase() ?? ''] ?? 'none';
  if (format === 'parquet' && packed !== undefined)
    throw new UsageError(
      `"${name}": Parquet is compressed within; unpack the file, whose columns cannot be found otherwise.`,
    );
  return [{ name, path: resolve(name), format, compression } as DatasetFile];
}
