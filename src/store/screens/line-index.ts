import type { FileHandle } from 'node:fs/promises';
import { DataError } from '../../errors.ts';

/** Bytes that are read at once. */
const chunkBytes = 256 * 1024;

/**
 * Where the lines of a file begin, read through once. Every line ends in a line break.
 *
 * @param count Lines that the file has.
 * @returns `[count + 1]`, the last being the file's end.
 * @throws DataError where it has another number of lines.
 */
export async function findLines(handle: FileHandle, count: number, name: string): Promise<Float64Array> {
  const starts = new Float64Array(count + 1);
  const chunk = Buffer.alloc(chunkBytes);
  let [found, position] = [0, 0];
  for (;;) {
    const { bytesRead } = await handle.read(chunk, 0, chunkBytes, position);
    if (bytesRead === 0) break;
    const read = chunk.subarray(0, bytesRead);
    for (let end = read.indexOf(10); end >= 0; end = read.indexOf(10, end + 1)) {
      found++;
      if (found <= count) starts[found] = position + end + 1;
    }
    position += bytesRead;
  }
  if (found === count && starts[count] === position) return starts;
  throw new DataError(
    `"${name}": expected ${count} lines, as many as the Parquet file has rows, got ${found}; screen again.`,
  );
}

/** The text of a line, its line break left out. */
export async function readLine(handle: FileHandle, starts: Float64Array, line: number): Promise<string> {
  const [start, end] = [starts[line]!, starts[line + 1]!];
  return (await readSpan(handle, start, end - 1)).toString('utf8');
}

/** The lines for which `wanted` is not 0, each with its line break, in the order of the file. */
export async function* readLines(
  handle: FileHandle,
  starts: Float64Array,
  wanted: Uint8Array,
): AsyncGenerator<Buffer> {
  const count = starts.length - 1;
  for (let first = 0; first < count; ) {
    let next = first + 1;
    while (next < count && starts[next + 1]! - starts[first]! <= chunkBytes) next++;
    if (wanted.subarray(first, next).includes(1)) {
      const span = await readSpan(handle, starts[first]!, starts[next]!);
      for (let line = first; line < next; line++)
        if (wanted[line] !== 0)
          yield span.subarray(starts[line]! - starts[first]!, starts[line + 1]! - starts[first]!);
    }
    first = next;
  }
}

async function readSpan(handle: FileHandle, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.alloc(end - start);
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, start + done);
    if (bytesRead === 0) throw new DataError('A file of the screening became shorter while it was read.');
    done += bytesRead;
  }
  return bytes;
}
