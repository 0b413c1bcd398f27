import type { FileHandle } from 'node:fs/promises';
import { quoteName } from './json-text.ts';
import { LENGTH_BYTES, MAX_HEADER_BYTES, tensorBytes } from './safetensors.ts';
import type { SafetensorsDtype, TensorEntry } from './safetensors.ts';
import { UsageError } from '../errors.ts';
import { writeFileAtomically } from '../util/atomic-file.ts';

/** A tensor to write, row-major. */
export interface TensorToWrite {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: TensorArray;
  /** Default: what the array holds. BF16 and F16 are given as Uint16Array and named here. */
  readonly dtype?: SafetensorsDtype;
}
type TensorArray = Float32Array | Float64Array | BigInt64Array | Int32Array | Uint16Array | Uint8Array;

/** A tensor whose bytes come later. */
export interface TensorOutline {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
}

/** Everything of a safetensors file but its data. */
export interface SafetensorsOutline {
  /** The length word and the JSON; the data begin right after. A multiple of 8 bytes. */
  readonly bytes: Uint8Array;
  /** In the order given; `offset` counts from the start of the file. */
  readonly entries: readonly TensorEntry[];
  readonly fileLength: number;
}

/**
 * Writes a safetensors file whole or not at all. Equal arguments give equal bytes: tensors keep their order, metadata
 * keys are sorted.
 *
 * @throws UsageError for a repeated name or an array that does not fit its shape; StoreError when the disk is full or the
 *   folder cannot be written.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const list = [...tensors];
  const outline = safetensorsHeader(
    list.map((tensor) => ({ name: tensor.name, dtype: dtypeOf(tensor), shape: tensor.shape })),
    metadata,
  );
  list.forEach((tensor, i) => checkLength(tensor, outline.entries[i]!.byteLength));
  await writeOutlined(path, outline, (_, i) => Promise.resolve(list[i]!.data));
}

/**
 * As `writeSafetensors`, for tensors that are made or read one after the other: `bytesOf` is called for each in turn, and
 * only one is in memory.
 */
export async function streamSafetensors(
  path: string,
  tensors: readonly TensorOutline[],
  bytesOf: (tensor: TensorOutline, index: number) => Promise<ArrayBufferView>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const outline = safetensorsHeader(tensors, metadata);
  await writeOutlined(path, outline, async (entry, i) => {
    const data = await bytesOf(tensors[i]!, i);
    checkLength({ ...entry, data }, entry.byteLength);
    return data;
  });
}

async function writeOutlined(
  path: string,
  outline: SafetensorsOutline,
  bytesOf: (entry: TensorEntry, index: number) => Promise<ArrayBufferView>,
): Promise<void> {
  await writeFileAtomically(path, async (handle) => {
    await writeFully(handle, outline.bytes, 0);
    for (const [i, entry] of outline.entries.entries()) {
      const data = await bytesOf(entry, i);
      await writeFully(handle, new Uint8Array(data.buffer, data.byteOffset, data.byteLength), entry.offset);
    }
  });
}

/**
 * The header of a file that will hold these tensors, and where the bytes of each belong, so that a large file can be
 * written piece by piece in any order.
 *
 * @throws UsageError for a repeated or reserved name, an impossible shape, or a header beyond the format's limit.
 */
export function safetensorsHeader(
  tensors: readonly TensorOutline[],
  metadata: Readonly<Record<string, string>> = {},
): SafetensorsOutline {
  const fields = Object.keys(metadata).length === 0 ? [] : [`"__metadata__":${sortedJson(metadata)}`];
  const placed = place(tensors);
  // Joined by hand: an object literal would move names such as "0" to the front.
  for (const { name, dtype, shape, offset, byteLength } of placed) {
    const entry = { dtype, shape, data_offsets: [offset, offset + byteLength] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
  }
  const text = new TextEncoder().encode(`{${fields.join(',')}}`);
  const length = Math.ceil(text.byteLength / 8) * 8;
  if (length > MAX_HEADER_BYTES) throw headerTooLong(length);
  const bytes = new Uint8Array(LENGTH_BYTES + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, LENGTH_BYTES);
  const entries = placed.map((entry) => ({ ...entry, offset: entry.offset + bytes.byteLength }));
  return { bytes, entries, fileLength: bytes.byteLength + dataLength(placed) };
}

/** Offsets of the result count from the start of the data. */
function place(tensors: readonly TensorOutline[]): TensorEntry[] {
  const names = new Set(['__metadata__']);
  let offset = 0;
  return tensors.map(({ name, dtype, shape }) => {
    if (names.has(name)) throw unusable(name, 'expected a name of its own that is not "__metadata__"');
    names.add(name);
    const byteLength = tensorBytes(dtype, shape);
    if (byteLength === null || shape.some((axis) => !Number.isSafeInteger(axis) || axis < 0)) {
      throw unusable(
        name,
        `expected non-negative integers that ${dtype} can fill, got [${shape.join(', ')}]`,
      );
    }
    const entry = { name, dtype, shape, offset, byteLength };
    offset += byteLength;
    return entry;
  });
}

function dataLength(entries: readonly TensorEntry[]): number {
  const last = entries.at(-1);
  return last === undefined ? 0 : last.offset + last.byteLength;
}

function sortedJson(metadata: Readonly<Record<string, string>>): string {
  const keys = Object.keys(metadata).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`).join(',')}}`;
}

function dtypeOf({ data, dtype }: TensorToWrite): SafetensorsDtype {
  if (dtype !== undefined) return dtype;
  if (data instanceof Float32Array) return 'F32';
  if (data instanceof Float64Array) return 'F64';
  if (data instanceof BigInt64Array) return 'I64';
  if (data instanceof Int32Array) return 'I32';
  return data instanceof Uint16Array ? 'U16' : 'U8';
}

function checkLength(
  { name, shape, data }: { name: string; shape: readonly number[]; data: ArrayBufferView },
  expected: number,
): void {
  if (data.byteLength === expected) return;
  throw unusable(name, `expected ${expected} bytes for shape [${shape.join(', ')}], got ${data.byteLength}`);
}

/** A write may take fewer bytes than given, and Node refuses 2 GiB at once. */
async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  const pieceBytes = 64 * 1024 * 1024;
  let done = 0;
  while (done < bytes.byteLength) {
    const length = Math.min(pieceBytes, bytes.byteLength - done);
    done += (await handle.write(bytes, done, length, position + done)).bytesWritten;
  }
}

function unusable(name: string, problem: string): UsageError {
  return new UsageError(`Tensor ${quoteName(name)} cannot be written: ${problem}.`, {
    details: { tensor: name },
  });
}

function headerTooLong(length: number): UsageError {
  return new UsageError(
    `Expected a safetensors header of at most ${MAX_HEADER_BYTES} bytes, got ${length}; write fewer tensors or less metadata.`,
    { details: { expected: MAX_HEADER_BYTES, got: length } },
  );
}
