/** Ops that fold axes into one number, or normalise along one. */

import type { DataType, Dim } from '../types.ts';
import type { OpDefinition, OpTable } from './definition.ts';
import { operand, reject, requireDtype, resolveAxes, resolveAxis } from './definition.ts';

/** Ops of this file with their attributes. */
export type ReductionOps = {
  reduceSum: ReduceAttributes;
  reduceMean: ReduceAttributes;
  reduceMax: ReduceAttributes;
  softmax: AxisAttributes;
  logSoftmax: AxisAttributes;
};

/** Which axes are folded. */
export type ReduceAttributes = {
  /** At least one; negative ones count from the back. */
  readonly axes: readonly number[];
  /** Keep the folded axes with length 1. */
  readonly keepDims: boolean;
};

/** The axis along which numbers are normalised. */
export type AxisAttributes = {
  /** Negative counts from the back. */
  readonly axis: number;
};

const floats: readonly DataType[] = ['f32', 'f16', 'f64'];

/** Definitions of this file's ops. */
export const reductionOps: OpTable<ReductionOps> = {
  reduceSum: reduce('ReduceSum', true),
  reduceMean: reduce('ReduceMean', false),
  reduceMax: reduce('ReduceMax', false),
  softmax: alongAxis('Softmax'),
  logSoftmax: alongAxis('LogSoftmax'),
};

function reduce(type: string, hasEmptyValue: boolean): OpDefinition<ReduceAttributes> {
  return {
    infer(call) {
      const x = operand(call, 0, 'x');
      requireDtype(call, x, 'x', [...floats, 'i32', 'i64']);
      const axes = resolveAxes(call, call.attributes.axes, x.shape.length);
      // ONNX reads an empty list as "all axes".
      if (axes.length === 0) reject(call, 'at least one axis', 'none');
      if (!hasEmptyValue && axes.some((axis) => x.shape[axis] === 0)) {
        reject(call, 'folded axes that are not empty', 'one of length 0');
      }
      const shape = x.shape.flatMap((dim, axis): Dim[] => {
        if (!axes.includes(axis)) return [dim];
        return call.attributes.keepDims ? [1] : [];
      });
      return [{ dtype: x.dtype, shape }];
    },
    onnx: (call) => ({
      type,
      attributes: { keepdims: { int: call.attributes.keepDims ? 1 : 0 } },
      constants: [call.attributes.axes],
    }),
  };
}

function alongAxis(type: string): OpDefinition<AxisAttributes> {
  return {
    infer(call) {
      const x = operand(call, 0, 'x');
      requireDtype(call, x, 'x', floats);
      resolveAxis(call, call.attributes.axis, x.shape.length);
      return [x];
    },
    onnx: (call) => ({ type, attributes: { axis: { int: call.attributes.axis } } }),
  };
}
