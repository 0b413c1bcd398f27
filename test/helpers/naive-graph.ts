/**
 * The graph language evaluated in the slowest, most obvious way: one element at a time in Float64, each
 * element of a result as a formula of its index. The oracle of the runtime's results in tests.
 */

import type {
  ConcatAttributes,
  PadAttributes,
  SliceAttributes,
  SplitAttributes,
} from '../../src/graph/ops/shapes.ts';
import type { MatMulNBitsAttributes } from '../../src/graph/ops/quantised.ts';
import type { Attributes, Dim, Graph, GraphNode, Value } from '../../src/graph/index.ts';

/** Row-major numbers. */
export interface NaiveTensor {
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

type Index = readonly number[];
type Rule = (
  inputs: readonly NaiveTensor[],
  node: GraphNode,
  length: (dim: Dim) => number,
) => readonly NaiveTensor[];

/** Runs a graph; `names` gives the named axes their lengths. */
export function evaluateNaively(
  graph: Graph,
  feeds: Readonly<Record<string, ArrayLike<number>>>,
  names: Readonly<Record<string, number>>,
): Record<string, NaiveTensor> {
  const length = (dim: Dim): number =>
    typeof dim === 'number'
      ? dim
      : dim.split('*').reduce((product, name) => product * (names[name] ?? Number(name)), 1);
  const values = new Map<Value, NaiveTensor>();
  for (const value of graph.inputs) {
    values.set(value, { dims: value.type.shape.map(length), data: Float64Array.from(feeds[value.name]!) });
  }
  for (const initializer of graph.initializers) {
    if (!('data' in initializer)) throw new Error('the naive evaluation reads no files');
    const { value, data } = initializer;
    values.set(value, { dims: value.type.shape.map(length), data: Float64Array.from(data, Number) });
  }
  for (const node of graph.nodes) {
    const rule = rules[node.op];
    if (rule === undefined) throw new Error(`the naive evaluation has no ${node.op}`);
    const results = rule(
      node.inputs.map((value) => values.get(value!)!),
      node,
      length,
    );
    node.outputs.forEach((value, index) => values.set(value, results[index]!));
  }
  return Object.fromEntries(graph.outputs.map((value) => [value.name, values.get(value)!]));
}

const rules: Readonly<Record<string, Rule>> = {
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b),
  div: binary((a, b) => a / b),
  min: binary(Math.min),
  max: binary(Math.max),
  neg: unary((x) => -x),
  exp: unary(Math.exp),
  log: unary(Math.log),
  sqrt: unary(Math.sqrt),
  reciprocal: unary((x) => 1 / x),
  sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  silu: unary((x) => x / (1 + Math.exp(-x))),
  tanh: unary(Math.tanh),
  identity: unary((x) => x),
  stopGradient: unary((x) => x),
  cast: unary((x) => x),
  greaterOrEqual: binary((a, b) => Number(a >= b)),
  where: ([condition, x, y]) => [
    fill(broadcastDims(broadcastDims(condition!.dims, x!.dims), y!.dims), (at) =>
      readBroadcast(readBroadcast(condition!, at) === 0 ? y! : x!, at),
    ),
  ],
  matMul,
  matMulNBits: ([x, q, scales], node) => {
    const { N, blockSize } = node.attributes as Attributes & MatMulNBitsAttributes;
    const weight = (row: number, column: number): number => {
      const block = row * q!.dims[1]! + Math.floor(column / blockSize);
      return (q!.data[block * blockSize + (column % blockSize)]! - 128) * scales!.data[block]!;
    };
    const width = x!.dims.at(-1)!;
    return [
      fill([...x!.dims.slice(0, -1), N], (at) => {
        let sum = 0;
        for (let k = 0; k < width; k++) sum += read(x!, [...at.slice(0, -1), k]) * weight(at.at(-1)!, k);
        return sum;
      }),
    ];
  },
  dequantise: ([q, scales, zeroPoints]) => [
    fill(q!.dims, (at) => (read(q!, at) - readBroadcast(zeroPoints!, at)) * readBroadcast(scales!, at)),
  ],
  gather: ([table, ids]) => {
    const dims = [...ids!.dims, ...table!.dims.slice(1)];
    const rank = ids!.dims.length;
    return [fill(dims, (at) => read(table!, [read(ids!, at.slice(0, rank)), ...at.slice(rank)]))];
  },
  gatherRows: ([x, index]) => {
    const [batch, query] = index!.dims as [number, number, number];
    return [
      fill([batch, query, ...x!.dims.slice(2)], ([b, q, ...rest]) =>
        read(x!, [b!, read(index!, [b!, q!, 0]), ...rest]),
      ),
    ];
  },
  gatherElements: ([x, index], node) => {
    const axis = fromFront(Number(node.attributes['axis']), x!);
    return [fill(index!.dims, (at) => read(x!, at.with(axis, read(index!, at))))];
  },
  scatterAdd: ([x, index, updates], node) => {
    const axis = fromFront(Number(node.attributes['axis']), x!);
    const data = Float64Array.from(x!.data);
    for (let offset = 0; offset < updates!.data.length; offset++) {
      const at = indexOf(offset, updates!.dims);
      data[offsetOf(x!, at.with(axis, read(index!, at)))]! += updates!.data[offset]!;
    }
    return [{ dims: x!.dims, data }];
  },
  rotaryEmbedding: rotated,
  rmsNorm: ([x, gain], node) => [rmsNorm(x!, gain!, Number(node.attributes['epsilon']))],
  addRmsNorm: ([x, skip, gain], node) => {
    const sum = fill(x!.dims, (at) => read(x!, at) + read(skip!, at));
    return [rmsNorm(sum, gain!, Number(node.attributes['epsilon'])), sum];
  },
  reshape: reshaped,
  reshapeTo: reshaped,
  unsqueeze: reshaped,
  squeeze: reshaped,
  expand: expanded,
  expandTo: expanded,
  shapeOf: ([x]) => [{ dims: [x!.dims.length], data: Float64Array.from(x!.dims) }],
  pad: ([x], node) => {
    const { axis, before, after } = node.attributes as Attributes & PadAttributes;
    const along = fromFront(axis, x!);
    const size = x!.dims[along]!;
    return [
      fill(x!.dims.with(along, before + size + after), (at) => {
        const from = at[along]! - before;
        return from < 0 || from >= size ? 0 : read(x!, at.with(along, from));
      }),
    ];
  },
  transpose: ([x], node) => {
    const permutation = node.attributes['permutation'] as readonly number[];
    return [
      fill(
        permutation.map((axis) => x!.dims[axis]!),
        (at) => {
          const from: number[] = [];
          permutation.forEach((axis, index) => {
            from[axis] = at[index]!;
          });
          return read(x!, from);
        },
      ),
    ];
  },
  concat,
  slice: ([x], node) => {
    const { axis, start, end } = node.attributes as Attributes & SliceAttributes;
    const along = fromFront(axis, x!);
    const size = x!.dims[along]!;
    const kept = Array.from({ length: size }, (_, i) => i).slice(start, end ?? size);
    return [fill(x!.dims.with(along, kept.length), (at) => read(x!, at.with(along, kept[at[along]!]!)))];
  },
  split: ([x], node) => {
    const { axis, sizes } = node.attributes as Attributes & SplitAttributes;
    const along = fromFront(axis, x!);
    return sizes.map((size, part) => {
      const start = sizes.slice(0, part).reduce((sum, other) => sum + other, 0);
      return fill(x!.dims.with(along, size), (at) => read(x!, at.with(along, start + at[along]!)));
    });
  },
  reduceSum: reduce((group) => group.reduce((sum, x) => sum + x, 0)),
  reduceMean: reduce((group) => group.reduce((sum, x) => sum + x, 0) / group.length),
  reduceMax: reduce((group) => Math.max(...group)),
  softmax: alongAxis((x, group) => Math.exp(x) / group.reduce((sum, other) => sum + Math.exp(other), 0)),
  logSoftmax: alongAxis((x, group) => x - Math.log(group.reduce((sum, other) => sum + Math.exp(other), 0))),
};

function fill(dims: readonly number[], at: (index: Index) => number): NaiveTensor {
  const data = new Float64Array(dims.reduce((product, dim) => product * dim, 1));
  for (let offset = 0; offset < data.length; offset++) data[offset] = at(indexOf(offset, dims));
  return { dims, data };
}

function indexOf(offset: number, dims: readonly number[]): Index {
  const index: number[] = [];
  for (let axis = dims.length - 1, rest = offset; axis >= 0; axis--) {
    index[axis] = rest % dims[axis]!;
    rest = Math.floor(rest / dims[axis]!);
  }
  return index;
}

function offsetOf(tensor: NaiveTensor, index: Index): number {
  return index.reduce((offset, at, axis) => offset * tensor.dims[axis]! + at, 0);
}

function read(tensor: NaiveTensor, index: Index): number {
  return tensor.data[offsetOf(tensor, index)]!;
}

/** Reads a tensor as if it were broadcast to the shape that `index` walks. */
function readBroadcast(tensor: NaiveTensor, index: Index): number {
  const aligned = index.slice(index.length - tensor.dims.length);
  return read(
    tensor,
    aligned.map((at, axis) => (tensor.dims[axis] === 1 ? 0 : at)),
  );
}

function broadcastDims(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    return left === 1 ? (b[axis - rank + b.length] ?? 1) : left;
  });
}

function fromFront(axis: number, x: NaiveTensor): number {
  return axis < 0 ? axis + x.dims.length : axis;
}

function binary(formula: (a: number, b: number) => number): Rule {
  return ([a, b]) => [
    fill(broadcastDims(a!.dims, b!.dims), (at) => formula(readBroadcast(a!, at), readBroadcast(b!, at))),
  ];
}

function unary(formula: (x: number) => number): Rule {
  return ([x]) => [{ dims: x!.dims, data: x!.data.map(formula) }];
}

function reshaped([x]: readonly NaiveTensor[], node: GraphNode, length: (dim: Dim) => number): NaiveTensor[] {
  return [{ dims: node.outputs[0]!.type.shape.map(length), data: x!.data }];
}

function expanded([x]: readonly NaiveTensor[], node: GraphNode, length: (dim: Dim) => number): NaiveTensor[] {
  return [fill(node.outputs[0]!.type.shape.map(length), (at) => readBroadcast(x!, at))];
}

function rotated([x, positions, cos, sin]: readonly NaiveTensor[], node: GraphNode): NaiveTensor[] {
  const headSize = x!.dims[2]! / Number(node.attributes['heads']);
  const half = headSize / 2;
  return [
    fill(x!.dims, ([row, position, column]) => {
      const within = column! % headSize;
      const angle = [read(positions!, [row!, position!]), within % half];
      const partner = within < half ? column! + half : column! - half;
      const turned = (within < half ? -1 : 1) * read(x!, [row!, position!, partner]);
      return read(x!, [row!, position!, column!]) * read(cos!, angle) + turned * read(sin!, angle);
    }),
  ];
}

function matMul([a, b]: readonly NaiveTensor[], node: GraphNode): NaiveTensor[] {
  const { transposeA, transposeB, alpha } = node.attributes;
  const left = transposeA === true ? swapped(a!) : a!;
  const right = transposeB === true ? swapped(b!) : b!;
  const inner = left.dims.at(-1)!;
  const batch = broadcastDims(left.dims.slice(0, -2), right.dims.slice(0, -2));
  const factor = alpha === undefined ? 1 : Number(alpha);
  return [
    fill([...batch, left.dims.at(-2)!, right.dims.at(-1)!], (at) => {
      const [row, column] = [at.at(-2)!, at.at(-1)!];
      const before = at.slice(0, -2);
      let sum = 0;
      for (let k = 0; k < inner; k++) {
        sum += readBroadcastMatrix(left, before, row, k) * readBroadcastMatrix(right, before, k, column);
      }
      return factor * sum;
    }),
  ];
}

function readBroadcastMatrix(x: NaiveTensor, batch: Index, row: number, column: number): number {
  const rank = x.dims.length - 2;
  const aligned = batch.slice(batch.length - rank).map((at, axis) => (x.dims[axis] === 1 ? 0 : at));
  return read(x, [...aligned, row, column]);
}

function swapped(x: NaiveTensor): NaiveTensor {
  const dims = [...x.dims.slice(0, -2), x.dims.at(-1)!, x.dims.at(-2)!];
  return fill(dims, (at) => read(x, [...at.slice(0, -2), at.at(-1)!, at.at(-2)!]));
}

function rmsNorm(x: NaiveTensor, gain: NaiveTensor, epsilon: number): NaiveTensor {
  const width = x.dims.at(-1)!;
  return fill(x.dims, (at) => {
    let square = 0;
    for (let i = 0; i < width; i++) square += read(x, [...at.slice(0, -1), i]) ** 2;
    return (read(x, at) / Math.sqrt(square / width + epsilon)) * read(gain, [at.at(-1)!]);
  });
}

function concat(parts: readonly NaiveTensor[], node: GraphNode): NaiveTensor[] {
  const { axis } = node.attributes as Attributes & ConcatAttributes;
  const along = fromFront(axis, parts[0]!);
  const places = parts.flatMap((part) =>
    Array.from({ length: part.dims[along]! }, (_, at) => ({ part, at })),
  );
  return [
    fill(parts[0]!.dims.with(along, places.length), (index) => {
      const { part, at } = places[index[along]!]!;
      return read(part, index.with(along, at));
    }),
  ];
}

function reduce(fold: (group: readonly number[]) => number): Rule {
  return ([x], node) => {
    const axes = (node.attributes['axes'] as readonly number[]).map((axis) => fromFront(axis, x!));
    const kept = x!.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
    const folded = x!.dims.map((dim, axis) => (axes.includes(axis) ? dim : 1));
    const count = folded.reduce((product, dim) => product * dim, 1);
    const full = fill(kept, (at) =>
      fold(
        Array.from({ length: count }, (_, offset) => {
          const inside = indexOf(offset, folded);
          return read(
            x!,
            at.map((index, axis) => index + inside[axis]!),
          );
        }),
      ),
    );
    if (node.attributes['keepDims'] === true) return [full];
    return [{ dims: kept.filter((_, axis) => !axes.includes(axis)), data: full.data }];
  };
}

function alongAxis(formula: (x: number, group: readonly number[]) => number): Rule {
  return ([x], node) => {
    const axis = fromFront(Number(node.attributes['axis']), x!);
    const size = x!.dims[axis]!;
    return [
      fill(x!.dims, (at) => {
        const group = Array.from({ length: size }, (_, i) => read(x!, at.with(axis, i)));
        return formula(read(x!, at), group);
      }),
    ];
  };
}
