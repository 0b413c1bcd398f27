/** Gradients of the ops that fold axes or normalise along one. */

import type { ReduceAttributes, ReductionOps } from '../ops/reductions.ts';
import type { Value } from '../types.ts';
import type { BackwardCall, GradientTable } from './rule.ts';
import { fromFront, once, scaled } from './rule.ts';

/** Rules of the reductions and of softmax. `dy` is the gradient of the result y. */
export const reductionGradients: GradientTable<ReductionOps> = {
  reduceSum: (call) => [() => kept(call, call.compactGradient())],
  reduceMean: (call) => [() => dividedByCount(call, kept(call, call.compactGradient()))],
  // Of several elements that are the largest, each gets an equal share.
  reduceMax: (call) => {
    const { g, attributes, input } = call;
    return [
      () => {
        const isLargest = g.cast(g.greaterOrEqual(input(0), kept(call, call.output())), input(0).type.dtype);
        const count = g.reduceSum(isLargest, attributes.axes);
        return g.mul(isLargest, g.div(kept(call, call.gradient()), count));
      },
    ];
  },
  softmax: ({ g, attributes, output, compactGradient }) => [
    () => {
      const product = g.mul(compactGradient(), output());
      return g.sub(product, g.mul(output(), g.reduceSum(product, [attributes.axis])));
    },
  ],
  logSoftmax: ({ g, attributes, output, gradient }) => [
    () => g.sub(gradient(), g.mul(g.exp(output()), g.reduceSum(gradient(), [attributes.axis]))),
  ],
};

/** A value in the result's shape, with the folded axes as axes of length 1 where they were dropped. */
function kept({ g, attributes, node }: BackwardCall<ReduceAttributes>, value: Value): Value {
  if (attributes.keepDims) return value;
  const rank = node.inputs[0]!.type.shape.length;
  return g.unsqueeze(
    value,
    attributes.axes.map((axis) => fromFront(axis, rank)),
  );
}

/** Divides by the number of elements that were folded into one. */
function dividedByCount(call: BackwardCall<ReduceAttributes>, gradient: Value): Value {
  const { g, attributes, node } = call;
  const { shape, dtype } = node.inputs[0]!.type;
  let [result, known] = [gradient, 1];
  const lengths = once(() => g.shapeOf(call.input(0)));
  for (const axis of attributes.axes) {
    const dim = shape.at(axis)!;
    if (typeof dim === 'number') known *= dim;
    else {
      const place = BigInt64Array.of(BigInt(fromFront(axis, shape.length)));
      const length = g.gather(lengths(), g.constant(`axis.${place[0]}`, place, [1]));
      result = g.div(result, g.cast(length, dtype));
    }
  }
  return scaled(g, result, 1 / known);
}
