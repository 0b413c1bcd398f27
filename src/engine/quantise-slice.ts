import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { ModelError } from '../errors.ts';
import { decodeNumbers, readRows } from '../model/read-weights.ts';
import type { WeightDtype, WeightSource } from '../model/weights.ts';
import type { FileSpan } from '../store/weight-cache-check.ts';
import { encodeF16, LARGEST_HALF } from './quantise-half.ts';
import { type BlockFormat, quantiseRows } from './quantise.ts';
import { sameBlocks } from './same-blocks.ts';

/** Some rows of one tensor: what is read, quantised, hashed and written at once. Plain data, so that it crosses threads. */
export interface Slice {
  readonly source: WeightSource;
  readonly firstRow: number;
  readonly rows: number;
  /** Blocks, or the plain numbers that the rows are stored as. */
  readonly format: BlockFormat | WeightDtype;
  /** Where the results belong in the cache's file: the quantised rows and their scales, or the plain rows alone. */
  readonly target: readonly FileSpan[];
}

/**
 * Reads a slice, quantises it and writes it to an open file; gives the SHA-256 of what was written, one span after the
 * other, in hexadecimal.
 *
 * @throws ModelError for weights that the format cannot hold; the errors of reading and of writing files.
 */
export async function quantiseSlice(slice: Slice, fileDescriptor: number): Promise<string> {
  const parts = convert(slice, await readRows(slice.source, slice.firstRow, slice.rows));
  const hash = createHash('sha256');
  for (const [i, { offset }] of slice.target.entries()) {
    hash.update(parts[i]!);
    writeFully(fileDescriptor, parts[i]!, offset);
  }
  return hash.digest('hex');
}

function convert({ source, firstRow, format }: Slice, stored: Uint8Array): readonly Uint8Array[] {
  const { name, dtype } = source;
  if (dtype === format) return [stored];
  if (typeof format !== 'string') {
    const same = sameBlocks(stored, dtype, format);
    const origin = { name, firstRow };
    const { q, scales } =
      same ?? quantiseRows(decodeNumbers(stored, dtype), source.shape[1]!, format, origin);
    return [q, new Uint8Array(scales.buffer)];
  }
  const weights = decodeNumbers(stored, dtype);
  return [format === 'F16' ? toHalves(weights, name) : new Uint8Array(weights.buffer)];
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
