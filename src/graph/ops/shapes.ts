/** Ops that rearrange elements without looking at them. */

import type { Dim, TensorType } from '../types.ts';
import { formatShape } from '../types.ts';
import type { Attributes, NoAttributes, OnnxCall, OpCall, OpDefinition, OpTable } from './definition.ts';
import {
  operand,
  reject,
  requireDtype,
  requireShape,
  requireType,
  resolveAxes,
  resolveAxis,
} from './definition.ts';
import { planReshape } from './reshape.ts';

/** Ops of this file with their attributes. */
export type ShapeOps = {
  reshape: ShapeAttributes;
  expand: ShapeAttributes;
  transpose: TransposeAttributes;
  unsqueeze: AxesAttributes;
  squeeze: AxesAttributes;
  concat: ConcatAttributes;
  slice: SliceAttributes;
  split: SplitAttributes;
  pad: PadAttributes;
  shapeOf: NoAttributes;
  expandTo: ShapeAttributes;
  reshapeTo: ShapeAttributes;
};

/** The shape of the result. */
export type ShapeAttributes = { readonly shape: readonly Dim[] };
/** Axis `i` of the result is axis `permutation[i]` of the input. */
export type TransposeAttributes = { readonly permutation: readonly number[] };
/** Axes that are added or dropped. */
export type AxesAttributes = { readonly axes: readonly number[] };

/** Where parts are joined. */
export type ConcatAttributes = {
  readonly axis: number;
  /** Length of the joined axis, needed where a part's is named; the caller vouches for it. */
  readonly length?: Dim;
};

/** Which part of an axis is kept. */
export type SliceAttributes = {
  readonly axis: number;
  /** First index; negative counts from the end. */
  readonly start: number;
  /** Index after the last; negative counts from the end; default: the end of the axis. */
  readonly end?: number;
  /** Length of the result, needed where the axis is named; the caller vouches for it. */
  readonly length?: Dim;
};

/** Lengths of consecutive parts of an axis. */
export type SplitAttributes = { readonly axis: number; readonly sizes: readonly number[] };

/** Zeros before and after an axis. */
export type PadAttributes = {
  readonly axis: number;
  readonly before: number;
  readonly after: number;
  /** Length of the result, needed where the axis is named; the caller vouches for it. */
  readonly length?: Dim;
};

const reshape: OpDefinition<ShapeAttributes> = {
  infer(call) {
    const x = operand(call, 0, 'x');
    requireShape(call, call.attributes.shape);
    planReshape(call, x.shape, call.attributes.shape);
    return [{ dtype: x.dtype, shape: call.attributes.shape }];
  },
  onnx(call) {
    const { shape } = operand(call, 0, 'x');
    return { type: 'Reshape', constants: [planReshape(call, shape, call.attributes.shape)] };
  },
};

const expand: OpDefinition<ShapeAttributes> = {
  infer(call) {
    const x = operand(call, 0, 'x');
    const { shape } = call.attributes;
    requireShape(call, shape);
    const offset = shape.length - x.shape.length;
    const fits = shape.every((dim, axis) => {
      const from = axis < offset ? 1 : x.shape[axis - offset];
      return dim === from || (from === 1 && typeof dim === 'number');
    });
    if (offset < 0 || !fits) {
      reject(call, `a shape that ${formatShape(x.shape)} broadcasts to, named axes kept`, formatShape(shape));
    }
    return [{ dtype: x.dtype, shape }];
  },
  // ONNX keeps an axis whose target is 1.
  onnx: (call) => ({
    type: 'Expand',
    constants: [call.attributes.shape.map((dim) => (typeof dim === 'string' ? 1 : dim))],
  }),
};

const transpose: OpDefinition<TransposeAttributes> = {
  infer(call) {
    const x = operand(call, 0, 'x');
    const { permutation } = call.attributes;
    const sorted = [...permutation].sort((a, b) => a - b);
    if (sorted.length !== x.shape.length || sorted.some((axis, index) => axis !== index)) {
      reject(call, `a permutation of the ${x.shape.length} axes`, formatShape(permutation));
    }
    return [{ dtype: x.dtype, shape: permutation.map((axis) => x.shape[axis]!) }];
  },
  onnx: (call) => ({ type: 'Transpose', attributes: { perm: { ints: call.attributes.permutation } } }),
};

const unsqueeze: OpDefinition<AxesAttributes> = {
  infer(call) {
    const x = operand(call, 0, 'x');
    const axes = resolveAxes(call, call.attributes.axes, x.shape.length + call.attributes.axes.length);
    const shape = [...x.shape];
    for (const axis of axes) shape.splice(axis, 0, 1);
    return [{ dtype: x.dtype, shape }];
  },
  onnx: (call) => ({ type: 'Unsqueeze', constants: [call.attributes.axes] }),
};

const squeeze: OpDefinition<AxesAttributes> = {
  infer(call) {
    const x = operand(call, 0, 'x');
    const axes = resolveAxes(call, call.attributes.axes, x.shape.length);
    // ONNX reads an empty list as "every axis of length 1".
    if (axes.length === 0) reject(call, 'at least one axis', 'none');
    for (const axis of axes) {
      if (x.shape[axis] !== 1) reject(call, 'axes of length 1', `${x.shape[axis]} at axis ${axis}`);
    }
    return [{ dtype: x.dtype, shape: x.shape.filter((_, axis) => !axes.includes(axis)) }];
  },
  onnx: (call) => ({ type: 'Squeeze', constants: [call.attributes.axes] }),
};

const concat: OpDefinition<ConcatAttributes> = {
  infer(call) {
    const parts = call.inputs.map((_, index) => operand(call, index, `part ${index}`));
    const first = operand(call, 0, 'part 0');
    const axis = resolveAxis(call, call.attributes.axis, first.shape.length);
    for (const part of parts) requireLikeExcept(call, part, first, axis);
    const length = joinedLength(
      call,
      parts.map((part) => part.shape[axis]!),
    );
    return [{ dtype: first.dtype, shape: first.shape.with(axis, length) }];
  },
  onnx: (call) => ({ type: 'Concat', attributes: { axis: { int: call.attributes.axis } } }),
};

const slice: OpDefinition<SliceAttributes> = {
  infer(call) {
    const x = operand(call, 0, 'x');
    const { start, end } = call.attributes;
    const axis = resolveAxis(call, call.attributes.axis, x.shape.length);
    if (!Number.isInteger(start) || (end !== undefined && !Number.isInteger(end))) {
      reject(call, 'whole numbers as bounds', `${start} and ${end}`);
    }
    const length = slicedLength(call, x.shape[axis]!);
    return [{ dtype: x.dtype, shape: x.shape.with(axis, length) }];
  },
  onnx(call) {
    const { axis, start, end } = call.attributes;
    // Bounds beyond the axis are clamped by ONNX; this one reads "to the end".
    return { type: 'Slice', constants: [[start], [end ?? Number.MAX_SAFE_INTEGER], [axis]] };
  },
};

const split: OpDefinition<SplitAttributes> = {
  infer(call) {
    const x = operand(call, 0, 'x');
    const { sizes } = call.attributes;
    requireShape(call, sizes);
    const axis = resolveAxis(call, call.attributes.axis, x.shape.length);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (sizes.length === 0 || total !== x.shape[axis]) {
      reject(call, `sizes that add up to ${x.shape[axis]}`, formatShape(sizes));
    }
    return sizes.map((size): TensorType => ({ dtype: x.dtype, shape: x.shape.with(axis, size) }));
  },
  onnx: (call) => ({
    type: 'Split',
    attributes: { axis: { int: call.attributes.axis } },
    constants: [call.attributes.sizes],
  }),
};

const pad: OpDefinition<PadAttributes> = {
  infer(call) {
    const x = operand(call, 0, 'x');
    const { before, after, length } = call.attributes;
    requireDtype(call, x, 'x', ['f32', 'f16', 'f64', 'i32', 'i64']);
    requireShape(call, [before, after]);
    const axis = resolveAxis(call, call.attributes.axis, x.shape.length);
    const size = x.shape[axis]!;
    if (typeof size === 'string' && length === undefined) {
      return reject(call, `a \`length\` for the result, since axis ${size} is named`, 'none');
    }
    const padded = typeof size === 'string' ? length! : before + size + after;
    if (length !== undefined && length !== padded) reject(call, `\`length\` ${padded}`, String(length));
    return [{ dtype: x.dtype, shape: x.shape.with(axis, padded) }];
  },
  onnx(call) {
    const rank = operand(call, 0, 'x').shape.length;
    const axis = resolveAxis(call, call.attributes.axis, rank);
    const { before, after } = call.attributes;
    const around = (count: number): readonly number[] =>
      Array.from({ length: rank }, (_, at) => (at === axis ? count : 0));
    return { type: 'Pad', constants: [[...around(before), ...around(after)]] };
  },
};

const shapeOf: OpDefinition<NoAttributes> = {
  infer: (call) => [{ dtype: 'i64', shape: [operand(call, 0, 'x').shape.length] }],
  onnx: () => ({ type: 'Shape' }),
};

/** The result has the lengths of an i64 vector, known when the graph runs; `shape` says what they are called. */
function toLengths(onnx: OnnxCall): OpDefinition<ShapeAttributes> {
  return {
    infer(call) {
      const x = operand(call, 0, 'x');
      const { shape } = call.attributes;
      requireShape(call, shape);
      requireType(call, operand(call, 1, 'lengths'), 'lengths', { dtype: 'i64', shape: [shape.length] });
      return [{ dtype: x.dtype, shape }];
    },
    onnx: () => onnx,
  };
}

/** Definitions of this file's ops. */
export const shapeOps: OpTable<ShapeOps> = {
  reshape,
  expand,
  transpose,
  unsqueeze,
  squeeze,
  concat,
  slice,
  split,
  pad,
  shapeOf,
  expandTo: toLengths({ type: 'Expand' }),
  // A length 0 is a length, not "copy the input's".
  reshapeTo: toLengths({ type: 'Reshape', attributes: { allowzero: { int: 1 } } }),
};

function requireLikeExcept(
  call: OpCall<Attributes>,
  part: TensorType,
  first: TensorType,
  axis: number,
): void {
  const fits =
    part.dtype === first.dtype &&
    part.shape.length === first.shape.length &&
    part.shape.every((dim, index) => index === axis || dim === first.shape[index]);
  if (!fits) {
    const wanted = `${first.dtype}${formatShape(first.shape.with(axis, '_'))}`;
    reject(call, `parts like ${wanted}`, `${part.dtype}${formatShape(part.shape)}`);
  }
}

function joinedLength(call: OpCall<ConcatAttributes>, lengths: readonly Dim[]): Dim {
  const { length } = call.attributes;
  let sum = 0;
  for (const part of lengths) {
    if (typeof part === 'number') sum += part;
    else if (lengths.length === 1) return part;
    else if (length !== undefined) return length;
    else return reject(call, 'a `length` for the joined axis, since a part of it is named', 'none');
  }
  if (length !== undefined && length !== sum) reject(call, `\`length\` ${sum}`, String(length));
  return sum;
}

function slicedLength(call: OpCall<SliceAttributes>, size: Dim): Dim {
  const { start, end, length } = call.attributes;
  if (typeof size === 'string') {
    return length ?? reject(call, `a \`length\` for the result, since axis ${size} is named`, 'none');
  }
  const bound = (index: number): number => Math.min(Math.max(index < 0 ? index + size : index, 0), size);
  const actual = Math.max(0, bound(end ?? size) - bound(start));
  if (length !== undefined && length !== actual) reject(call, `\`length\` ${actual}`, String(length));
  return actual;
}
