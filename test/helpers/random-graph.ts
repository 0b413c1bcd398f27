import { randomStream } from '../../src/util/random.ts';
import type { Random } from '../../src/util/random.ts';
import type { Dim, Graph, Value } from '../../src/graph/index.ts';
import { GraphBuilder } from '../../src/graph/index.ts';

/** Lengths of the named axes. */
export interface AxisLengths {
  readonly batch: number;
  readonly position: number;
}

export interface RandomGraph {
  readonly graph: Graph;
  /** `[batch, position, 4]`. */
  readonly x: Float32Array;
}

/** Larger values take no part in ops that grow. */
const growthLimit = 400;

/**
 * A graph of random ops over one input, all accepted by the builder. With `outputs: 'all'` every value is an
 * output, so that each shape can be compared with the runtime's; with `'leaves'` only those that nothing uses,
 * so that the runtime is free to fuse.
 */
export function randomGraph(
  seed: number,
  steps: number,
  outputs: 'all' | 'leaves',
  lengths: AxisLengths,
): RandomGraph {
  const random = randomStream('random graph', seed);
  const maker = new GraphMaker(random, lengths);
  for (let step = 0; step < steps; step++) maker.step();
  const x = Float32Array.from({ length: lengths.batch * lengths.position * 4 }, () => random.normal());
  return { graph: maker.finish(outputs), x };
}

class GraphMaker {
  readonly #random: Random;
  readonly #lengths: AxisLengths;
  readonly #builder = new GraphBuilder('random');
  readonly #made: Value[] = [];
  readonly #used = new Set<Value>();
  readonly #input: Value;

  constructor(random: Random, lengths: AxisLengths) {
    this.#random = random;
    this.#lengths = lengths;
    this.#input = this.#builder.input('x', 'f32', ['batch', 'position', 4]);
  }

  step(): void {
    const kinds = [
      (x: Value) => this.#binary(x),
      (x: Value) => this.#unary(x),
      (x: Value) => this.#project(x),
      (x: Value) => this.#square(x),
      (x: Value) => this.#reduce(x),
      (x: Value) => this.#normalise(x),
      (x: Value) => this.#permute(x),
      (x: Value) => this.#reshape(x),
      (x: Value) => this.#axes(x),
      (x: Value) => this.#cut(x),
      (x: Value) => this.#join(x),
    ];
    const pool = [this.#input, ...this.#made];
    const x = pool[this.#below(pool.length)]!;
    const results = kinds[this.#below(kinds.length)]!(x);
    if (results.length > 0) this.#used.add(x);
    this.#made.push(...results);
  }

  finish(outputs: 'all' | 'leaves'): Graph {
    const wanted = this.#made.filter((value) => outputs === 'all' || !this.#used.has(value));
    if (wanted.length === 0) wanted.push(this.#builder.identity(this.#input));
    wanted.forEach((value, index) => this.#builder.output(`out.${index}`, value));
    return this.#builder.build();
  }

  #binary(x: Value): readonly Value[] {
    const partner = this.#partner(x);
    const op = (['add', 'sub', 'mul', 'div', 'min', 'max'] as const)[this.#below(6)]!;
    return [this.#coin() || op === 'div' ? this.#builder[op](x, partner) : this.#builder[op](partner, x)];
  }

  #unary(x: Value): readonly Value[] {
    const op = (['neg', 'sigmoid', 'silu', 'tanh', 'identity', 'exp', 'log', 'sqrt', 'reciprocal'] as const)[
      this.#below(9)
    ]!;
    const b = this.#builder;
    if (op === 'neg' || op === 'sigmoid' || op === 'silu' || op === 'tanh' || op === 'identity')
      return [b[op](x)];
    // Between 0.1 and 1, where these are defined and do not magnify rounding.
    const [sigmoid, floor] = [b.sigmoid(x), b.constant('floor', Float32Array.of(0.1), [])];
    const inside = b.max(sigmoid, floor);
    this.#used.add(sigmoid).add(inside);
    return [sigmoid, inside, b[op](inside)];
  }

  /** x times a constant matrix. */
  #project(x: Value): readonly Value[] {
    const width = x.type.shape.at(-1);
    if (x.type.shape.length < 2 || typeof width !== 'number') return [];
    const [columns, transposeB] = [1 + this.#below(5), this.#coin()];
    const matrix = this.#constant(transposeB ? [columns, width] : [width, columns]);
    const options = { transposeB, ...(this.#coin() && { alpha: 0.5 }) };
    return [this.#builder.matMul(x, matrix, options)];
  }

  /** x xᵀ or xᵀ x over the last two axes. */
  #square(x: Value): readonly Value[] {
    if (x.type.shape.length < 2 || this.#size(x) > growthLimit) return [];
    const options = this.#coin() ? { transposeA: true } : { transposeB: true };
    return [this.#builder.matMul(x, x, { ...options, alpha: 0.25 })];
  }

  #reduce(x: Value): readonly Value[] {
    const axes = x.type.shape.map((_, axis) => axis).filter(() => this.#coin());
    if (axes.length === 0) return [];
    const op = (['reduceSum', 'reduceMean', 'reduceMax'] as const)[this.#below(3)]!;
    const signed = axes.map((axis) => (this.#coin() ? axis : axis - x.type.shape.length));
    return [this.#builder[op](x, signed, { keepDims: this.#coin() })];
  }

  #normalise(x: Value): readonly Value[] {
    const rank = x.type.shape.length;
    const width = x.type.shape.at(-1);
    if (rank === 0) return [];
    if (this.#coin() && typeof width === 'number') {
      return [this.#builder.rmsNorm(x, this.#constant([width]), 1e-3)];
    }
    const op = this.#coin() ? 'softmax' : 'logSoftmax';
    return [this.#builder[op](x, this.#below(2 * rank) - rank)];
  }

  #permute(x: Value): readonly Value[] {
    const permutation = x.type.shape.map((_, axis) => axis);
    for (let last = permutation.length - 1; last > 0; last--) {
      const other = this.#below(last + 1);
      [permutation[last], permutation[other]] = [permutation[other]!, permutation[last]!];
    }
    return [this.#builder.transpose(x, permutation)];
  }

  /** Merges two neighbouring axes, or splits a numbered one. */
  #reshape(x: Value): readonly Value[] {
    const { shape } = x.type;
    const axis = this.#below(Math.max(1, shape.length - 1));
    const [dim, next] = [shape[axis], shape[axis + 1]];
    if (typeof dim === 'number' && dim % 2 === 0 && this.#coin()) {
      return this.#ifAccepted(() => this.#builder.reshape(x, shape.toSpliced(axis, 1, dim / 2, 2)));
    }
    if (dim === undefined || next === undefined) return [];
    const merged = typeof dim === 'number' && typeof next === 'number' ? dim * next : `${dim}*${next}`;
    return this.#ifAccepted(() => this.#builder.reshape(x, shape.toSpliced(axis, 2, merged)));
  }

  /** Adds an axis, repeats one, or drops one. */
  #axes(x: Value): readonly Value[] {
    const { shape } = x.type;
    const ones = shape.flatMap((dim, axis) => (dim === 1 ? [axis] : []));
    if (ones.length > 0 && this.#coin()) {
      const axis = ones[this.#below(ones.length)]!;
      if (this.#coin()) return [this.#builder.squeeze(x, [axis])];
      return [this.#builder.expand(x, shape.with(axis, 3))];
    }
    return shape.length < 5 ? [this.#builder.unsqueeze(x, [this.#below(shape.length + 1)])] : [];
  }

  #cut(x: Value): readonly Value[] {
    const { shape } = x.type;
    const axis = this.#below(Math.max(1, shape.length));
    const dim = shape[axis];
    if (typeof dim !== 'number' || dim < 2) return [];
    const at = 1 + this.#below(dim - 1);
    if (this.#coin()) return this.#builder.split(x, axis, [at, dim - at]);
    return [
      this.#coin() ? this.#builder.slice(x, axis, at, undefined) : this.#builder.slice(x, axis, -at - 1, -1),
    ].filter((value) => this.#size(value) > 0);
  }

  #join(x: Value): readonly Value[] {
    const { shape } = x.type;
    const axis = this.#below(Math.max(1, shape.length));
    if (typeof shape[axis] !== 'number' || this.#size(x) > growthLimit) return [];
    const other = this.#builder.neg(x);
    this.#used.add(other);
    return [other, this.#builder.concat([x, other, x], axis)];
  }

  /** A constant away from 0 that broadcasts with x. */
  #partner(x: Value): Value {
    const kept = x.type.shape.slice(this.#below(x.type.shape.length + 1));
    return this.#constant(kept.map((dim) => (typeof dim === 'string' || this.#coin() ? 1 : dim)));
  }

  #constant(shape: readonly number[]): Value {
    const length = shape.reduce((product, dim) => product * dim, 1);
    const data = Float32Array.from(
      { length },
      () => (this.#coin() ? 1 : -1) * (0.3 + this.#random.uniform()),
    );
    return this.#builder.constant(`constant.${this.#random.uniform()}`, data, shape);
  }

  /** Reshapes that move two named axes are refused by rule; such a step is left out. */
  #ifAccepted(make: () => Value): readonly Value[] {
    try {
      return [make()];
    } catch {
      return [];
    }
  }

  #size(x: Value): number {
    const length = (dim: Dim): number =>
      typeof dim === 'number'
        ? dim
        : dim
            .split('*')
            .reduce((size, name) => size * (Number(name) || this.#lengths[name as keyof AxisLengths]), 1);
    return x.type.shape.map(length).reduce((product, dim) => product * dim, 1);
  }

  #below(bound: number): number {
    return Math.floor(this.#random.uniform() * bound);
  }

  #coin(): boolean {
    return this.#random.uniform() < 0.5;
  }
}
