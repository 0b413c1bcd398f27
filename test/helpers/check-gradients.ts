import type { Graph, Value } from '../../src/graph/index.ts';
import { GraphBuilder, gradients, printGraph } from '../../src/graph/index.ts';
import { evaluateNaively, type NaiveTensor } from './naive-graph.ts';
import { runGraph, type Tensor } from './run-graph.ts';

/** A graph whose outputs are to be differentiated. */
export interface Differentiable {
  /** Inputs by name; those with `Float32Array`s are differentiated. */
  readonly feeds: Readonly<Record<string, Tensor>>;
  /** Types of the inputs, where they are not the feeds' own numbers. */
  readonly shapes?: Readonly<Record<string, readonly (number | string)[]>>;
  /** Lengths of named axes. */
  readonly names?: Readonly<Record<string, number>>;
  readonly define: (g: GraphBuilder, inputs: Readonly<Record<string, Value>>) => Value | readonly Value[];
}

/** Error of a few dozen fp32 steps, as a share of a tensor's largest number. */
const runtimeTolerance = 3e-5;
/** Half the step of the central differences; their error is of its square, in Float64. */
const step = 1e-5;
const differenceTolerance = 1e-7;

/**
 * Differentiates a loss that weighs every element of every result differently, and compares with central differences in
 * Float64 and with the runtime. Says what differs.
 */
export async function gradientErrors(problem: Differentiable): Promise<readonly string[]> {
  const { graph, names, numbers } = build(problem);
  const expected = evaluateNaively(graph, numbers, names);
  const got = await runGraph(graph, problem.feeds);
  const errors: string[] = [];
  for (const { name } of graph.outputs) {
    if (String(got[name]!.dims) !== String(expected[name]!.dims))
      errors.push(`shape of ${name}: ${String(got[name]!.dims)}, not ${String(expected[name]!.dims)}`);
    compare(errors, `${name} in the runtime`, got[name]!.data, expected[name]!.data, runtimeTolerance);
  }
  for (const name of Object.keys(numbers)) {
    const gradient = expected[`d.${name}`];
    if (gradient === undefined) continue;
    compare(
      errors,
      `d.${name}`,
      gradient.data,
      differences(graph, numbers, name, names),
      differenceTolerance,
    );
  }
  return errors.length === 0 ? [] : [...errors, printGraph(graph)];
}

interface Problem {
  readonly graph: Graph;
  readonly numbers: Readonly<Record<string, Float64Array>>;
  readonly names: Readonly<Record<string, number>>;
}

function build({ feeds, shapes = {}, names = {}, define }: Differentiable): Problem {
  const g = new GraphBuilder('gradients');
  const inputs = Object.fromEntries(
    Object.entries(feeds).map(([name, { dims, data }]) => {
      const dtype = data instanceof Float32Array ? 'f32' : data instanceof BigInt64Array ? 'i64' : 'i32';
      return [name, g.input(name, dtype, shapes[name] ?? dims)];
    }),
  );
  const results = [define(g, inputs)].flat();
  const loss = results
    .map((value, index) => weighed(g, value, index))
    .reduce((sum, part) => g.add(sum, part));
  const wrt = Object.values(inputs).filter((value) => value.type.dtype === 'f32');
  gradients(g, loss, wrt).forEach((value, index) => g.output(`d.${wrt[index]!.name}`, value));
  g.output('loss', loss);
  const numbers = Object.fromEntries(
    Object.entries(feeds).map(([name, { data }]) => [name, Float64Array.from(data, Number)]),
  );
  return { graph: g.build(), numbers, names };
}

/** A number to which each element of a value contributes with its own slope, so that no two gradients are alike. */
function weighed(g: GraphBuilder, value: Value, index: number): Value {
  const { shape } = value.type;
  const total = (x: Value): Value =>
    x.type.shape.length === 0
      ? x
      : g.reduceSum(
          x,
          x.type.shape.map((_, axis) => axis),
          { keepDims: false },
        );
  // Named axes get one weight; numbered ones a different weight each.
  const dims = shape.map((dim) => (typeof dim === 'string' ? 1 : dim));
  const count = dims.reduce((product, dim) => product * dim, 1);
  const data = Float32Array.from({ length: count }, (_, i) => Math.cos(2.3 * i + index) + 0.1);
  const weights = g.constant(`weights.${index}`, data, dims);
  return total(g.mul(g.add(value, scaledSquare(g, value)), weights));
}

/** Makes the slope depend on the element itself, along named axes too. */
function scaledSquare(g: GraphBuilder, value: Value): Value {
  return g.mul(g.mul(value, value), g.constant('slope', Float32Array.of(0.3), []));
}

function differences(
  graph: Graph,
  numbers: Readonly<Record<string, Float64Array>>,
  name: string,
  names: Readonly<Record<string, number>>,
): Float64Array {
  const lossOnly = only(graph, 'loss');
  const lossAt = (at: number, offset: number): number => {
    const moved = Float64Array.from(numbers[name]!);
    moved[at]! += offset;
    return (evaluateNaively(lossOnly, { ...numbers, [name]: moved }, names)['loss'] as NaiveTensor).data[0]!;
  };
  return numbers[name]!.map((_, at) => (lossAt(at, step) - lossAt(at, -step)) / (2 * step));
}

/** The graph of one output. */
function only(graph: Graph, name: string): Graph {
  const outputs = graph.outputs.filter((value) => value.name === name);
  const needed = new Set<Value | null>(outputs);
  const nodes = graph.nodes.toReversed().filter((node) => {
    const isNeeded = node.outputs.some((value) => needed.has(value));
    if (isNeeded) for (const value of node.inputs) needed.add(value);
    return isNeeded;
  });
  return { ...graph, nodes: nodes.toReversed(), outputs };
}

function compare(
  errors: string[],
  what: string,
  got: ArrayLike<number | bigint>,
  expected: Float64Array,
  tolerance: number,
): void {
  const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 1);
  expected.forEach((x, at) => {
    const error = Math.abs(Number(got[at]) - x) / largest;
    // NaN counts as wrong.
    if (!(error <= tolerance)) errors.push(`${what}, element ${at}: ${got[at]}, not ${x}`);
  });
}
