import { writeFileAtomically } from '../util/atomic-file.ts';
import { type GgufType, ggufTypeId } from './gguf-types.ts';

/** A metadata value with the type that it is stored as; a list has the type of its elements. */
export type GgufEntry =
  | { readonly type: 'u32' | 'i32' | 'f32'; readonly value: number | readonly number[] }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string | readonly string[] };

/** A tensor to write; the shape is row-major, slowest axis first; default: a vector. */
export interface GgufTensorToWrite {
  readonly name: string;
  readonly shape?: readonly number[];
  /** Default: F32. */
  readonly type?: GgufType;
  /** As the type stores them. */
  readonly data: Uint8Array | Uint16Array | Float32Array;
}

const VERSION = 3;
const ALIGNMENT = 32;
const types = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8 } as const;
const LIST = 9;

/** Writes a GGUF file, whole or not at all; equal arguments give equal bytes. */
export async function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, GgufEntry>,
  tensors: readonly GgufTensorToWrite[],
): Promise<void> {
  const bytes = encodeGguf(metadata, tensors);
  await writeFileAtomically(path, (handle) => handle.writeFile(bytes));
}

/** The file's bytes: header, metadata, tensor table, and the numbers at multiples of 32. */
export function encodeGguf(
  metadata: ReadonlyMap<string, GgufEntry>,
  tensors: readonly GgufTensorToWrite[],
): Uint8Array {
  const parts: Uint8Array[] = [text('GGUF'), u32(VERSION), u64(tensors.length), u64(metadata.size)];
  for (const [key, entry] of metadata) parts.push(string(key), encodeEntry(entry));
  let offset = 0;
  for (const { name, data, shape = [data.length], type = 'F32' } of tensors) {
    const axes = shape.toReversed().map(u64);
    parts.push(string(name), u32(shape.length), ...axes, u32(ggufTypeId(type)), u64(offset));
    offset += padded(data.byteLength);
  }
  const header = parts.reduce((sum, part) => sum + part.length, 0);
  parts.push(new Uint8Array(padded(header) - header));
  for (const { data } of tensors) {
    parts.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    parts.push(new Uint8Array(padded(data.byteLength) - data.byteLength));
  }
  return Buffer.concat(parts);
}

function encodeEntry({ type, value }: GgufEntry): Uint8Array {
  if (!Array.isArray(value)) return Buffer.concat([u32(types[type]), encodeScalar(type, value)]);
  const items = (value as readonly Scalar[]).map((item) => encodeScalar(type, item));
  return Buffer.concat([u32(LIST), u32(types[type]), u64(items.length), ...items]);
}

type Scalar = number | boolean | string;

function encodeScalar(type: GgufEntry['type'], value: unknown): Uint8Array {
  switch (type) {
    case 'u32':
    case 'i32':
      return u32(value as number);
    case 'f32':
      return new Uint8Array(Float32Array.of(value as number).buffer);
    case 'bool':
      return Uint8Array.of(Number(value));
    case 'string':
      return string(value as string);
    default:
      return type satisfies never;
  }
}

function padded(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function string(value: string): Uint8Array {
  const bytes = text(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}
