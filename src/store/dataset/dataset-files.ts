import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { UsageError } from '../../errors.ts';
import { pathKind } from '../../model/read-bytes.ts';
import { readFailure } from '../files.ts';
import type { SourceEncoding } from './representation.ts';
import { keepSource, type SourceOptions } from './source-file.ts';
import { isUrl, parseSourceUrl } from './source-url.ts';

/** How the records of a file follow each other: one a line, in one JSON document, or in row groups. */
export type DatasetFormat = 'lines' | 'document' | 'parquet';

export interface DatasetFile {
  /** As a user would name it; of a URL without what may be secret. */
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

/** Has the file at a URL on this machine. */
export type UrlReader = (url: string) => Promise<DatasetFile>;

/**
 * Makes what has the files at URLs on this machine, each of them fetched once; errors as `keepSource`. Files whose URLs differ
 * in their queries alone are told apart by numbers.
 */
export function urlReader(options: SourceOptions = {}): UrlReader {
  const files = new Map<string, Promise<DatasetFile>>();
  const times = new Map<string, number>();
  const read = async (text: string): Promise<DatasetFile> => {
    const source = parseSourceUrl(text);
    const described = describeUrl(source.url);
    const count = (times.get(source.name) ?? 0) + 1;
    times.set(source.name, count);
    const { path, encoding } = await keepSource(source, readableEncodings(described), options);
    const compression = described.compression === 'none' ? encoding : described.compression;
    return { ...described, name: count === 1 ? source.name : `${source.name} (${count})`, path, compression };
  };
  return (text) => {
    const known = files.get(text) ?? read(text);
    files.set(text, known);
    return known;
  };
}

/**
 * The files of a data set: those that are named, by path or by URL, and of a named folder all that a data set may consist of,
 * in the order of their names, its folders' too.
 *
 * @throws UsageError for a name that is neither, and where there is no such file; what `readUrl` throws.
 */
export async function findDatasetFiles(
  paths: readonly string[],
  readUrl: UrlReader = urlReader(),
): Promise<DatasetFile[]> {
  const found: DatasetFile[] = [];
  for (const path of paths) {
    if (isUrl(path)) {
      found.push(await readUrl(path));
      continue;
    }
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

/** The format of a file by the last part of its URL's path. */
function describeUrl({ host, pathname }: URL): DatasetFile {
  const [file] = describe(pathname) ?? [];
  if (file !== undefined) return file;
  throw new UsageError(
    `Expected a URL whose path ends in .jsonl, .ndjson, .json or .parquet, perhaps with .gz or .zst behind it, got another one of ${host}; download the file and name it so.`,
  );
}

/** How a server may pack a file for the way. Of a file that is packed itself, some say so in the header too. */
function readableEncodings({ format, compression }: DatasetFile): SourceEncoding[] {
  if (format === 'parquet') return ['none'];
  return compression === 'none' ? ['none', 'gzip', 'zstd'] : ['none', compression];
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
