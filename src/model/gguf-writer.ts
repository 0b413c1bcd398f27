import { writeFileAtomically } from '../util/atomic-file.ts';

/** A metadata value with the type that it is stored as. */
export type GgufEntry =
  | { readonly type: 'u32'; readonly value: number }
  | { readonly type: 'f32'; readonly value: number }
  | { readonly type: 'string'; readonly value: string };

/** A one-dimensional F32 tensor. */
export interface GgufVector {
  readonly name: string;
  readonly data: Float32Array;
}

const VERSION = 3;
const ALIGNMENT = 32;
const types = { u32: 4, f32: 6, string: 8 } as const;
const F32 = 0;

/** Writes a GGUF file of F32 vectors, whole or not at all; equal arguments give equal bytes. */
export async function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, GgufEntry>,
  vectors: readonly GgufVector[],
): Promise<void> {
  const bytes = encodeGguf(metadata, vectors);
  await writeFileAtomically(path, (handle) => handle.writeFile(bytes));
}

/** The file's bytes: header, metadata, tensor table, and the numbers at multiples of 32. */
export function encodeGguf(
  metadata: ReadonlyMap<string, GgufEntry>,
  vectors: readonly GgufVector[],
): Uint8Array {
  const parts: Uint8Array[] = [text('GGUF'), u32(VERSION), u64(vectors.length), u64(metadata.size)];
  for (const [key, entry] of metadata) parts.push(string(key), u32(types[entry.type]), encodeEntry(entry));
  let offset = 0;
  for (const { name, data } of vectors) {
    parts.push(string(name), u32(1), u64(data.length), u32(F32), u64(offset));
    offset += padded(data.byteLength);
  }
  const header = parts.reduce((sum, part) => sum + part.length, 0);
  parts.push(new Uint8Array(padded(header) - header));
  for (const { data } of vectors) {
    parts.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    parts.push(new Uint8Array(padded(data.byteLength) - data.byteLength));
  }
  return Buffer.concat(parts);
}

function encodeEntry(entry: GgufEntry): Uint8Array {
  switch (entry.type) {
    case 'u32':
      return u32(entry.value);
    case 'f32':
      return new Uint8Array(Float32Array.of(entry.value).buffer);
    case 'string':
      return string(entry.value);
    default:
      return entry satisfies never;
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
