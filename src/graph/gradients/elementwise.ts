/** Gradients of the ops that work element by element. */

import type { NoAttributes } from '../ops/definition.ts';
import type { ElementwiseOps } from '../ops/elementwise.ts';
import type { Value } from '../types.ts';
import type { BackwardCall, GradientRule, GradientTable } from './rule.ts';
import { expandLike, once, sameDims, scalar, sumTo } from './rule.ts';

type Call = BackwardCall<NoAttributes>;

/** Rules of the elementwise ops. `dy` is the gradient of the result y. */
export const elementwiseGradients: GradientTable<ElementwiseOps> = {
  add: (call) => [
    () => toInput(call, 0, call.compactGradient()),
    () => toInput(call, 1, call.compactGradient()),
  ],
  sub: (call) => [
    () => toInput(call, 0, call.compactGradient()),
    () => call.g.neg(toInput(call, 1, call.compactGradient())),
  ],
  mul: (call) => [
    () => toInput(call, 0, call.g.mul(call.compactGradient(), call.input(1))),
    () => toInput(call, 1, call.g.mul(call.compactGradient(), call.input(0))),
  ],
  div: (call) => {
    const { g } = call;
    const quotient = once(() => g.div(call.compactGradient(), call.input(1)));
    return [
      () => toInput(call, 0, quotient()),
      () => g.neg(toInput(call, 1, g.mul(quotient(), call.output()))),
    ];
  },
  min: extreme(({ g, input }) => g.greaterOrEqual(input(1), input(0))),
  max: extreme(({ g, input }) => g.greaterOrEqual(input(0), input(1))),
  neg: unary(({ g }, dy) => g.neg(dy)),
  exp: unary(({ g, output }, dy) => g.mul(dy, output())),
  log: unary(({ g, input }, dy) => g.div(dy, input(0))),
  sqrt: unary(({ g, output }, dy) => g.div(g.mul(dy, scalar(g, 0.5, dy.type.dtype)), output())),
  reciprocal: unary(({ g, output }, dy) => g.neg(g.mul(dy, g.mul(output(), output())))),
  sigmoid: unary(({ g, output }, dy) => g.mul(dy, g.sub(output(), g.mul(output(), output())))),
  // With s = sigmoid(x) and y = x s, the derivative s + x s (1 − s) is s (1 + x − y).
  silu: unary(({ g, input, output }, dy) => {
    const x = input(0);
    const slope = g.add(g.sub(x, output()), scalar(g, 1, dy.type.dtype));
    return g.mul(dy, g.mul(g.sigmoid(x), slope));
  }),
  tanh: unary(({ g, output }, dy) =>
    g.mul(dy, g.sub(scalar(g, 1, dy.type.dtype), g.mul(output(), output()))),
  ),
  identity: unary((_, dy) => dy),
  stopGradient: 'constant',
  cast: (call) => [() => call.g.cast(call.compactGradient(), call.node.inputs[0]!.type.dtype)],
  greaterOrEqual: 'constant',
  where: (call) => {
    const { g } = call;
    const zero = (): Value => scalar(g, 0, call.node.outputs[0]!.type.dtype);
    return [
      undefined,
      () => toInput(call, 1, g.where(call.input(0), call.compactGradient(), zero())),
      () => toInput(call, 2, g.where(call.input(0), zero(), call.compactGradient())),
    ];
  },
};

function unary(derivative: (call: Call, dy: Value) => Value): GradientRule<NoAttributes> {
  return (call) => [() => derivative(call, call.compactGradient())];
}

/** min and max: the gradient goes to the input that was taken; of equal ones, to the first. */
function extreme(isFirst: (call: Call) => Value): GradientRule<NoAttributes> {
  return (call) => {
    const { g } = call;
    const first = once(() => isFirst(call));
    const zero = (): Value => scalar(g, 0, call.node.outputs[0]!.type.dtype);
    return [
      () => toInput(call, 0, g.where(first(), call.compactGradient(), zero())),
      () => toInput(call, 1, g.where(first(), zero(), call.compactGradient())),
    ];
  };
}

/**
 * The gradient of an input from that of the broadcast result: axes that broadcasting repeated are summed. An
 * input in the result's own shape may keep a compact gradient.
 */
function toInput(call: BackwardCall<NoAttributes>, index: number, gradient: Value): Value {
  const input = call.node.inputs[index]!;
  const output = call.node.outputs[0]!;
  if (sameDims(input.type.shape, output.type.shape)) return gradient;
  return sumTo(call.g, expandLike(call.g, gradient, call.output()), input.type.shape);
}
