/** Gradients of the ops that rearrange elements. */

import { canReshape } from '../ops/reshape.ts';
import type { ShapeOps, SliceAttributes } from '../ops/shapes.ts';
import type { Dim, Value } from '../types.ts';
import type { BackwardCall, GradientRule, GradientTable } from './rule.ts';
import { fromFront, once, refuseGradient, reshapeLike, sumTo } from './rule.ts';

/** Rules of the shape ops. */
export const shapeGradients: GradientTable<ShapeOps> = {
  reshape: reshaped,
  reshapeTo: reshaped,
  expand: (call) => [() => sumTo(call.g, call.gradient(), call.node.inputs[0]!.type.shape)],
  expandTo: (call) => [() => sumTo(call.g, call.gradient(), call.node.inputs[0]!.type.shape)],
  transpose: ({ g, attributes, gradient }) => {
    const inverse = attributes.permutation.map((_, axis) => attributes.permutation.indexOf(axis));
    return [() => g.transpose(gradient(), inverse)];
  },
  unsqueeze: ({ g, attributes, gradient }) => [() => g.squeeze(gradient(), attributes.axes)],
  squeeze: ({ g, attributes, gradient, node }) => {
    const rank = node.inputs[0]!.type.shape.length;
    return [
      () =>
        g.unsqueeze(
          gradient(),
          attributes.axes.map((axis) => fromFront(axis, rank)),
        ),
    ];
  },
  concat: (call) => {
    const { g, node, attributes } = call;
    const axis = fromFront(attributes.axis, node.outputs[0]!.type.shape.length);
    const lengths = node.inputs.map((part) => part!.type.shape[axis]!);
    if (lengths.every((length) => typeof length === 'number')) {
      const parts = once(() => g.split(call.gradient(), axis, lengths));
      return node.inputs.map((_, index) => () => parts()[index]!);
    }
    return node.inputs.map((_, index) => () => partBetween(call, axis, lengths, index));
  },
  slice: (call) => [() => unsliced(call)],
  split: (call) => {
    const { g, node, attributes, gradient } = call;
    return [
      () =>
        g.concat(
          node.outputs.map((_, index) => gradient(index)),
          attributes.axis,
        ),
    ];
  },
  pad: ({ g, attributes, gradient, node }) => {
    const { axis, before, after } = attributes;
    const length = node.inputs[0]!.type.shape.at(axis)!;
    return [() => g.slice(gradient(), axis, before, after === 0 ? undefined : -after, { length })];
  },
  shapeOf: 'constant',
};

function reshaped(call: BackwardCall): ReturnType<GradientRule> {
  return [
    () => {
      const dy = call.gradient();
      const x = call.node.inputs[0]!;
      const isPlain = canReshape(dy.type.shape, x.type.shape);
      return reshapeLike(call.g, dy, isPlain ? x : call.input(0), isPlain);
    },
  ];
}

/** Part `index` of a joined axis on which at most one part has a named length. */
function partBetween(call: BackwardCall, axis: number, lengths: readonly Dim[], index: number): Value {
  const [before, after] = [lengths.slice(0, index), lengths.slice(index + 1)].map((side) =>
    side.every((length) => typeof length === 'number')
      ? side.reduce((sum, length) => sum + length, 0)
      : undefined,
  );
  const length = lengths[index]!;
  const cut = (start: number, end: number | undefined): Value =>
    call.g.slice(call.gradient(), axis, start, end, { length });
  if (before !== undefined && after !== undefined) return cut(before, after === 0 ? undefined : -after);
  if (before !== undefined && typeof length === 'number') return cut(before, before + length);
  if (after !== undefined && typeof length === 'number') {
    return cut(-after - length, after === 0 ? undefined : -after);
  }
  return refuseGradient(
    call.node,
    `the parts' places along axis ${axis} are not known`,
    'at most one part of a named length',
  );
}

/** Zeros where the slice left something away. */
function unsliced(call: BackwardCall<SliceAttributes>): Value {
  const { g, node, attributes } = call;
  const { shape } = node.inputs[0]!.type;
  const axis = fromFront(attributes.axis, shape.length);
  const { start, end } = attributes;
  const length = shape[axis]!;
  if (typeof length === 'string') {
    if (start < 0 || (end !== undefined && end > 0)) {
      const why = `how much of the named axis ${length} is left away on each side is not known`;
      return refuseGradient(node, why, 'a start ≥ 0 and an end < 0 or none');
    }
    return g.pad(call.gradient(), axis, start, end === undefined ? 0 : -end, { length });
  }
  const bound = (index: number): number => Math.min(Math.max(index < 0 ? index + length : index, 0), length);
  const kept = node.outputs[0]!.type.shape[axis] as number;
  return g.pad(call.gradient(), axis, bound(start), length - bound(start) - kept);
}
