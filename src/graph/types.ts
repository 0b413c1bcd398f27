/**
 * The vocabulary of the graph language: tensor types, values, nodes, graphs. All of it is plain immutable
 * data, so that printing, verifying, writing and differentiating are functions over it.
 */

import type { Attributes, OpName } from './ops/registry.ts';

/** Element types; `u8` also carries packed quantised weights. */
export type DataType = 'f32' | 'f16' | 'bf16' | 'f64' | 'i32' | 'i64' | 'u8' | 'bool';

/**
 * Length of an axis. A string names a length known only at run time and equals only itself; factors may be
 * joined by `*` (`batch*position`, `2*position`), which only `reshape` takes apart.
 */
export type Dim = number | string;

/** Element type and axis lengths of a tensor. */
export interface TensorType {
  readonly dtype: DataType;
  readonly shape: readonly Dim[];
}

/** A tensor that is made once: by the caller (input), by data (initialiser) or by a node. */
export interface Value {
  /** Position in the order of making, from 0; unique in its graph. */
  readonly id: number;
  /** Unique in its graph; of an input or output, the name under which the runtime feeds or fetches it. */
  readonly name: string;
  readonly type: TensorType;
}

/** One operation; an absent optional input is `null`. */
export interface GraphNode {
  readonly op: OpName;
  readonly inputs: readonly (Value | null)[];
  readonly outputs: readonly Value[];
  readonly attributes: Attributes;
}

/** Arrays that a constant can hold; the element type follows: f32, f64, i64, i32, u8. */
export type ConstantData = Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array;

/** Bytes inside a file, row-major and little-endian; any offset, aligned or not. */
export interface FileRange {
  /** Absolute path. */
  readonly file: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** A constant held in memory. */
export interface InlineInitializer {
  readonly value: Value;
  readonly data: ConstantData;
}

/** A constant that stays in its file until the runtime reads it. */
export interface ExternalInitializer extends FileRange {
  readonly value: Value;
}

/** A value whose numbers are known before the graph runs. */
export type Initializer = InlineInitializer | ExternalInitializer;

/** A finished graph; nodes stand in an order in which they can run. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly initializers: readonly Initializer[];
  readonly nodes: readonly GraphNode[];
  readonly outputs: readonly Value[];
}

/** Bytes of one element. */
export const elementSize: Readonly<Record<DataType, number>> = {
  f32: 4,
  f16: 2,
  bf16: 2,
  f64: 8,
  i32: 4,
  i64: 8,
  u8: 1,
  bool: 1,
};

/** Number of elements, or undefined if an axis is named. */
export function elementCount(shape: readonly Dim[]): number | undefined {
  let count = 1;
  for (const dim of shape) {
    if (typeof dim === 'string') return undefined;
    count *= dim;
  }
  return count;
}

/** Whether two shapes are equal axis by axis. */
function sameShape(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

/** Whether element type and shape are equal. */
export function sameType(a: TensorType, b: TensorType): boolean {
  return a.dtype === b.dtype && sameShape(a.shape, b.shape);
}

/** `[batch, position, 64]`. */
export function formatShape(shape: readonly Dim[]): string {
  return `[${shape.join(', ')}]`;
}

/** `f32[batch, position, 64]`. */
export function formatType(type: TensorType): string {
  return `${type.dtype}${formatShape(type.shape)}`;
}

/** `%12 block.3/query: f32[batch, position, 64]`. */
export function formatValue(value: Value): string {
  return `%${value.id} ${value.name}: ${formatType(value.type)}`;
}

/** The element type that a typed array stands for. */
export function dataTypeOf(data: ConstantData): DataType {
  if (data instanceof Float32Array) return 'f32';
  if (data instanceof Float64Array) return 'f64';
  if (data instanceof BigInt64Array) return 'i64';
  if (data instanceof Int32Array) return 'i32';
  return 'u8';
}
