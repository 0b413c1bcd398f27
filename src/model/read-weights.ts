import { decodeBf16, decodeF16 } from './float-formats.ts';
import { decodeGgufBlocks } from './gguf-blocks.ts';
import { ggufLayout, isGgufBlockType } from './gguf-types.ts';
import { type OpenFile, openFile, readExactly } from './read-bytes.ts';
import { isPlain, type StoredDtype, type WeightSource } from './weights.ts';
import { readFloats } from './safetensors-content.ts';

/** Bytes of rows read at once where they are decoded or put in order. */
const PIECE_BYTES = 16 * 1024 * 1024;

/**
 * The numbers of one weight, row-major in the shape of `source`; F16, BF16 and GGUF's blocks are widened without loss.
 *
 * @throws UsageError when the file is gone; ParseError when it has become shorter.
 */
export async function readWeight(source: WeightSource): Promise<Float32Array> {
  const file = await openFile(source.file);
  try {
    if (isPlain(source)) return await readFloats(file, source, source.dtype);
    const { rows, numbers, bytes } = rowsOf(source);
    const values = new Float32Array(rows * numbers);
    const step = Math.max(1, Math.floor(PIECE_BYTES / bytes));
    for (let first = 0; first < rows; first += step) {
      const count = Math.min(step, rows - first);
      const piece = await readRowBytes(file, source, first, count);
      values.set(decodeNumbers(piece, source.dtype), first * numbers);
    }
    return values;
  } finally {
    await file.handle.close();
  }
}

/** Bytes of some rows of one weight as they are stored, in the rows' order. @throws as `readWeight`. */
export async function readRows(source: WeightSource, firstRow: number, rows: number): Promise<Uint8Array> {
  const file = await openFile(source.file);
  try {
    return await readRowBytes(file, source, firstRow, rows);
  } finally {
    await file.handle.close();
  }
}

/** Numbers of whole rows that are stored as `dtype`; aligned bytes of F32 become a view, others are widened. */
export function decodeNumbers(bytes: Uint8Array, dtype: StoredDtype): Float32Array {
  if (isGgufBlockType(dtype)) {
    const { blockSize, blockBytes } = ggufLayout(dtype);
    const values = new Float32Array((bytes.length / blockBytes) * blockSize);
    decodeGgufBlocks(dtype, bytes, values);
    return values;
  }
  const { buffer, byteOffset, byteLength } = bytes;
  if (dtype === 'F32') return new Float32Array(buffer, byteOffset, byteLength / 4);
  const words = new Uint16Array(buffer, byteOffset, byteLength / 2);
  const values = new Float32Array(words.length);
  if (dtype === 'F16') decodeF16(words, values);
  else decodeBf16(words, values);
  return values;
}

/** How a weight divides into rows, of `numbers` numbers and `bytes` bytes each; the rows of a vector are its numbers. */
function rowsOf({ shape, byteLength }: WeightSource): {
  readonly rows: number;
  readonly numbers: number;
  readonly bytes: number;
} {
  const rows = shape[0] ?? 1;
  return { rows, numbers: shape[1] ?? 1, bytes: byteLength / rows };
}

async function readRowBytes(
  file: OpenFile,
  source: WeightSource,
  firstRow: number,
  count: number,
): Promise<Uint8Array> {
  const { rows, bytes } = rowsOf(source);
  const read = async (first: number, length: number): Promise<Uint8Array> => {
    const piece = new Uint8Array(length * bytes);
    await readExactly(file, piece, source.offset + first * bytes);
    return piece;
  };
  if (source.interleavedHeads === undefined) return read(firstRow, count);
  const head = rows / source.interleavedHeads;
  const start = Math.floor(firstRow / head) * head;
  const stored = await read(start, Math.ceil((firstRow + count) / head) * head - start);
  const ordered = new Uint8Array(count * bytes);
  for (let i = 0; i < count; i++) {
    const at = storedRow(firstRow + i, head) - start;
    ordered.set(stored.subarray(at * bytes, (at + 1) * bytes), i * bytes);
  }
  return ordered;
}

/** Where a row lies among those of its head, when the file has the head's two halves in turns. */
function storedRow(row: number, head: number): number {
  const within = row % head;
  const half = head / 2;
  return row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
}
