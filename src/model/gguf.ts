import { ParseError } from '../errors.ts';
import { readGgufHeader } from './gguf-header.ts';
import type { GgufValue } from './gguf-reader.ts';
import { isGgufBlockType } from './gguf-types.ts';
import { openFile } from './read-bytes.ts';
import { readFloats } from './safetensors-content.ts';

export { isGguf } from './gguf-header.ts';
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

/**
 * Reads a GGUF file whose tensors are floats, such as a control vector, whole into memory.
 *
 * @throws ParseError as `readGgufHeader`, and where it holds more than 512 MiB or tensors in blocks; UsageError where it
 *   cannot be read.
 */
export async function readGguf(path: string): Promise<GgufFile> {
  const header = await readGgufHeader(path);
  const bytes = [...header.tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (bytes > MAX_BYTES) throw refused(path, `expected at most ${MAX_BYTES} bytes of tensors, got ${bytes}`);
  const file = await openFile(path);
  try {
    const tensors = new Map<string, GgufTensor>();
    for (const entry of header.tensors.values()) {
      const { name, type, shape } = entry;
      if (isGgufBlockType(type))
        throw refused(
          path,
          `expected ${JSON.stringify(name.slice(0, 80))} to hold floats (F32, F16, BF16), got ${type}`,
        );
      tensors.set(name, { shape, type, data: await readFloats(file, entry, type) });
    }
    return { metadata: header.metadata, tensors };
  } finally {
    await file.handle.close();
  }
}

function refused(path: string, problem: string): ParseError {
  return new ParseError(`"${path}" is no GGUF file of floats: ${problem}.`, { details: { file: path } });
}
