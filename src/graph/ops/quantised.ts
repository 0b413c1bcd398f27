/** Products with block-quantised weights. */

import type { Dim, TensorType } from '../types.ts';
import { formatShape, formatType } from '../types.ts';
import type { OnnxAttribute, OpCall, OpDefinition, OpTable } from './definition.ts';
import { operand, optionalOperand, reject, requireDtype, requireType } from './definition.ts';

/** Ops of this file with their attributes. */
export type QuantisedOps = { matMulNBits: MatMulNBitsAttributes; dequantise: DequantiseAttributes };

/** Layout of the quantised weight. */
export type MatMulNBitsAttributes = {
  /** Input width. */
  readonly K: number;
  /** Output width. */
  readonly N: number;
  /** Bits of a weight. */
  readonly bits: 4 | 8;
  /** Weights along K that share a scale. */
  readonly blockSize: number;
  /** 4 lets the kernel compute in int8; default: the runtime's choice. */
  readonly accuracyLevel?: 0 | 1 | 2 | 3 | 4;
};

/** Layout of 8-bit blocks. */
export type DequantiseAttributes = {
  /** Numbers along the last axis that share a scale. */
  readonly blockSize: number;
};

const matMulNBits: OpDefinition<MatMulNBitsAttributes> = {
  infer(call) {
    const { K, N, bits, blockSize } = call.attributes;
    requireAttributes(call);
    const x = operand(call, 0, 'x');
    requireDtype(call, x, 'x', ['f32', 'f16']);
    if (x.shape.length < 2 || x.shape.at(-1) !== K) {
      reject(call, `x [..., ${K}] with at least 2 axes`, formatShape(x.shape));
    }
    const blocks = Math.ceil(K / blockSize);
    const weight: TensorType = { dtype: 'u8', shape: [N, blocks, (blockSize * bits) / 8] };
    requireType(call, operand(call, 1, 'q'), 'q', weight);
    requireFlatOrMatrix(call, operand(call, 2, 'scales'), 'scales', { dtype: x.dtype, shape: [N, blocks] });
    const zeroPoints = optionalOperand(call, 3);
    if (zeroPoints !== undefined) {
      const packed: TensorType = { dtype: 'u8', shape: [N, Math.ceil((blocks * bits) / 8)] };
      requireFlatOrMatrix(call, zeroPoints, 'zeroPoints', packed);
    }
    return [{ dtype: x.dtype, shape: [...x.shape.slice(0, -1), N] }];
  },
  onnx(call) {
    const { K, N, bits, blockSize, accuracyLevel } = call.attributes;
    const attributes: Record<string, OnnxAttribute> = {
      K: { int: K },
      N: { int: N },
      bits: { int: bits },
      block_size: { int: blockSize },
    };
    if (accuracyLevel !== undefined) attributes['accuracy_level'] = { int: accuracyLevel };
    return { type: 'MatMulNBits', domain: 'com.microsoft', attributes };
  },
};

const dequantise: OpDefinition<DequantiseAttributes> = {
  infer(call) {
    const { blockSize } = call.attributes;
    const q = operand(call, 0, 'q');
    if (q.dtype !== 'u8' || q.shape.length !== 3 || q.shape[2] !== blockSize) {
      reject(call, `q u8[rows, blocks, ${blockSize}]`, formatType(q));
    }
    const shape = q.shape.with(2, 1);
    requireType(call, operand(call, 1, 'scales'), 'scales', { dtype: 'f32', shape });
    requireType(call, operand(call, 2, 'zeroPoints'), 'zeroPoints', { dtype: 'u8', shape });
    return [{ dtype: 'f32', shape: q.shape }];
  },
  onnx: (call) => ({
    type: 'DequantizeLinear',
    attributes: { axis: { int: 2 }, block_size: { int: call.attributes.blockSize } },
  }),
};

/** Definitions of this file's ops. */
export const quantisedOps: OpTable<QuantisedOps> = { matMulNBits, dequantise };

function requireAttributes(call: OpCall<MatMulNBitsAttributes>): void {
  const { K, N, bits, blockSize } = call.attributes;
  if (!(Number.isInteger(K) && K > 0 && Number.isInteger(N) && N > 0))
    reject(call, 'K and N ≥ 1', `${K} and ${N}`);
  if (bits !== 4 && bits !== 8) reject(call, '4 or 8 bits', String(bits));
  if (!(Number.isInteger(Math.log2(blockSize)) && blockSize >= 16)) {
    reject(call, 'a block size that is a power of two ≥ 16', String(blockSize));
  }
}

/** The kernel takes per-block numbers as a matrix or as the same numbers in one axis. */
function requireFlatOrMatrix(
  call: OpCall<MatMulNBitsAttributes>,
  type: TensorType,
  what: string,
  matrix: TensorType,
): void {
  const [rows, columns] = matrix.shape as readonly [number, number];
  const flat: readonly Dim[] = [rows * columns];
  requireType(call, type, what, type.shape.length === 1 ? { dtype: matrix.dtype, shape: flat } : matrix);
}
