import type { FileHandle } from 'node:fs/promises';
import type { z } from 'zod';
import { DataError } from '../errors.ts';
import { type FileSystem, readFailure, storeFailure, systemFiles } from './files.ts';
import { writeAt } from '../util/write-at.ts';
import { describeIssues } from './schema.ts';

/** A row of a JSON-lines file, with its 1-based line. */
export interface JsonlRow<T> {
  readonly line: number;
  readonly value: T;
}

/** An append-only JSON-lines file: a row is there whole or not at all. */
export interface JsonlLog<T> {
  /** The rows that the file held when it was opened. */
  readonly rows: readonly T[];
  /** Bytes of an unfinished last line that were cut off, 0 in the normal case. */
  readonly droppedBytes: number;
  /** Returns when the rows are on the disk. */
  append(values: readonly T[]): Promise<void>;
  close(): Promise<void>;
}

/** A line longer than this is no row of ours nor of any data set we know, and would have to be held in memory. */
export const MAX_LINE_BYTES: number = 64 * 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;

/**
 * Reads a JSON-lines file row by row, in memory of one line. Blank lines are skipped, and the last line may lack
 * its line break.
 *
 * @param onBad Takes the error of a bad row, which is then left out; by default it is thrown.
 * @throws DataError naming file and line for a row that is not JSON or not what `schema` says; StoreError when
 *   the file cannot be read.
 */
export async function* readJsonl<T>(
  file: string,
  schema: z.ZodType<T>,
  files: FileSystem = systemFiles,
  onBad: (error: DataError) => void = rethrow,
): AsyncGenerator<JsonlRow<T>> {
  for await (const line of readLines(file, files)) {
    const value = isBlank(line.bytes) ? null : parseOr(onBad, () => parseRow(line, schema, file));
    if (value !== null) yield { line: line.number, value };
  }
}

/**
 * The lines of a file, whatever is in them, in memory of one; the bytes of a line are valid until the next one is asked for.
 *
 * @throws StoreError when the file cannot be read; DataError for a line of more than `MAX_LINE_BYTES`.
 */
export async function* readLines(file: string, files: FileSystem = systemFiles): AsyncGenerator<Line> {
  const handle = await openToRead(file, files);
  try {
    yield* lines(handle, file);
  } finally {
    await handle.close();
  }
}

function rethrow(error: DataError): never {
  throw error;
}

/** What `parse` gives; null where a DataError went to `onBad`. */
function parseOr<T>(onBad: (error: DataError) => void, parse: () => T): T | null {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    onBad(error);
    return null;
  }
}

/**
 * Opens a log to continue it. An unfinished last line, which a kill in the middle of a write leaves, is cut off.
 *
 * @throws DataError for a finished line that is not a row; StoreError when the file cannot be read or written.
 */
export async function openJsonlLog<T>(
  file: string,
  schema: z.ZodType<T>,
  files: FileSystem = systemFiles,
): Promise<JsonlLog<T>> {
  const rows: T[] = [];
  const handle = await openToAppend(file, files);
  try {
    let whole = 0;
    let droppedBytes = 0;
    for await (const line of lines(handle, file)) {
      if (!line.finished) {
        droppedBytes = line.bytes.length;
        break;
      }
      if (!isBlank(line.bytes)) rows.push(parseRow(line, schema, file));
      whole = line.end;
    }
    if (droppedBytes > 0) await handle.truncate(whole);
    return logAt(handle, file, whole, rows, droppedBytes);
  } catch (error) {
    await handle.close();
    throw storeFailure(file, error);
  }
}

/** One value as a line, line break included. */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

function logAt<T>(
  handle: FileHandle,
  file: string,
  start: number,
  rows: readonly T[],
  droppedBytes: number,
): JsonlLog<T> {
  let position = start;
  const append = async (values: readonly T[]): Promise<void> => {
    if (values.length === 0) return;
    const bytes = Buffer.from(values.map(jsonLine).join(''), 'utf8');
    try {
      await writeAt(handle, bytes, position);
      await handle.datasync();
    } catch (error) {
      // What was written of the rows is behind `position`: the next append overwrites it, or the next start cuts it.
      await handle.truncate(position).catch(() => undefined);
      throw storeFailure(file, error);
    }
    position += bytes.length;
  };
  return { rows, droppedBytes, append, close: () => handle.close() };
}

/** A line of a file, its break left out. */
export interface Line {
  readonly number: number;
  readonly bytes: Uint8Array;
  /** Bytes from the start of the file to behind the line break. */
  readonly end: number;
  /** Whether a line break ends it. */
  readonly finished: boolean;
}

/** The lines of a file, one at a time; the bytes of a line are valid until the next one is asked for. */
async function* lines(handle: FileHandle, file: string): AsyncGenerator<Line> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let pieces: Uint8Array[] = [];
  let held = 0;
  let number = 1;
  for (let position = 0; ; ) {
    const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, position);
    if (bytesRead === 0) break;
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0 && end < bytesRead; end = chunk.indexOf(10, start)) {
      pieces.push(chunk.subarray(start, end));
      yield { number, bytes: join(pieces), end: position + end + 1, finished: true };
      [pieces, held, start] = [[], 0, end + 1];
      number++;
    }
    // The chunk is read into again, so what stays of it is copied.
    pieces.push(Buffer.from(chunk.subarray(start, bytesRead)));
    held += bytesRead - start;
    if (held > MAX_LINE_BYTES) throw lineTooLong(file, number);
    position += bytesRead;
  }
  if (held > 0) yield { number, bytes: join(pieces), end: NaN, finished: false };
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 32 || byte === 9 || byte === 13);
}

function parseRow<T>(line: Line, schema: z.ZodType<T>, file: string): T {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line.bytes));
  } catch (error) {
    const why = error instanceof Error ? error.message : 'it is not';
    throw badLine(file, line.number, `expected one JSON object, but ${why}`, error);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw badLine(file, line.number, describeIssues(parsed.error), parsed.error);
  return parsed.data;
}

function badLine(file: string, line: number, problem: string, cause: unknown): DataError {
  return new DataError(`"${file}", line ${line}: ${problem}; correct or remove the line.`, {
    details: { file, line },
    cause,
  });
}

function lineTooLong(file: string, line: number): DataError {
  return new DataError(
    `"${file}", line ${line}: expected at most ${MAX_LINE_BYTES} bytes in a line, got more; is it a JSON-lines file?`,
    { details: { file, line } },
  );
}

async function openToRead(file: string, files: FileSystem): Promise<FileHandle> {
  try {
    return await files.open(file, 'r');
  } catch (error) {
    throw readFailure(file, error);
  }
}

/** Opens for reading and writing at positions, and creates the file where there is none. */
async function openToAppend(file: string, files: FileSystem): Promise<FileHandle> {
  try {
    // 'a' creates without emptying; appending itself goes by position, which 'a' would ignore.
    await (await files.open(file, 'a')).close();
    return await files.open(file, 'r+');
  } catch (error) {
    throw storeFailure(file, error);
  }
}
