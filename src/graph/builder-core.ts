import { isAbsolute } from 'node:path';
import { GraphError } from '../errors.ts';
import { isShape } from './ops/definition.ts';
import type { Attributes, AttributeValue, OpAttributes, OpName } from './ops/registry.ts';
import { operations } from './ops/registry.ts';
import type {
  ConstantData,
  DataType,
  Dim,
  FileRange,
  Graph,
  GraphNode,
  Initializer,
  TensorType,
  Value,
} from './types.ts';
import { dataTypeOf, elementCount, elementSize, formatShape, formatType } from './types.ts';
import type { VerifyOptions } from './verify.ts';
import { verifyGraph } from './verify.ts';

/** Constants up to this many bytes are shared when equal: shapes, scalars, rotary tables of small models. */
const sharedConstantBytes = 64 * 1024;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** The part of `GraphBuilder` that knows values, names and scopes but no single op. */
export abstract class BuilderCore {
  readonly #name: string;
  readonly #values: Mutable<Value>[] = [];
  readonly #names = new Set<string>();
  readonly #inputs: Value[] = [];
  readonly #initializers: Initializer[] = [];
  readonly #nodes: GraphNode[] = [];
  readonly #results = new Set<Value>();
  readonly #outputs: Value[] = [];
  readonly #constants = new Map<string, Value>();
  #prefix = '';
  /** Values with smaller ids stand in a graph that was handed out. */
  #firstUnbuilt = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** A tensor that the caller feeds at each run under `name`. */
  input(name: string, dtype: DataType, shape: readonly Dim[]): Value {
    const value = this.#declare('input', name, { dtype, shape });
    this.#inputs.push(value);
    return value;
  }

  /**
   * A tensor with fixed numbers; its element type follows the array's. A small constant equal to an earlier
   * one is that earlier one, under its earlier name.
   */
  constant(name: string, data: ConstantData, shape: readonly number[]): Value {
    const type: TensorType = { dtype: dataTypeOf(data), shape };
    if (data.length !== elementCount(shape)) {
      const got = `${data.length} numbers`;
      throw new GraphError(
        `constant ${this.#prefix}${name}: expected as many numbers as ${formatType(type)} holds, got ${got}.`,
      );
    }
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    const key = `${formatType(type)} ${data.byteLength <= sharedConstantBytes ? bytes.toString('latin1') : this.#values.length}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const value = this.#declare('constant', name, type);
    this.#constants.set(key, value);
    // A copy: the graph does not change when the caller reuses its array.
    this.#initializers.push({ value, data: data.slice() });
    return value;
  }

  /** A tensor that lies in a file, row-major and little-endian; nothing is read until the runtime loads it. */
  external(name: string, dtype: DataType, shape: readonly number[], source: FileRange): Value {
    const type: TensorType = { dtype, shape };
    const { file, offset, byteLength } = source;
    const fail = (expected: string, got: string | number): never => {
      throw new GraphError(
        `external ${this.#prefix}${name}: ${formatType(type)} expected ${expected}, got ${got}.`,
      );
    };
    const expected = (elementCount(shape) ?? Number.NaN) * elementSize[dtype];
    if (byteLength !== expected) fail(`${expected} bytes`, byteLength);
    if (!Number.isSafeInteger(offset) || offset < 0) fail('an offset ≥ 0 in whole bytes', offset);
    if (!isAbsolute(file)) fail('an absolute path', JSON.stringify(file));
    const value = this.#declare('external', name, type);
    this.#initializers.push({ value, file, offset, byteLength });
    return value;
  }

  /** Runs `define`; every name given inside (values, inputs, outputs) starts with `prefix/`. Scopes nest. */
  scope<T>(prefix: string, define: () => T): T {
    const outer = this.#prefix;
    this.#prefix = `${outer}${prefix}/`;
    try {
      return define();
    } finally {
      this.#prefix = outer;
    }
  }

  /**
   * Makes `value` a result that the runtime can fetch under `name`. A node's result takes the name itself; an
   * input, an initialiser or a value that is an output already is passed through an `identity`.
   */
  output(name: string, value: Value): void {
    const own = this.#own('output', value);
    const full = `${this.#prefix}${name}`;
    const isFree = this.#results.has(own) && !this.#outputs.includes(own) && own.id >= this.#firstUnbuilt;
    if (isFree && own.name !== full) own.name = this.#claim(full);
    this.#outputs.push(isFree ? own : this.applyOne('identity', [own], {}, name));
  }

  /** The nodes added so far, in order. */
  get nodes(): readonly GraphNode[] {
    return [...this.#nodes];
  }

  /** Adds a node once more, on other inputs of the same types; its results are named after the op. */
  repeat(node: GraphNode, inputs: readonly (Value | null)[]): readonly Value[] {
    return this.apply(node.op, inputs, node.attributes, undefined);
  }

  /** The finished graph, verified; throws `GraphError` where something is never used. */
  build(options: VerifyOptions = {}): Graph {
    const graph: Graph = {
      name: this.#name,
      inputs: [...this.#inputs],
      initializers: [...this.#initializers],
      nodes: [...this.#nodes],
      outputs: [...this.#outputs],
    };
    verifyGraph(graph, options);
    this.#firstUnbuilt = this.#values.length;
    return graph;
  }

  /** Adds a node; its results are named `name`, or after the op where that is absent. */
  protected apply<Name extends OpName>(
    op: Name,
    inputs: readonly (Value | null)[],
    attributes: OpAttributes[Name],
    name: string | undefined,
  ): readonly Value[] {
    const definition = operations[op];
    const given = inputs.map((value) => (value === null ? null : this.#own(op, value)));
    const present = ownAttributes(attributes);
    const types = definition.infer({ op, inputs: given, attributes: present });
    const base = `${this.#prefix}${name ?? op}`;
    const outputs = types.map((type, index) => {
      const full = types.length === 1 ? base : `${base}.${definition.outputNames?.[index] ?? index}`;
      return this.#add(name === undefined ? this.#unused(full) : this.#claim(full), type);
    });
    for (const value of outputs) this.#results.add(value);
    this.#nodes.push({ op, inputs: given, outputs, attributes: present });
    return outputs;
  }

  /** Adds a node with one result. */
  protected applyOne<Name extends OpName>(
    op: Name,
    inputs: readonly (Value | null)[],
    attributes: OpAttributes[Name],
    name: string | undefined,
  ): Value {
    return this.apply(op, inputs, attributes, name)[0]!;
  }

  #declare(kind: string, name: string, type: TensorType): Value {
    if (!isShape(type.shape)) {
      const got = formatShape(type.shape);
      throw new GraphError(
        `${kind} ${this.#prefix}${name}: expected axes that are names or whole numbers ≥ 0, got ${got}.`,
      );
    }
    return this.#add(this.#claim(`${this.#prefix}${name}`), { dtype: type.dtype, shape: [...type.shape] });
  }

  #add(name: string, type: TensorType): Value {
    const value: Mutable<Value> = { id: this.#values.length, name, type };
    this.#values.push(value);
    return value;
  }

  /** Reserves a name that the caller chose. */
  #claim(name: string): string {
    if (name === '' || name.endsWith('/')) {
      throw new GraphError(
        `Graph ${this.#name}: expected a name that is not empty, got ${JSON.stringify(name)}.`,
      );
    }
    if (this.#names.has(name)) {
      throw new GraphError(
        `Graph ${this.#name}: expected a new name, got ${name}, which is taken; name each value once.`,
      );
    }
    this.#names.add(name);
    return name;
  }

  /** Reserves a name like `name` that nothing has yet. */
  #unused(name: string): string {
    let candidate = name;
    for (let count = 2; this.#names.has(candidate); count++) candidate = `${name}_${count}`;
    return this.#claim(candidate);
  }

  #own(what: string, value: Value): Mutable<Value> {
    const own = this.#values[value.id];
    if (own !== value) {
      throw new GraphError(
        `${what}: expected a value of graph ${this.#name}, got ${value.name} of another graph.`,
      );
    }
    return own;
  }
}

/**
 * What the graph keeps of a caller's attributes: lists are copied, and undefined ones have no key, so that equal
 * calls print and compare equal.
 */
function ownAttributes(attributes: Readonly<Record<string, AttributeValue | undefined>>): Attributes {
  const own: Record<string, AttributeValue> = {};
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) own[key] = typeof value === 'object' ? [...value] : value;
  }
  return own;
}
