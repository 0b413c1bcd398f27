import type { FileHandle } from 'node:fs/promises';
import { DataError, StoreError } from '../errors.ts';
import { safetensorsHeader } from '../model/safetensors-writer.ts';
import { systemCode } from '../util/system-code.ts';
import { type FileSystem, readFailure, storeFailure, systemFiles } from './files.ts';
import { writeAt } from '../util/write-at.ts';

/** Named tensors of equal shape, one record of each per row: `[rows, ...shape]` F32 in the file. */
export interface RecordLayout {
  readonly names: readonly string[];
  /** Of one record, such as `[L+1, width]`. */
  readonly shape: readonly number[];
  readonly rows: number;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Consecutive values of a record. */
export interface RecordPart {
  readonly from: number;
  readonly length: number;
}

/** A safetensors file whose rows are written one by one, in any order, at their final places. */
export interface RecordFile {
  /** Whether `open` had to begin the file anew. */
  readonly fresh: boolean;
  /** Writes a row's records; they are on the disk only after `sync`. */
  write(row: number, records: Readonly<Record<string, Float32Array>>): Promise<void>;
  sync(): Promise<void>;
  /** A row's record of one tensor, or a part of it. */
  read(name: string, row: number, part?: RecordPart): Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * Opens the file at `path` if it has this very layout; otherwise begins it, with room for every row, unless
 * `create` is false.
 *
 * @throws StoreError when it cannot be written, or is not there (or not ours) and may not be created.
 */
export async function openRecordFile(
  path: string,
  layout: RecordLayout,
  options: { readonly create?: boolean; readonly files?: FileSystem } = {},
): Promise<RecordFile> {
  const { create = true, files = systemFiles } = options;
  const outline = safetensorsHeader(
    layout.names.map((name) => ({ name, dtype: 'F32', shape: [layout.rows, ...layout.shape] })),
    layout.metadata,
  );
  const old = await reopen(path, outline.bytes, outline.fileLength, files);
  if (old === null && !create) throw missing(path, layout);
  const handle = old ?? (await begin(path, outline.bytes, outline.fileLength, files));
  const length = layout.shape.reduce((product, axis) => product * axis, 1);
  const offsets = new Map(outline.entries.map((entry) => [entry.name, entry.offset]));
  return recordsAt(handle, path, { length, offsets, rows: layout.rows, fresh: old === null });
}

interface Places {
  /** Values in one record. */
  readonly length: number;
  readonly offsets: ReadonlyMap<string, number>;
  readonly rows: number;
  readonly fresh: boolean;
}

function recordsAt(handle: FileHandle, path: string, places: Places): RecordFile {
  const bytes = places.length * Float32Array.BYTES_PER_ELEMENT;
  const place = (name: string, row: number): number => {
    const offset = places.offsets.get(name);
    if (offset !== undefined && row >= 0 && row < places.rows) return offset + row * bytes;
    throw new StoreError(`"${path}" has no row ${row} of "${name}"; it holds ${places.rows} rows.`, {
      details: { file: path, name, row },
    });
  };
  const write = async (row: number, records: Readonly<Record<string, Float32Array>>): Promise<void> => {
    for (const name of places.offsets.keys()) {
      const record = records[name];
      checkRecord(record, places.length, name, row);
      const view = new Uint8Array(record.buffer, record.byteOffset, record.byteLength);
      await writeAt(handle, view, place(name, row)).catch((error: unknown) => {
        throw storeFailure(path, error);
      });
    }
  };
  const read = async (name: string, row: number, part?: RecordPart): Promise<Float32Array> => {
    const { from, length } = part ?? { from: 0, length: places.length };
    const record = new Float32Array(length);
    const position = place(name, row) + from * Float32Array.BYTES_PER_ELEMENT;
    const view = new Uint8Array(record.buffer);
    const { bytesRead } = await handle.read(view, 0, view.byteLength, position);
    if (bytesRead === view.byteLength) return record;
    throw new StoreError(
      `"${path}" ends within row ${row} of "${name}"; start the run again in a new folder.`,
      {
        details: { file: path, name, row },
      },
    );
  };
  const sync = (): Promise<void> =>
    handle.datasync().catch((error: unknown) => {
      throw storeFailure(path, error);
    });
  return { fresh: places.fresh, write, read, sync, close: () => handle.close() };
}

function checkRecord(
  record: Float32Array | undefined,
  length: number,
  name: string,
  row: number,
): asserts record is Float32Array {
  if (record?.length === length) return;
  throw new DataError(
    `Expected ${length} values of "${name}" for row ${row}, got ${record?.length ?? 'none'}; capture every pooling that the run keeps.`,
    { details: { name, row } },
  );
}

/** The file, if it is there whole and its header is ours byte for byte. */
async function reopen(
  path: string,
  header: Uint8Array,
  fileLength: number,
  files: FileSystem,
): Promise<FileHandle | null> {
  let handle: FileHandle;
  try {
    handle = await files.open(path, 'r+');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw readFailure(path, error);
  }
  const found = Buffer.alloc(header.byteLength);
  const { size } = await handle.stat();
  if (size === fileLength) await handle.read(found, 0, found.byteLength, 0);
  if (size === fileLength && found.equals(header)) return handle;
  await handle.close();
  return null;
}

function missing(path: string, layout: RecordLayout): StoreError {
  const shape = [layout.rows, ...layout.shape].join(' × ');
  return new StoreError(
    `Expected "${path}" to hold ${layout.names.join(', ')} of ${shape} values, got no such file; start the run again in a new folder.`,
    { details: { file: path } },
  );
}

async function begin(
  path: string,
  header: Uint8Array,
  fileLength: number,
  files: FileSystem,
): Promise<FileHandle> {
  let handle: FileHandle | null = null;
  try {
    handle = await files.open(path, 'w+');
    // The room comes before the header: a file that is too short is then never taken for one of ours.
    await handle.truncate(fileLength);
    await writeAt(handle, header, 0);
    await handle.sync();
    return handle;
  } catch (error) {
    await handle?.close();
    throw storeFailure(path, error);
  }
}
