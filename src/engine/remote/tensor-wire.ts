import { z } from 'zod';
import { decodeBf16, decodeF16 } from '../../model/float-formats.ts';
import { decompressZstd } from '../../util/zstd.ts';

/** A tensor as vLLM-Lens writes it in JSON (`serialize_tensor`): bytes in base64, compressed in its later versions. */
export const tensorSchema = z.object({
  data: z.base64(),
  /** NumPy's name of what is stored; bfloat16 is stored as int16. */
  dtype: z.string(),
  original_dtype: z.string().nullish(),
  shape: z.array(z.int().nonnegative()).max(4),
  compression: z.literal('zstd').nullish(),
});
export type WireTensor = z.infer<typeof tensorSchema>;

/** A tensor that any version reads: float32, not compressed. */
export function encodeTensor(values: Float32Array, shape: readonly number[]): WireTensor {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return {
    data: bytes.toString('base64'),
    dtype: 'float32',
    original_dtype: 'torch.float32',
    shape: [...shape],
  };
}

/** Bytes of a number by how it is stored, and how it is read. */
const formats: Readonly<
  Record<string, { readonly bytes: number; readonly read: (bytes: ArrayBuffer) => Float32Array }>
> = {
  float32: { bytes: 4, read: (bytes) => new Float32Array(bytes) },
  float16: { bytes: 2, read: (bytes) => widened(bytes, decodeF16) },
  bfloat16: { bytes: 2, read: (bytes) => widened(bytes, decodeBf16) },
};

function widened(
  bytes: ArrayBuffer,
  decode: (source: Uint16Array, target: Float32Array) => void,
): Float32Array {
  const words = new Uint16Array(bytes);
  const values = new Float32Array(words.length);
  decode(words, values);
  return values;
}

/** The numbers of a tensor as a function of a range of them, or what is wrong with it as a clause. */
export function openTensor(tensor: WireTensor): ((start: number, end: number) => Float32Array) | string {
  const { dtype, original_dtype: original, shape, compression } = tensor;
  const name = dtype === 'int16' && original === 'torch.bfloat16' ? 'bfloat16' : dtype;
  const format = formats[name];
  if (format === undefined) return `a tensor is of ${dtype}`;
  const size = format.bytes * shape.reduce((product, axis) => product * axis, 1);
  const stored = Buffer.from(tensor.data, 'base64');
  const isPacked = compression === 'zstd';
  if (!isPacked && stored.length !== size)
    return `a tensor of shape [${shape.join(', ')}] has ${stored.length} bytes`;
  const bytes = isPacked ? decompressZstd(stored, size) : stored;
  // Copied, so that numbers lie at places that their type allows.
  return (start, end) =>
    format.read(Uint8Array.from(bytes.subarray(start * format.bytes, end * format.bytes)).buffer);
}
