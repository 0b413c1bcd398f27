/**
 * What an op is made of, and the helpers with which its type rule is written. An op is data: a rule from
 * input types to output types, and its spelling in ONNX.
 */

import { GraphError } from '../../errors.ts';
import type { DataType, Dim, TensorType, Value } from '../types.ts';
import { formatShape, formatType, formatValue, sameType } from '../types.ts';

/** Numbers, flags, names, and lists of numbers or axes. */
export type AttributeValue = number | boolean | string | readonly Dim[];
/** Compile-time parameters of a node; absent ones have no key. */
export type Attributes = Readonly<Record<string, AttributeValue>>;
/** The attributes of an op that has none. */
export type NoAttributes = Readonly<Record<string, never>>;

/** An op applied to inputs; a `GraphNode` is one. */
export interface OpCall<A extends Attributes = Attributes> {
  readonly op: string;
  readonly inputs: readonly (Value | null)[];
  readonly attributes: A;
}

/** An attribute with its ONNX kind; `dataType` is the code of an element type. */
export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly text: string }
  | { readonly dataType: DataType };

/** The ONNX node that computes a call. */
export interface OnnxCall {
  readonly type: string;
  /** Default: the standard ONNX domain. */
  readonly domain?: 'com.microsoft';
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  /** Vectors of i64 that follow the inputs (ONNX takes shapes, axes and bounds as tensors). */
  readonly constants?: readonly (readonly number[])[];
  /** Place of each output among the ONNX outputs; default 0, 1, 2, …. */
  readonly outputSlots?: readonly number[];
}

/** An op as data. */
export interface OpDefinition<A extends Attributes = Attributes> {
  /** Output types, or a `GraphError` that names op, inputs, what was expected and what came. */
  infer(call: OpCall<A>): readonly TensorType[];
  /** The ONNX spelling of a call that `infer` accepts. */
  onnx(call: OpCall<A>): OnnxCall;
  /** Names of the outputs of an op with several, where their number is fixed. */
  readonly outputNames?: readonly string[];
}

/** Definitions keyed by op name, each with its own attributes. */
export type OpTable<Ops extends Readonly<Record<string, Attributes>>> = {
  readonly [Name in keyof Ops]: OpDefinition<Ops[Name]>;
};

/** Refuses a call. `expected` and `got` complete the sentence "expected …, got …". */
export function reject(call: OpCall, expected: string, got: string): never {
  const inputs = call.inputs.map((value) => (value === null ? 'none' : formatValue(value))).join(', ');
  throw new GraphError(`${call.op}(${inputs}): expected ${expected}, got ${got}.`, {
    details: { op: call.op, inputs, expected, got },
  });
}

/** The type of input `index`, which must be there. */
export function operand(call: OpCall, index: number, what: string): TensorType {
  const value = call.inputs[index];
  if (value === undefined || value === null) return reject(call, `an input ${what}`, 'none');
  return value.type;
}

/** The type of input `index`, or undefined where it is absent. */
export function optionalOperand(call: OpCall, index: number): TensorType | undefined {
  return call.inputs[index]?.type;
}

/** Refuses an element type that is not among `allowed`. */
export function requireDtype(
  call: OpCall,
  type: TensorType,
  what: string,
  allowed: readonly DataType[],
): void {
  if (!allowed.includes(type.dtype)) reject(call, `${what} of type ${allowed.join(' or ')}`, type.dtype);
}

/** Refuses another number of axes. */
export function requireRank(call: OpCall, type: TensorType, what: string, rank: number): void {
  if (type.shape.length !== rank) {
    reject(call, `${what} with ${rank} ${rank === 1 ? 'axis' : 'axes'}`, formatShape(type.shape));
  }
}

/** Refuses a type other than `expected`. */
export function requireType(call: OpCall, type: TensorType, what: string, expected: TensorType): void {
  if (!sameType(type, expected)) reject(call, `${what} of type ${formatType(expected)}`, formatType(type));
}

/** Axis counted from the front; negative ones count from the back. */
export function resolveAxis(call: OpCall, axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank) {
    reject(call, `an axis from ${-rank} to ${rank - 1}`, String(axis));
  }
  return resolved;
}

/** Distinct axes counted from the front, in ascending order. */
export function resolveAxes(call: OpCall, axes: readonly number[], rank: number): readonly number[] {
  const resolved = axes.map((axis) => resolveAxis(call, axis, rank)).sort((a, b) => a - b);
  if (new Set(resolved).size !== resolved.length) reject(call, 'distinct axes', formatShape(axes));
  return resolved;
}

/** Refuses shapes with negative or fractional axes, or empty names. */
export function requireShape(call: OpCall, shape: readonly Dim[]): void {
  if (!isShape(shape)) reject(call, 'axes that are names or whole numbers ≥ 0', formatShape(shape));
}

/** Whether every axis is a name or a whole number ≥ 0. */
export function isShape(shape: readonly Dim[]): boolean {
  return shape.every((dim) => (typeof dim === 'string' ? dim !== '' : Number.isSafeInteger(dim) && dim >= 0));
}

/** The common shape of two shapes aligned at their last axes; a named axis meets only itself or 1. */
export function broadcastShapes(call: OpCall, a: readonly Dim[], b: readonly Dim[]): readonly Dim[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left === right || right === 1) return left;
    if (left === 1) return right;
    return reject(call, 'axes that are equal or 1', `${formatShape(a)} against ${formatShape(b)}`);
  });
}
