/** Ops that pick elements by index, and the one that puts them back. */

import type { DataType, TensorType } from '../types.ts';
import { formatShape } from '../types.ts';
import type { NoAttributes, OpCall, OpDefinition, OpTable } from './definition.ts';
import { operand, reject, requireDtype, requireRank, requireType, resolveAxis } from './definition.ts';

/** Ops of this file with their attributes. */
export type LookupOps = {
  gather: NoAttributes;
  gatherRows: NoAttributes;
  gatherElements: ElementsAttributes;
  scatterAdd: ElementsAttributes;
};

/** The axis that indices count along. */
export type ElementsAttributes = {
  /** Negative counts from the back. */
  readonly axis: number;
};

const indices: readonly DataType[] = ['i32', 'i64'];

const gather: OpDefinition<NoAttributes> = {
  infer(call) {
    const table = operand(call, 0, 'table');
    const ids = operand(call, 1, 'ids');
    requireDtype(call, ids, 'ids', indices);
    if (table.shape.length === 0) reject(call, 'a table with at least 1 axis', 'a scalar');
    return [{ dtype: table.dtype, shape: [...ids.shape, ...table.shape.slice(1)] }];
  },
  onnx: () => ({ type: 'Gather', attributes: { axis: { int: 0 } } }),
};

const gatherRows: OpDefinition<NoAttributes> = {
  infer(call) {
    const x = operand(call, 0, 'x');
    const index = operand(call, 1, 'index');
    requireDtype(call, index, 'index', ['i64']);
    requireRank(call, index, 'index [batch, query, 1]', 3);
    if (x.shape.length < 2) reject(call, 'x with at least 2 axes', `${x.shape.length}`);
    const [batch, query, one] = index.shape;
    if (one !== 1) reject(call, 'index [batch, query, 1]', `a last axis of ${one}`);
    if (batch !== x.shape[0]) reject(call, `index with the first axis of x, ${x.shape[0]}`, String(batch));
    return [{ dtype: x.dtype, shape: [batch!, query!, ...x.shape.slice(2)] }];
  },
  onnx: () => ({ type: 'GatherND', attributes: { batch_dims: { int: 1 } } }),
};

const gatherElements: OpDefinition<ElementsAttributes> = {
  infer(call) {
    const x = operand(call, 0, 'x');
    const index = operand(call, 1, 'index');
    requireIndexAlong(call, x, index);
    return [{ dtype: x.dtype, shape: index.shape }];
  },
  onnx: (call) => ({ type: 'GatherElements', attributes: { axis: { int: call.attributes.axis } } }),
};

const scatterAdd: OpDefinition<ElementsAttributes> = {
  infer(call) {
    const x = operand(call, 0, 'x');
    const index = operand(call, 1, 'index');
    requireDtype(call, x, 'x', ['f32', 'f64']);
    requireIndexAlong(call, x, index);
    requireType(call, operand(call, 2, 'updates'), 'updates', { dtype: x.dtype, shape: index.shape });
    return [x];
  },
  // Element by element, in order: ScatterND adds rows side by side, and equal indices race.
  onnx: (call) => ({
    type: 'ScatterElements',
    attributes: { axis: { int: call.attributes.axis }, reduction: { text: 'add' } },
  }),
};

/** Definitions of this file's ops. */
export const lookupOps: OpTable<LookupOps> = { gather, gatherRows, gatherElements, scatterAdd };

/** An index has the shape of x but along the axis. */
function requireIndexAlong(call: OpCall<ElementsAttributes>, x: TensorType, index: TensorType): void {
  requireDtype(call, index, 'index', indices);
  const axis = resolveAxis(call, call.attributes.axis, x.shape.length);
  const fits =
    index.shape.length === x.shape.length &&
    index.shape.every((dim, at) => at === axis || dim === x.shape[at]);
  if (!fits) reject(call, `an index ${formatShape(x.shape.with(axis, '_'))}`, formatShape(index.shape));
}
