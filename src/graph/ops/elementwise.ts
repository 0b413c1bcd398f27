/** Ops that compute each element of the result from one element of each input, with broadcasting. */

import type { DataType, TensorType } from '../types.ts';
import type { NoAttributes, OnnxCall, OpCall, OpDefinition, OpTable } from './definition.ts';
import { broadcastShapes, operand, reject, requireDtype } from './definition.ts';

/** Ops of this file with their attributes. */
export type ElementwiseOps = {
  add: NoAttributes;
  sub: NoAttributes;
  mul: NoAttributes;
  div: NoAttributes;
  min: NoAttributes;
  max: NoAttributes;
  neg: NoAttributes;
  exp: NoAttributes;
  log: NoAttributes;
  sqrt: NoAttributes;
  reciprocal: NoAttributes;
  sigmoid: NoAttributes;
  silu: NoAttributes;
  tanh: NoAttributes;
  identity: NoAttributes;
  stopGradient: NoAttributes;
  cast: CastAttributes;
  greaterOrEqual: NoAttributes;
  where: NoAttributes;
};

/** The element type of the result. */
export type CastAttributes = { readonly to: DataType };

const floats: readonly DataType[] = ['f32', 'f16', 'f64'];
const numbers: readonly DataType[] = [...floats, 'i32', 'i64'];

/** Definitions of this file's ops. */
export const elementwiseOps: OpTable<ElementwiseOps> = {
  add: binary('Add'),
  sub: binary('Sub'),
  mul: binary('Mul'),
  div: binary('Div'),
  min: binary('Min'),
  max: binary('Max'),
  neg: unary({ type: 'Neg' }, numbers),
  exp: unary({ type: 'Exp' }, floats),
  log: unary({ type: 'Log' }, floats),
  sqrt: unary({ type: 'Sqrt' }, floats),
  reciprocal: unary({ type: 'Reciprocal' }, floats),
  sigmoid: unary({ type: 'Sigmoid' }, floats),
  // x · sigmoid(1.0 · x) in one pass over memory; standard ONNX has no such op at opset 21.
  silu: unary({ type: 'QuickGelu', domain: 'com.microsoft', attributes: { alpha: { float: 1 } } }, [
    'f32',
    'f16',
  ]),
  tanh: unary({ type: 'Tanh' }, floats),
  identity: renamed(),
  stopGradient: renamed(),
  cast: {
    infer: (call) => [{ dtype: call.attributes.to, shape: operand(call, 0, 'x').shape }],
    onnx: (call) => ({ type: 'Cast', attributes: { to: { dataType: call.attributes.to } } }),
  },
  greaterOrEqual: {
    infer: (call) => [{ dtype: 'bool', shape: pairShape(call).shape }],
    onnx: () => ({ type: 'GreaterOrEqual' }),
  },
  where: {
    infer(call) {
      const condition = operand(call, 0, 'condition');
      const [x, y] = [operand(call, 1, 'x'), operand(call, 2, 'y')];
      requireDtype(call, condition, 'condition', ['bool']);
      requireDtype(call, x, 'x', numbers);
      if (x.dtype !== y.dtype) reject(call, 'x and y of one element type', `${x.dtype} and ${y.dtype}`);
      const shape = broadcastShapes(call, broadcastShapes(call, condition.shape, x.shape), y.shape);
      return [{ dtype: x.dtype, shape }];
    },
    onnx: () => ({ type: 'Where' }),
  },
};

function renamed(): OpDefinition<NoAttributes> {
  return { infer: (call) => [operand(call, 0, 'x')], onnx: () => ({ type: 'Identity' }) };
}

function binary(type: string): OpDefinition<NoAttributes> {
  return {
    infer: (call) => [pairShape(call)],
    onnx: () => ({ type }),
  };
}

/** The type to which two numbers of one element type broadcast. */
function pairShape(call: OpCall): TensorType {
  const a = operand(call, 0, 'a');
  const b = operand(call, 1, 'b');
  requireDtype(call, a, 'a', numbers);
  if (a.dtype !== b.dtype) reject(call, 'a and b of one element type', `${a.dtype} and ${b.dtype}`);
  return { dtype: a.dtype, shape: broadcastShapes(call, a.shape, b.shape) };
}

function unary(onnx: OnnxCall, allowed: readonly DataType[]): OpDefinition<NoAttributes> {
  return {
    infer(call) {
      const x = operand(call, 0, 'x');
      requireDtype(call, x, 'x', allowed);
      return [x];
    },
    onnx: () => onnx,
  };
}
