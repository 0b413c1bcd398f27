/** The typed tensor graph language: build, print, verify, write as ONNX. */

export { crossEntropy } from './gradients/cross-entropy.ts';
export type { GradientOptions, Seed } from './gradients/gradients.ts';
export { gradients } from './gradients/gradients.ts';
export type { Segment } from './gradients/recompute.ts';
export { GraphBuilder } from './graph.ts';
export type { WriteOnnxOptions } from './onnx.ts';
export { writeOnnx } from './onnx.ts';
export type { AttentionAttributes, RotaryAttributes } from './ops/attention.ts';
export type { OnnxAttribute, OnnxCall, OpCall, OpDefinition } from './ops/definition.ts';
export type { MatMulAttributes } from './ops/products.ts';
export type { MatMulNBitsAttributes } from './ops/quantised.ts';
export type { Attributes, AttributeValue, OpAttributes, OpName } from './ops/registry.ts';
export { operations } from './ops/registry.ts';
export { printGraph } from './print.ts';
export type {
  ConstantData,
  DataType,
  Dim,
  ExternalInitializer,
  FileRange,
  Graph,
  GraphNode,
  Initializer,
  InlineInitializer,
  TensorType,
  Value,
} from './types.ts';
export { elementCount, elementSize, formatType, sameType } from './types.ts';
export type { VerifyOptions } from './verify.ts';
export { verifyGraph } from './verify.ts';
