import { openFile } from './read-bytes.ts';
import { readFloats } from './safetensors-content.ts';
import type { WeightSource } from './weights.ts';

/**
 * The numbers of one weight, row-major in the shape of `source`; F16 and BF16 are widened without loss.
 *
 * @throws UsageError when the file is gone; ParseError when it has become shorter.
 */
export async function readWeight(source: WeightSource): Promise<Float32Array> {
  const file = await openFile(source.file);
  try {
    return await readFloats(file, source, source.dtype);
  } finally {
    await file.handle.close();
  }
}
