/** Matrix products. */

import type { Dim } from '../types.ts';
import { formatShape } from '../types.ts';
import type { OnnxAttribute, OpDefinition, OpTable } from './definition.ts';
import { broadcastShapes, operand, reject, requireDtype } from './definition.ts';

/** Ops of this file with their attributes. */
export type ProductOps = { matMul: MatMulAttributes };

/** How the factors are read. */
export type MatMulAttributes = {
  /** Swap the last two axes of `a` first. */
  readonly transposeA?: boolean;
  /** Swap the last two axes of `b` first: a checkpoint's `[out, in]` weight stays as it lies in its file. */
  readonly transposeB?: boolean;
  /** Factor on the product; default 1. */
  readonly alpha?: number;
};

const matMul: OpDefinition<MatMulAttributes> = {
  infer(call) {
    const { transposeA, transposeB } = call.attributes;
    const a = operand(call, 0, 'a');
    const b = operand(call, 1, 'b');
    requireDtype(call, a, 'a', isFused(call.attributes) ? ['f32', 'f16'] : ['f32', 'f16', 'f64']);
    if (a.dtype !== b.dtype) reject(call, 'a and b of one element type', `${a.dtype} and ${b.dtype}`);
    if (a.shape.length < 2 || b.shape.length < 2) {
      reject(call, 'a and b with at least 2 axes', `${formatShape(a.shape)} and ${formatShape(b.shape)}`);
    }
    const [rows, innerA] = matrixAxes(a.shape, transposeA);
    const [innerB, columns] = matrixAxes(b.shape, transposeB);
    if (innerA !== innerB) reject(call, 'one inner length of a and b', `${innerA} and ${innerB}`);
    const batch = broadcastShapes(call, a.shape.slice(0, -2), b.shape.slice(0, -2));
    return [{ dtype: a.dtype, shape: [...batch, rows, columns] }];
  },
  onnx(call) {
    const { transposeA, transposeB, alpha } = call.attributes;
    if (!isFused(call.attributes)) return { type: 'MatMul' };
    const attributes: Record<string, OnnxAttribute> = {};
    if (transposeA === true) attributes['transA'] = { int: 1 };
    if (transposeB === true) attributes['transB'] = { int: 1 };
    if (alpha !== undefined) attributes['alpha'] = { float: alpha };
    return { type: 'FusedMatMul', domain: 'com.microsoft', attributes };
  },
};

/** Definitions of this file's ops. */
export const productOps: OpTable<ProductOps> = { matMul };

function isFused({ transposeA, transposeB, alpha }: MatMulAttributes): boolean {
  return transposeA === true || transposeB === true || alpha !== undefined;
}

function matrixAxes(shape: readonly Dim[], transpose: boolean | undefined): readonly [Dim, Dim] {
  const [rows, columns] = [shape.at(-2)!, shape.at(-1)!];
  return transpose === true ? [columns, rows] : [rows, columns];
}
