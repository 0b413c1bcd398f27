/** What a gradient rule is given and gives back, and the steps that rules share. */

import { GraphError } from '../../errors.ts';
import type { GraphBuilder } from '../graph.ts';
import type { Attributes } from '../ops/definition.ts';
import type { DataType, Dim, GraphNode, Value } from '../types.ts';
import { formatShape } from '../types.ts';

/** A node on the way back: its values, and the gradients of the loss with respect to its results. */
export interface BackwardCall<A extends Attributes = Attributes> {
  readonly g: GraphBuilder;
  readonly node: GraphNode;
  readonly attributes: A;
  /** The value of input `index`; use `node.inputs` where only its type is asked for. */
  readonly input: (index: number) => Value;
  /** The value of result `index`, default 0. */
  readonly output: (index?: number) => Value;
  /** Whether the loss depends on result `index`. */
  readonly reaches: (index: number) => boolean;
  /** The gradient of result `index` (default 0), in the result's shape; zeros where the loss does not depend on it. */
  readonly gradient: (index?: number) => Value;
  /** As `gradient` of result 0, but axes along which it does not vary may have length 1. */
  readonly compactGradient: () => Value;
  /** Makes a value once for all rules of a `gradients` call, under a key of the rule's own. */
  readonly shared: (key: string, of: Value, make: () => Value) => Value;
}

/** Adds to the gradient of an input; `sum` is what others gave so far, null for nothing. */
export interface Scatter {
  addTo(sum: Value | null): Value;
}

/** The gradient of one input by way of this node, made only where it is asked for. */
export type Contribution = (() => Value) | Scatter;

/** The gradients of a node's inputs, in their order; inputs that are no floats are never asked for. */
export type GradientRule<A extends Attributes = Attributes> = (
  call: BackwardCall<A>,
) => readonly (Contribution | undefined)[];

/** `constant`: the result is a constant to differentiation, so nothing flows back through it. */
export type OpGradient<A extends Attributes = Attributes> = GradientRule<A> | 'constant';

/** Rules keyed by op name; an op without one is a compile error. */
export type GradientTable<Ops extends Readonly<Record<string, Attributes>>> = {
  readonly [Name in keyof Ops]: OpGradient<Ops[Name]>;
};

/** Refuses to differentiate; `advice` completes the sentence "…: expected …". */
export function refuseGradient(node: GraphNode, why: string, advice: string): never {
  const name = node.outputs[0]!.name;
  throw new GraphError(`Gradient of ${node.op} (${name}): ${why}; expected ${advice}.`, {
    details: { op: node.op, node: name },
  });
}

/** Whether gradients exist for an element type. */
export function isFloat(dtype: DataType): boolean {
  return dtype === 'f32' || dtype === 'f16' || dtype === 'bf16' || dtype === 'f64';
}

/** A scalar `[]` of an element type. */
export function scalar(g: GraphBuilder, number: number, dtype: DataType): Value {
  if (dtype === 'f64') return g.constant(`${number}.f64`, Float64Array.of(number), []);
  const value = g.constant(String(number), Float32Array.of(number), []);
  return dtype === 'f32' ? value : g.cast(value, dtype);
}

/** `x` times a number. */
export function scaled(g: GraphBuilder, x: Value, factor: number): Value {
  return factor === 1 ? x : g.mul(x, scalar(g, factor, x.type.dtype));
}

/** Repeats axes of length 1 until x has the shape of `like`. */
export function expandLike(g: GraphBuilder, x: Value, like: Value): Value {
  const { shape } = like.type;
  if (sameDims(x.type.shape, shape)) return x;
  const missing = shape.length - x.type.shape.length;
  const isKnown = shape.every((dim, axis) => typeof dim === 'number' || dim === x.type.shape[axis - missing]);
  return isKnown ? g.expand(x, shape) : g.expandTo(x, g.shapeOf(like), shape);
}

/** Zeros in the type of `like`. */
export function zerosLike(g: GraphBuilder, like: Value): Value {
  return expandLike(g, scalar(g, 0, like.type.dtype), like);
}

/** The elements of x in the shape of `like`. */
export function reshapeLike(g: GraphBuilder, x: Value, like: Value, canReshape: boolean): Value {
  const { shape } = like.type;
  if (sameDims(x.type.shape, shape)) return x;
  return canReshape ? g.reshape(x, shape) : g.reshapeTo(x, g.shapeOf(like), shape);
}

/**
 * 0 as a scalar `[]` that cannot be computed before x: added to an input of a node, it holds the node back until x
 * exists. Not a number where x begins with something infinite.
 */
export function nothingOf(g: GraphBuilder, x: Value): Value {
  let first = x;
  x.type.shape.forEach((dim, axis) => {
    if (dim !== 1) first = g.slice(first, axis, 0, 1, typeof dim === 'number' ? {} : { length: 1 });
  });
  const alone = first.type.shape.length === 0 ? first : g.reshape(first, []);
  return g.mul(alone, scalar(g, 0, x.type.dtype));
}

/** Sums what broadcasting repeated: back from a broadcast shape to `shape`. */
export function sumTo(g: GraphBuilder, x: Value, shape: readonly Dim[]): Value {
  const from = x.type.shape;
  if (sameDims(from, shape)) return x;
  const added = from.length - shape.length;
  const leading = Array.from({ length: added }, (_, axis) => axis);
  const repeated = from.flatMap((dim, axis) =>
    axis >= added && shape[axis - added] === 1 && dim !== 1 ? [axis] : [],
  );
  if (repeated.length === 0) return g.reduceSum(x, leading, { keepDims: false });
  const summed = g.reduceSum(x, [...leading, ...repeated]);
  return added === 0 ? summed : g.squeeze(summed, leading);
}

/** Whether two shapes are equal axis by axis. */
export function sameDims(a: readonly Dim[], b: readonly Dim[]): boolean {
  return formatShape(a) === formatShape(b);
}

/** The length of several axes joined into one. */
export function joinedAxes(dims: readonly Dim[]): Dim {
  const number = dims.reduce<number>(
    (product, dim) => (typeof dim === 'number' ? product * dim : product),
    1,
  );
  const names = dims.filter((dim) => typeof dim === 'string');
  if (names.length === 0) return number;
  return number === 1 ? names.join('*') : [number, ...names].join('*');
}

/** Axis counted from the front; negative ones count from the back. */
export function fromFront(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** Runs `make` at the first call only. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
