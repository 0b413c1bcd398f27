/** Gradients of the ops that pick elements by index: they are added back where they were picked. */

import type { GraphBuilder } from '../graph.ts';
import type { LookupOps } from '../ops/lookup.ts';
import type { Value } from '../types.ts';
import type { BackwardCall, GradientTable } from './rule.ts';
import { expandLike, joinedAxes, zerosLike } from './rule.ts';

/**
 * Rules of the lookups. What was picked is added into the gradient that the other uses of the table gave, so that a
 * tied embedding, say, does not need a second table of zeros.
 */
export const lookupGradients: GradientTable<LookupOps> = {
  gather: (call) => [{ addTo: (sum) => addRows(call, sum) }],
  gatherRows: (call) => [{ addTo: (sum) => addPositions(call, sum) }],
  gatherElements: (call) => {
    const { g, attributes, input, gradient } = call;
    return [{ addTo: (sum) => g.scatterAdd(startOf(call, sum), input(1), gradient(), attributes.axis) }];
  },
  scatterAdd: ({ g, attributes, input, gradient }) => [
    () => gradient(),
    undefined,
    () => g.gatherElements(gradient(), input(1), attributes.axis),
  ],
};

function startOf(call: BackwardCall, sum: Value | null): Value {
  return sum ?? zerosLike(call.g, call.input(0));
}

/** table `[rows, ...rest]`, ids `[...ids]`, gradient `[...ids, ...rest]`. */
function addRows(call: BackwardCall, sum: Value | null): Value {
  const { g, node } = call;
  const rest = node.inputs[0]!.type.shape.slice(1);
  const count = joinedAxes(node.inputs[1]!.type.shape);
  const isList = node.inputs[1]!.type.shape.length === 1;
  const updates = isList ? call.gradient() : g.reshape(call.gradient(), [count, ...rest]);
  const ids = isList ? call.input(1) : g.reshape(call.input(1), [count]);
  return g.scatterAdd(startOf(call, sum), acrossRest(g, ids, updates), updates, 0);
}

/** x `[batch, position, ...rest]`, index `[batch, query, 1]`, gradient `[batch, query, ...rest]`. */
function addPositions(call: BackwardCall, sum: Value | null): Value {
  const { g } = call;
  const updates = call.gradient();
  const index = g.squeeze(call.input(1), [2]);
  return g.scatterAdd(startOf(call, sum), acrossRest(g, index, updates), updates, 1);
}

/** An index for each row as an index for each element of the row. */
function acrossRest(g: GraphBuilder, index: Value, rows: Value): Value {
  const [from, to] = [index.type.shape.length, rows.type.shape.length];
  const rest = Array.from({ length: to - from }, (_, axis) => from + axis);
  return rest.length === 0 ? index : expandLike(g, g.unsqueeze(index, rest), rows);
}
