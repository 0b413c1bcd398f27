import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { ModelError } from '../errors.ts';
import { openFile } from '../model/read-bytes.ts';
import { readFloats } from '../model/safetensors-content.ts';
import type { WeightSource } from '../model/weights.ts';
import type { FileSpan } from '../store/weight-cache-check.ts';
import { encodeF16, LARGEST_HALF } from './quantise-half.ts';
import { type BlockFormat, quantiseRows } from './quantise.ts';

/** Some rows of one tensor: what is read, quantised, hashed and written at once. Plain data, so that it crosses threads. */
export interface Slice {
  readonly source: WeightSource;
  readonly firstRow: number;
  readonly rows: number;
  /** Null stores the rows as F16. */
  readonly format: BlockFormat | null;
  /** Where the results belong in the cache's file: the quantised rows and their scales, or the F16 rows alone. */
  readonly target: readonly FileSpan[];
}

/**
 * Reads a slice, quantises it and writes it to an open file; gives the SHA-256 of what was written, one span after the
 * other, in hexadecimal.
 *
 * @throws ModelError for weights that the format cannot hold; the errors of reading and of writing files.
 */
export async function quantiseSlice(slice: Slice, fileDescriptor: number): Promise<string> {
  const parts = convert(slice, await readSlice(slice));
  const hash = createHash('sha256');
  for (const [i, { offset }] of slice.target.entries()) {
    hash.update(parts[i]!);
    writeFully(fileDescriptor, parts[i]!, offset);
  }
  return hash.digest('hex');
}

async function readSlice({ source, firstRow, rows }: Slice): Promise<Float32Array> {
  const { shape, dtype, byteLength, offset } = source;
  const rowBytes = byteLength / shape[0]!;
  const file = await openFile(source.file);
  try {
    const range = { offset: offset + firstRow * rowBytes, byteLength: rows * rowBytes };
    return await readFloats(file, range, dtype);
  } finally {
    await file.handle.close();
  }
}

function convert({ source, firstRow, format }: Slice, weights: Float32Array): readonly Uint8Array[] {
  const columns = source.shape[1]!;
  const { name } = source;
  if (format === null) return [toHalves(weights, name)];
  const { q, scales } = quantiseRows(weights, columns, format, { name, firstRow });
  return [q, new Uint8Array(scales.buffer)];
}

function toHalves(weights: Float32Array, name: string): Uint8Array {
  const halves = new Uint16Array(weights.length);
  encodeF16(weights, halves);
  // Infinity and NaN have all bits of the exponent set.
  const broken = halves.findIndex((half) => (half & 0x7c00) === 0x7c00);
  if (broken >= 0) throw beyondHalf(name, weights[broken]!);
  return new Uint8Array(halves.buffer);
}

/** Not through a promise: in a worker nothing else waits, and one write may take fewer bytes than given. */
function writeFully(fileDescriptor: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.byteLength; ) {
    done += writeSync(fileDescriptor, bytes, done, bytes.byteLength - done, position + done);
  }
}

function beyondHalf(name: string, got: number): ModelError {
  return new ModelError(
    `Expected weights within ±${LARGEST_HALF} in tensor "${name}", which is kept as F16, got ${got}; run this checkpoint in fp32.`,
    { details: { tensor: name, got: String(got) } },
  );
}
