import { halfAt, symmetricBlocks } from '../model/gguf-blocks.ts';
import { ggufLayout } from '../model/gguf-types.ts';
import type { StoredDtype } from '../model/weights.ts';
import type { BlockFormat, QuantisedRows } from './quantise.ts';

/**
 * Whole rows of GGUF blocks as blocks of the runtime that stand for the same numbers to the last bit: a scale for 32
 * neighbours, and as many levels or more. Null for every other pair, which is dequantised and quantised anew.
 *
 * Null too where a scale is not finite, so that the weight is refused where weights are quantised.
 */
export function sameBlocks(
  stored: Uint8Array,
  dtype: StoredDtype,
  { bits, blockSize }: BlockFormat,
): QuantisedRows | null {
  if (blockSize !== 32 || !isSymmetric(dtype) || symmetricBlocks[dtype].bits > bits) return null;
  const { levels } = symmetricBlocks[dtype];
  const { blockBytes } = ggufLayout(dtype);
  const blocks = stored.length / blockBytes;
  const q = new Uint8Array(blocks * 4 * bits);
  const scales = new Float32Array(blocks);
  const block = new Int8Array(32);
  for (let i = 0; i < blocks; i++) {
    const scale = halfAt(stored, i * blockBytes);
    if (!Number.isFinite(scale)) return null;
    scales[i] = scale;
    levels(stored, i * blockBytes, block);
    if (bits === 8) for (let k = 0; k < 32; k++) q[32 * i + k] = block[k]! + 128;
    else for (let k = 0; k < 16; k++) q[16 * i + k] = (block[2 * k]! + 8) | ((block[2 * k + 1]! + 8) << 4);
  }
  return { q, scales };
}

function isSymmetric(dtype: StoredDtype): dtype is keyof typeof symmetricBlocks {
  return Object.hasOwn(symmetricBlocks, dtype);
}
