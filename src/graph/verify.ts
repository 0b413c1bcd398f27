import { isAbsolute } from 'node:path';
import { GraphError } from '../errors.ts';
import { isShape } from './ops/definition.ts';
import { operations } from './ops/registry.ts';
import { formatNode } from './print.ts';
import type { Graph, GraphNode, Initializer, TensorType, Value } from './types.ts';
import { dataTypeOf, elementCount, elementSize, formatType, formatValue, sameType } from './types.ts';

/** What a check lets pass. */
export interface VerifyOptions {
  /** Accept nodes and initialisers that no output needs. The runtime executes every node all the same. */
  readonly allowUnused?: boolean;
}

/**
 * Checks a finished graph again from the outside, trusting nothing that its maker recorded: every value is
 * made once and before its use, names and ids are unique, each node's stored types are those its op infers,
 * initialisers hold as many bytes as their type, outputs exist, and every node leads to an output. Throws
 * `GraphError` naming the node, its types and inputs. For builders, passes over graphs, and their tests.
 */
export function verifyGraph(graph: Graph, options: VerifyOptions = {}): void {
  const scope = new Scope(graph.name);
  for (const value of graph.inputs) scope.define(value, 'an input');
  for (const initializer of graph.initializers) {
    scope.define(initializer.value, 'an initialiser');
    verifyInitializer(graph, initializer);
  }
  for (const node of graph.nodes) {
    for (const value of node.inputs) {
      if (value !== null) scope.require(value, formatNode(node));
    }
    verifyTypes(graph, node);
    for (const value of node.outputs) scope.define(value, formatNode(node));
  }
  verifyOutputs(graph, scope);
  if (options.allowUnused !== true) verifyUse(graph);
}

/** The values made so far. */
class Scope {
  readonly #graph: string;
  readonly #values = new Set<Value>();
  readonly #ids = new Set<number>();
  readonly #names = new Set<string>();

  constructor(graph: string) {
    this.#graph = graph;
  }

  define(value: Value, maker: string): void {
    const { id, name, type } = value;
    const fail = (expected: string): never =>
      refuse(this.#graph, `${expected}, got ${formatValue(value)}, made by ${maker}`);
    if (this.#values.has(value)) fail('each value to be made once');
    if (this.#ids.has(id)) fail('unique ids');
    if (this.#names.has(name)) fail('unique names');
    if (name === '') fail('names that are not empty');
    if (!(type.dtype in elementSize) || !isShape(type.shape)) fail('a known element type and axes ≥ 0');
    this.#values.add(value);
    this.#ids.add(id);
    this.#names.add(name);
  }

  require(value: Value, user: string): void {
    if (!this.#values.has(value)) {
      refuse(this.#graph, `values made before their use, got ${formatValue(value)}, used by ${user}`);
    }
  }
}

function verifyInitializer(graph: Graph, initializer: Initializer): void {
  const { value } = initializer;
  const fail = (expected: string, got: string | number): never =>
    refuse(graph.name, `${expected} for initialiser ${formatValue(value)}, got ${got}`);
  const count = elementCount(value.type.shape);
  if (count === undefined) return fail('numbers as axes', formatType(value.type));
  if ('data' in initializer) {
    const dtype = dataTypeOf(initializer.data);
    if (dtype !== value.type.dtype) fail(`an array of ${value.type.dtype}`, dtype);
    if (initializer.data.length !== count) fail(`${count} numbers`, initializer.data.length);
    return;
  }
  const { file, offset, byteLength } = initializer;
  const expected = count * elementSize[value.type.dtype];
  if (byteLength !== expected) fail(`${expected} bytes`, byteLength);
  if (!Number.isSafeInteger(offset) || offset < 0) fail('an offset ≥ 0 in whole bytes', offset);
  if (!isAbsolute(file)) fail('an absolute path', JSON.stringify(file));
}

function verifyTypes(graph: Graph, node: GraphNode): void {
  if (!Object.hasOwn(operations, node.op)) refuse(graph.name, `a known op, got ${formatNode(node)}`);
  const types = inferTypes(graph, node);
  const stored: readonly TensorType[] = node.outputs.map((value) => value.type);
  if (types.length !== stored.length || !types.every((type, index) => sameType(type, stored[index]!))) {
    const inputs = node.inputs.map((value) => (value === null ? 'none' : formatValue(value))).join(', ');
    refuse(
      graph.name,
      `results ${types.map(formatType).join(', ')}, got ${formatNode(node)} with inputs ${inputs}`,
    );
  }
}

function inferTypes(graph: Graph, node: GraphNode): readonly TensorType[] {
  try {
    return operations[node.op].infer(node);
  } catch (error) {
    if (error instanceof GraphError) throw error;
    // A rule trusts the compiler on the kinds of its attributes; a hand-made node can break them.
    return refuse(graph.name, `the attributes of ${node.op}, got ${formatNode(node)}`, error);
  }
}

function verifyOutputs(graph: Graph, scope: Scope): void {
  const results = new Set(graph.nodes.flatMap((node) => node.outputs));
  const seen = new Set<Value>();
  for (const value of graph.outputs) {
    scope.require(value, 'the outputs');
    // The runtime would alias or drop a result that no node makes.
    if (!results.has(value)) refuse(graph.name, `outputs made by nodes, got ${formatValue(value)}`);
    if (seen.has(value)) refuse(graph.name, `each output once, got ${formatValue(value)} twice`);
    seen.add(value);
  }
}

function verifyUse(graph: Graph): void {
  const needed = new Set<Value>(graph.outputs);
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((value) => needed.has(value))) {
      const cost = 'the runtime would execute it all the same';
      refuse(graph.name, `every node to lead to an output (${cost}), got ${formatNode(node)}`);
    }
    for (const value of node.inputs) if (value !== null) needed.add(value);
  }
  for (const { value } of graph.initializers) {
    if (!needed.has(value)) refuse(graph.name, `every initialiser to be used, got ${formatValue(value)}`);
  }
}

function refuse(graph: string, sentence: string, cause?: unknown): never {
  throw new GraphError(`Graph ${graph}: expected ${sentence}.`, { details: { graph }, cause });
}
