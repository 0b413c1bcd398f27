/** Gradients of the root-mean-square norms. */

import type { GraphBuilder } from '../graph.ts';
import type { NormAttributes, NormOps } from '../ops/norms.ts';
import type { Value } from '../types.ts';
import type { BackwardCall, GradientTable } from './rule.ts';
import { once, scalar, sumTo } from './rule.ts';

/** Rules of the norms. */
export const normGradients: GradientTable<NormOps> = {
  rmsNorm: (call) => {
    const norm = backward(call, { x: () => call.input(0), gain: () => call.input(1) });
    return [norm.x, norm.gain];
  },
  addRmsNorm: (call) => {
    const norm = backward(call, { x: () => call.output(1), gain: () => call.input(2) });
    const sum = once(() => {
      if (!call.reaches(0)) return call.gradient(1);
      return call.reaches(1) ? call.g.add(call.gradient(1), norm.x()) : norm.x();
    });
    return [sum, sum, norm.gain];
  },
};

/**
 * With r = 1 / √(mean x² + ε) and y = x r gain: dx = r (dy gain) − x r² (dy · y) / width, the product over the width,
 * and dgain is the sum of dy x r over all rows.
 */
function backward(
  call: BackwardCall<NormAttributes>,
  { x, gain }: { readonly x: () => Value; readonly gain: () => Value },
): { readonly x: () => Value; readonly gain: () => Value } {
  const { g, attributes } = call;
  const width = call.node.outputs[0]!.type.shape.at(-1)!;
  const inverse = once(() => inverseRoot(g, x(), attributes.epsilon)); // [..., 1]
  return {
    x: () => {
      const [dy, r] = [call.gradient(), inverse()];
      const along = g.mul(g.reduceMean(g.mul(dy, call.output()), [-1]), g.mul(r, r)); // [..., 1]
      return g.sub(g.mul(g.mul(dy, gain()), r), g.mul(x(), along));
    },
    gain: () => {
      const normed = g.mul(x(), inverse());
      return sumTo(g, g.mul(call.gradient(), normed), [width]);
    },
  };
}

/** 1 / √(mean of x² over the last axis + epsilon), `[..., 1]`. */
function inverseRoot(g: GraphBuilder, x: Value, epsilon: number): Value {
  const square = g.reduceMean(g.mul(x, x), [-1]);
  return g.reciprocal(g.sqrt(g.add(square, scalar(g, epsilon, x.type.dtype))));
}
