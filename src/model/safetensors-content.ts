import { decodeBf16, decodeF16 } from './float-formats.ts';
import { quoteName } from './json-text.ts';
import { openFile, readExactly } from './read-bytes.ts';
import { readSafetensorsHeader } from './safetensors.ts';
import type { OpenFile } from './read-bytes.ts';
import type { SafetensorsDtype, TensorEntry } from './safetensors.ts';
import { ParseError } from '../errors.ts';

/** A tensor in memory, row-major. F16 and BF16 are widened to Float32Array, which loses nothing. */
export interface Tensor {
  /** What the file holds. */
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array;
}

/** A whole safetensors file in memory. */
export interface SafetensorsContent {
  readonly file: string;
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Reads a whole safetensors file: vectors, adapters, activations; a checkpoint's weights are read one by one instead.
 *
 * @throws ParseError as `readSafetensorsHeader`, and for a dtype other than F32, F16, BF16, F64, I64, I32, U8, BOOL.
 */
export async function readSafetensors(path: string): Promise<SafetensorsContent> {
  const header = await readSafetensorsHeader(path);
  const file = await openFile(path);
  try {
    const tensors = new Map<string, Tensor>();
    for (const entry of header.tensors.values()) tensors.set(entry.name, await readTensor(file, entry));
    return { file: path, tensors, metadata: header.metadata };
  } finally {
    await file.handle.close();
  }
}

/** The numbers of one tensor of an open safetensors file; a dtype that `Tensor` cannot hold is a ParseError. */
export async function readTensor(file: OpenFile, entry: TensorEntry): Promise<Tensor> {
  const { dtype, shape } = entry;
  if (isFloatDtype(dtype)) return { dtype, shape, data: await readFloats(file, entry, dtype) };
  const data = emptyArray(dtype, entry.byteLength);
  if (data === null) throw unreadable(file.path, entry, 'F32, F16, BF16, F64, I64, I32, U8 or BOOL');
  await readExactly(file, new Uint8Array(data.buffer), entry.offset);
  return { dtype, shape, data };
}

/**
 * The tensor of that name, which must be of floats (F32, F16 or BF16).
 *
 * @throws ParseError when there is none, or it is of another dtype.
 */
export function floatTensor(
  content: SafetensorsContent,
  name: string,
): { readonly shape: readonly number[]; readonly data: Float32Array } {
  const tensor = content.tensors.get(name);
  if (tensor?.data instanceof Float32Array) return { shape: tensor.shape, data: tensor.data };
  const got = tensor === undefined ? `only ${listNames(content)}` : `one of ${tensor.dtype}`;
  throw new ParseError(
    `"${content.file}": expected a tensor "${name}" of F32, F16 or BF16, got ${got}; check that it is the right file.`,
    { details: { file: content.file, tensor: name } },
  );
}

/** Values decoded at once, so that a wide BF16 matrix is not held twice. */
const DECODE_VALUES = 4 * 1024 * 1024;

/** Reads `entry` as floats: F32 as it is, F16 and BF16 widened. */
export async function readFloats(
  file: OpenFile,
  entry: Pick<TensorEntry, 'offset' | 'byteLength'>,
  dtype: 'F32' | 'F16' | 'BF16',
): Promise<Float32Array> {
  if (dtype === 'F32') {
    const values = new Float32Array(entry.byteLength / 4);
    await readExactly(file, new Uint8Array(values.buffer), entry.offset);
    return values;
  }
  const decode = dtype === 'F16' ? decodeF16 : decodeBf16;
  const values = new Float32Array(entry.byteLength / 2);
  const piece = new Uint16Array(Math.min(DECODE_VALUES, values.length));
  for (let done = 0; done < values.length; done += piece.length) {
    const source = piece.subarray(0, Math.min(piece.length, values.length - done));
    const bytes = new Uint8Array(source.buffer, 0, source.byteLength);
    await readExactly(file, bytes, entry.offset + 2 * done);
    decode(source, values.subarray(done, done + source.length));
  }
  return values;
}

/** Whether a dtype is one of the three that weights come in. */
export function isFloatDtype(dtype: SafetensorsDtype): dtype is 'F32' | 'F16' | 'BF16' {
  return dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';
}

function emptyArray(dtype: SafetensorsDtype, bytes: number): Exclude<Tensor['data'], Float32Array> | null {
  if (dtype === 'F64') return new Float64Array(bytes / 8);
  if (dtype === 'I64') return new BigInt64Array(bytes / 8);
  if (dtype === 'I32') return new Int32Array(bytes / 4);
  if (dtype === 'U8' || dtype === 'BOOL') return new Uint8Array(bytes);
  return null;
}

function listNames(content: SafetensorsContent): string {
  const names = [...content.tensors.keys()].map((name) => quoteName(name));
  if (names.length === 0) return 'an empty file';
  return names.length > 8 ? `${names.slice(0, 8).join(', ')} and ${names.length - 8} more` : names.join(', ');
}

function unreadable(file: string, entry: TensorEntry, expected: string): ParseError {
  return new ParseError(
    `"${file}": expected tensor ${quoteName(entry.name)} to be ${expected}, got ${entry.dtype}; convert it first.`,
    { details: { file, tensor: entry.name, got: entry.dtype } },
  );
}
