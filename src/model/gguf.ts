import { decodeBf16, decodeF16 } from './float-formats.ts';
import { GgufReader, type GgufValue } from './gguf-reader.ts';
import { readSmallFile } from './read-bytes.ts';

export type { GgufValue } from './gguf-reader.ts';

/** A tensor of a GGUF file; the shape is row-major, slowest axis first, the other way round than in the file. */
export interface GgufTensor {
  readonly shape: readonly number[];
  /** `F32`, `F16` or `BF16`, as stored; the numbers are widened. */
  readonly type: string;
  readonly data: Float32Array;
}

export interface GgufFile {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** Control vectors of the largest models in use have 5 MB. */
const MAX_BYTES = 512 * 1024 * 1024;
const MAX_AXES = 4;
const DEFAULT_ALIGNMENT = 32;

/** Element types by their numbers in the format; quantised ones do not occur where single directions are kept. */
const floatTypes: ReadonlyMap<number, { readonly name: string; readonly size: number }> = new Map([
  [0, { name: 'F32', size: 4 }],
  [1, { name: 'F16', size: 2 }],
  [30, { name: 'BF16', size: 2 }],
]);

/**
 * Reads a GGUF file (version 2 or 3, little-endian) whose tensors are floats, whole into memory.
 *
 * @throws ParseError where it is none, is cut off, lies about its sizes, or holds tensors of another type; UsageError where
 *   it cannot be read.
 */
export async function readGguf(path: string): Promise<GgufFile> {
  const bytes = await readSmallFile(path, MAX_BYTES);
  const reader = new GgufReader(bytes, path);
  const { tensors: count, keys } = reader.header();
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keys; i++) {
    const key = reader.text();
    if (metadata.has(key)) throw reader.bad(`it gives ${JSON.stringify(key.slice(0, 80))} twice`);
    metadata.set(key, reader.value());
  }
  const places = Array.from({ length: count }, () => readPlace(reader));
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== 'number' || alignment < 1 || alignment % 8 !== 0)
    throw reader.bad(`expected an alignment that is a multiple of 8, got ${String(alignment)}`);
  const start = Math.ceil(reader.position / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  for (const place of places) {
    if (tensors.has(place.name)) throw reader.bad(`it has two tensors called ${JSON.stringify(place.name)}`);
    tensors.set(place.name, tensorAt(bytes, start, place, reader));
  }
  return { metadata, tensors };
}

interface Place {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: number;
  readonly offset: number;
}

function readPlace(reader: GgufReader): Place {
  const name = reader.text();
  const axes = reader.u32();
  if (axes > MAX_AXES)
    throw reader.bad(
      `expected at most ${MAX_AXES} axes of ${JSON.stringify(name.slice(0, 80))}, got ${axes}`,
    );
  const shape = Array.from({ length: axes }, () => reader.count('axis')).reverse();
  return { name, shape, type: reader.u32(), offset: reader.count('offset') };
}

function tensorAt(bytes: Uint8Array, start: number, place: Place, reader: GgufReader): GgufTensor {
  const { name, shape, offset } = place;
  const type = floatTypes.get(place.type);
  const shown = JSON.stringify(name.slice(0, 80));
  if (type === undefined)
    throw reader.bad(`expected ${shown} to hold floats (F32, F16, BF16), got type ${place.type}`);
  const count = shape.reduce((product, size) => product * size, 1);
  const [from, length] = [start + offset, count * type.size];
  if (!Number.isSafeInteger(length) || from + length > bytes.byteLength)
    throw reader.bad(`${shown} of shape [${shape.join(', ')}] reaches beyond the file's end`);
  return { shape, type: type.name, data: widen(bytes.slice(from, from + length).buffer, type.name) };
}

function widen(buffer: ArrayBuffer, type: string): Float32Array {
  if (type === 'F32') return new Float32Array(buffer);
  const source = new Uint16Array(buffer);
  const values = new Float32Array(source.length);
  if (type === 'F16') decodeF16(source, values);
  else decodeBf16(source, values);
  return values;
}

/** The first four bytes of every GGUF file. */
export function isGguf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x47 && bytes[1] === 0x47 && bytes[2] === 0x55 && bytes[3] === 0x46;
}
