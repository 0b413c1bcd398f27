/** Ops that pick rows by index. */

import type { DataType } from '../types.ts';
import type { NoAttributes, OpDefinition, OpTable } from './definition.ts';
import { operand, reject, requireDtype, requireRank } from './definition.ts';

/** Ops of this file with their attributes. */
export type LookupOps = { gather: NoAttributes; gatherRows: NoAttributes };

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

/** Definitions of this file's ops. */
export const lookupOps: OpTable<LookupOps> = { gather, gatherRows };
