import { describeJson, isJsonObject, parseJsonObject, quoteName } from './json-text.ts';
import { openFile, readExactly } from './read-bytes.ts';
import type { Json, JsonObject } from './json-text.ts';
import { ParseError } from '../errors.ts';

/** Bits of one element of every dtype that the format knows. */
export const safetensorsDtypes = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;
export type SafetensorsDtype = keyof typeof safetensorsDtypes;

/** Where one tensor's bytes lie, row-major and little-endian. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** What a safetensors file says about itself; its data are not read. */
export interface SafetensorsHeader {
  readonly file: string;
  /** Bytes before the data: the length word and the JSON. */
  readonly dataStart: number;
  /** Bytes of the whole file. */
  readonly fileLength: number;
  /** By name, in the order of the data. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** Bytes of the little-endian length word before the JSON. */
export const LENGTH_BYTES = 8;
/** The format's own bound: a longer header is refused by its reference reader too. */
export const MAX_HEADER_BYTES = 100_000_000;
/** Axes of one tensor: weights have at most five; the bound keeps messages and loops short. */
const MAX_AXES = 64;

/**
 * Reads and checks the header of a safetensors file: known dtypes, lengths that follow from the shapes, and data that
 * fill the file to its last byte without overlap or hole.
 *
 * @throws ParseError naming the tensor, what was expected and what came; UsageError when there is no such file.
 */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  const file = await openFile(path);
  try {
    if (file.size < LENGTH_BYTES) throw truncated(path, file.size);
    const word = new Uint8Array(LENGTH_BYTES);
    await readExactly(file, word, 0);
    const length = checkHeaderLength(word, path, file.size);
    const json = new Uint8Array(length);
    await readExactly(file, json, LENGTH_BYTES);
    return parseHeader(json, path, file.size);
  } finally {
    await file.handle.close();
  }
}

/** As `readSafetensorsHeader`, for a file whose first bytes are at hand: the JSON text and the file's length. */
export function parseHeader(json: Uint8Array, file: string, fileLength: number): SafetensorsHeader {
  // A byte order mark or leading space is JSON to some readers only; the format says that "{" comes first.
  if (json[0] !== 0x7b) throw malformed(file, 'expected the header to start with "{"');
  const dataStart = LENGTH_BYTES + json.byteLength;
  const object = parseJsonObject(json, file);
  const entries = Object.entries(object)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, value]) => parseEntry(name, value, dataStart, file));
  entries.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  checkPlacement(entries, file, dataStart, fileLength);
  return {
    file,
    dataStart,
    fileLength,
    tensors: new Map(entries.map((entry) => [entry.name, entry])),
    metadata: parseMetadata(object, file),
  };
}

/** Bytes that `shape` takes in `dtype`; null when that is no whole number or beyond 2⁵³. */
export function tensorBytes(dtype: SafetensorsDtype, shape: readonly number[]): number | null {
  let count = 1;
  for (const axis of shape) {
    count *= axis;
    if (!Number.isSafeInteger(count)) return null;
  }
  const bytes = (count * safetensorsDtypes[dtype]) / 8;
  return Number.isSafeInteger(bytes) ? bytes : null;
}

function checkHeaderLength(word: Uint8Array, file: string, fileLength: number): number {
  const length = Number(new DataView(word.buffer, word.byteOffset).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES) {
    throw malformed(
      file,
      `expected a header of at most ${MAX_HEADER_BYTES} bytes, got a length of ${length}`,
    );
  }
  if (LENGTH_BYTES + length > fileLength) {
    throw malformed(
      file,
      `expected ${length} bytes of header, got ${fileLength - LENGTH_BYTES} bytes after its length`,
    );
  }
  return length;
}

function parseEntry(name: string, value: Json, dataStart: number, file: string): TensorEntry {
  const fail = (problem: string): ParseError => malformed(file, problem, name);
  if (!isJsonObject(value)) throw fail(`expected an object, got ${describeJson(value)}`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isDtype(dtype)) throw fail(`expected a dtype of the format, got ${describeJson(dtype)}`);
  if (!isSizeList(shape) || shape.length > MAX_AXES) {
    throw fail(`expected a shape of at most ${MAX_AXES} non-negative integers, got ${describeJson(shape)}`);
  }
  if (!isSizeList(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw fail(`expected data_offsets [begin, end] with begin ≤ end, got ${describeJson(offsets)}`);
  }
  const [begin, end] = offsets as readonly [number, number];
  const expected = tensorBytes(dtype, shape);
  if (expected !== end - begin) {
    const needed = expected === null ? 'an impossible number of' : expected;
    throw fail(
      `expected ${needed} bytes for ${dtype} ${describeJson(shape)}, got data_offsets of ${end - begin}`,
    );
  }
  return { name, dtype, shape, offset: dataStart + begin, byteLength: end - begin };
}

/** `entries` in the order of their data. */
function checkPlacement(
  entries: readonly TensorEntry[],
  file: string,
  dataStart: number,
  fileLength: number,
): void {
  let at = dataStart;
  for (const entry of entries) {
    const end = entry.offset + entry.byteLength;
    if (end > fileLength) {
      throw malformed(file, `its data end at byte ${end} of a file of ${fileLength} bytes`, entry.name);
    }
    if (entry.offset !== at) {
      const what = entry.offset < at ? 'overlap those of another tensor' : 'leave a hole before them';
      throw malformed(file, `its data ${what}: expected byte ${at}, got byte ${entry.offset}`, entry.name);
    }
    at = end;
  }
  if (at !== fileLength) {
    throw malformed(file, `expected ${at} bytes in all by its header, got a file of ${fileLength}`);
  }
}

function parseMetadata(object: JsonObject, file: string): ReadonlyMap<string, string> {
  if (!Object.hasOwn(object, '__metadata__')) return new Map();
  const metadata = object['__metadata__'];
  if (!isJsonObject(metadata)) {
    throw malformed(file, `expected "__metadata__" to be an object, got ${describeJson(metadata)}`);
  }
  const pairs = Object.entries(metadata).map(([key, value]): [string, string] => {
    if (typeof value === 'string') return [key, value];
    throw malformed(file, `expected metadata ${quoteName(key)} to be a string, got ${describeJson(value)}`);
  });
  return new Map(pairs);
}

function isDtype(value: Json | undefined): value is SafetensorsDtype {
  return typeof value === 'string' && Object.hasOwn(safetensorsDtypes, value);
}

function isSizeList(value: Json | undefined): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function truncated(file: string, got: number): ParseError {
  return malformed(file, `expected at least ${LENGTH_BYTES} bytes, got ${got}`);
}

function malformed(file: string, problem: string, tensor?: string): ParseError {
  const where = tensor === undefined ? '' : ` tensor ${quoteName(tensor)}:`;
  return new ParseError(
    `"${file}" is no sound safetensors file:${where} ${problem}; download the file again.`,
    {
      details: { file, tensor: tensor ?? null },
    },
  );
}
