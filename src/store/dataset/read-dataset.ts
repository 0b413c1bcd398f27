import { AbortError, DataError } from '../../errors.ts';
import type { ChatMessage } from '../../model/chat-template.ts';
import { isObject } from '../strict-json.ts';
import { type ColumnMap, applyColumnMap } from './column-map.ts';
import { type DatasetFile, findDatasetFiles, type UrlReader } from './dataset-files.ts';
import { type LockedDatabase, checkCondition, openLockedDatabase } from './locked-duckdb.ts';
import { type DatasetRecord, readRecords } from './records.ts';
import { type RowLayout, layoutOf, parseTurns } from './row-layouts.ts';

/** A conversation of a data set. */
export interface DatasetRow {
  /** `file:line`, by which rows are matched; the file as its place among the data set's, from 1. */
  readonly key: string;
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** The row's own name, where it has one, else the key. */
  readonly id: string;
  /** Where the row says that it comes from, else its file. */
  readonly source: string;
  readonly messages: readonly ChatMessage[];
}

/** A row that is none, and why. */
export interface BadRow {
  readonly file: string;
  readonly line: number;
  readonly problem: string;
}

export interface ReadDatasetOptions {
  readonly map?: ColumnMap | undefined;
  /** A condition in SQL over the columns. */
  readonly where?: string | undefined;
  /** Takes rows that cannot be read; without it the first one ends the reading. */
  readonly onBad?: ((row: BadRow) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Default: one that may go to the hosts of the URLs alone. */
  readonly readUrl?: UrlReader | undefined;
}

export interface Dataset {
  readonly files: readonly DatasetFile[];
  /** What the rows were taken for, such as `UltraChat-200k`; files of several kinds are joined by commas. */
  readonly schema: string;
  /** The rows in the order of the files, as often as they are asked for. */
  rows(): AsyncGenerator<DatasetRow>;
}

/**
 * Opens files, by path or URL, or folders as one data set. Every file has one schema, which its first row tells.
 *
 * @throws UsageError for paths that lead nowhere and for a condition that is none; DataError, naming file and line, for rows
 *   that cannot be read.
 */
export async function openDataset(
  paths: readonly string[],
  options: ReadDatasetOptions = {},
): Promise<Dataset> {
  const files = await findDatasetFiles(paths, options.readUrl);
  await withDatabase(files, async ({ connection }) => {
    if (options.where !== undefined) await checkCondition(connection, options.where);
  });
  const schemas = new Set<string>();
  // A file is looked at up to its first row, which must be one.
  for (const file of files) {
    const first = await firstRow(files, file);
    if (first !== null) schemas.add(schemaName(valueOf(first.json), options.map));
  }
  if (schemas.size === 0)
    throw new DataError(
      `Expected at least one row in "${files.map(({ name }) => name).join('", "')}", got none; is it the right file?`,
    );
  return { files, schema: [...schemas].join(', '), rows: () => allRows(files, options) };
}

async function* allRows(
  files: readonly DatasetFile[],
  options: ReadDatasetOptions,
): AsyncGenerator<DatasetRow> {
  const database = await openLockedDatabase(files);
  try {
    for (const [index, file] of files.entries()) yield* rowsOf(database, file, index, options);
  } finally {
    database.close();
  }
}

async function* rowsOf(
  { connection }: LockedDatabase,
  file: DatasetFile,
  index: number,
  { map, where, onBad, signal }: ReadDatasetOptions,
): AsyncGenerator<DatasetRow> {
  let layout: RowLayout | null = null;
  for await (const record of readRecords(connection, file, where ?? null)) {
    if (signal?.aborted === true) throw new AbortError('Stopped while the data set was read.');
    try {
      const value = mapped(strictValue(record, file), map);
      layout = sameLayout(value, layout, file, record.line);
      yield toRow(value, layout, { file, index, line: record.line });
    } catch (error) {
      if (!(error instanceof DataError) || onBad === undefined) throw error;
      onBad({ file: file.name, line: record.line, problem: error.message });
    }
  }
}

function toRow(
  value: Readonly<Record<string, unknown>>,
  layout: RowLayout,
  { file, index, line }: { readonly file: DatasetFile; readonly index: number; readonly line: number },
): DatasetRow {
  const turns = parseTurns(value, layout, whereOf(file, line));
  const key = `${index + 1}:${line}`;
  return {
    key,
    file: file.name,
    line,
    id: idOf(value) ?? key,
    source: textOf(value['source']) ?? file.name,
    messages: turns.map(({ role, content }) => ({ role, content })),
  };
}

/** What known data sets call the name of a row. */
const idColumns = ['id', 'conversation_id', 'conversation_hash', 'prompt_id', 'question_id'] as const;

function idOf(value: Readonly<Record<string, unknown>>): string | null {
  for (const name of idColumns) {
    const id = textOf(value[name]);
    if (id !== null) return id;
  }
  return null;
}

function textOf(value: unknown): string | null {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value !== '' ? value : null;
}

/** The name of a row's schema, for people: the data set whose columns it has, or the layout. */
function schemaName(value: unknown, map: ColumnMap | undefined): string {
  if (map !== undefined) return 'as --map says';
  const has = (...names: readonly string[]): boolean =>
    isObject(value) && names.every((name) => Object.hasOwn(value, name));
  const layout = layoutOf(value);
  if (layout === 'messages') {
    if (has('prompt', 'prompt_id')) return 'UltraChat-200k';
    return has('id', 'source') ? 'Tulu-3-SFT' : 'OpenAI messages';
  }
  if (layout === 'conversation') return has('conversation_hash') ? 'WildChat-1M' : 'LMSYS-Chat-1M';
  if (layout === 'conversations') return 'ShareGPT';
  if (layout === 'instruction') return 'Alpaca';
  return layout === 'prompt' ? 'prompt and answer' : 'not known';
}

function sameLayout(value: unknown, before: RowLayout | null, file: DatasetFile, line: number): RowLayout {
  const layout = layoutOf(value);
  const where = whereOf(file, line);
  if (layout === null || layout === 'ids') {
    const keys = isObject(value) ? Object.keys(value).slice(0, 12).join(', ') : 'no object';
    throw new DataError(
      `${where}: expected "messages" (OpenAI, UltraChat, Tulu), "conversations" (ShareGPT), "conversation" (LMSYS, WildChat), "instruction" with "output" (Alpaca), or "prompt" with "answer", got ${keys}; say with --map which columns are which.`,
      { details: { where } },
    );
  }
  if (before === null || before === layout) return layout;
  throw new DataError(`${where}: expected "${before}" as in the file's first row, got "${layout}".`, {
    details: { where },
  });
}

function mapped(value: unknown, map: ColumnMap | undefined): Readonly<Record<string, unknown>> {
  return (map === undefined ? value : applyColumnMap(value, map)) as Readonly<Record<string, unknown>>;
}

function strictValue({ json, line }: DatasetRecord, file: DatasetFile): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new DataError(`${whereOf(file, line)}: expected one JSON object, but ${why}.`, { cause });
  }
}

function valueOf(json: string): unknown {
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return null;
  }
}

async function firstRow(files: readonly DatasetFile[], file: DatasetFile): Promise<DatasetRecord | null> {
  return withDatabase(files, async ({ connection }) => {
    for await (const record of readRecords(connection, file, null)) return record;
    return null;
  });
}

async function withDatabase<T>(
  files: readonly DatasetFile[],
  work: (database: LockedDatabase) => Promise<T>,
): Promise<T> {
  const database = await openLockedDatabase(files);
  try {
    return await work(database);
  } finally {
    database.close();
  }
}

function whereOf({ name, format }: DatasetFile, line: number): string {
  return `"${name}", ${format === 'lines' ? 'line' : 'row'} ${line}`;
}
