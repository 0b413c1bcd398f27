import type { MatMulAttributes } from './ops/products.ts';
import type { Dim, Graph, GraphNode, Initializer, TensorType, Value } from './types.ts';

/**
 * The same graph in the ops that more of the runtime's providers have:
 *
 * - products that transpose or scale on the way (`FusedMatMul`) become transpositions, plain products and factors;
 * - a row taken from a table of 16-bit floats and then widened is taken from the widened table.
 *
 * The runtime transposes and widens constants once, when it loads them; such a table then takes twice the memory. Sums may be
 * taken in another order, so that bits may differ.
 */
export function portableGraph(graph: Graph): Graph {
  const rewriter = new Rewriter(graph);
  const widened = new Map(
    graph.nodes.flatMap((node) => {
      const [from] = node.inputs;
      return node.op === 'cast' && from != null ? [[from, node] as const] : [];
    }),
  );
  const dropped = new Set<GraphNode>();
  const nodes = graph.nodes.flatMap((node) => {
    if (dropped.has(node)) return [];
    if (node.op === 'matMul') return rewriter.product(node);
    const cast = node.op === 'gather' ? widened.get(node.outputs[0]!) : undefined;
    if (cast === undefined) return [node];
    dropped.add(cast);
    return rewriter.gather(node, cast);
  });
  return { ...graph, nodes, initializers: [...graph.initializers, ...rewriter.constants] };
}

class Rewriter {
  readonly constants: Initializer[] = [];
  readonly #names: Set<string>;
  /** A matrix that several products read is transposed once. */
  readonly #transposed = new Map<Value, Value>();
  readonly #factors = new Map<number, Value>();
  #nextId: number;

  constructor(graph: Graph) {
    const values = [
      ...graph.inputs,
      ...graph.initializers.map(({ value }) => value),
      ...graph.nodes.flatMap(({ outputs }) => outputs),
    ];
    this.#names = new Set(values.map(({ name }) => name));
    this.#nextId = values.reduce((most, { id }) => Math.max(most, id), -1) + 1;
  }

  product(node: GraphNode): GraphNode[] {
    const { transposeA, transposeB, alpha } = node.attributes as MatMulAttributes;
    const before: GraphNode[] = [];
    const [a, b] = node.inputs as readonly [Value, Value];
    const inputs = [
      transposeA === true ? this.#transpose(a, before) : a,
      transposeB === true ? this.#transpose(b, before) : b,
    ];
    const [result] = node.outputs as readonly [Value];
    if (alpha === undefined) return [...before, { ...node, inputs, attributes: {} }];
    const unscaled = this.#value(`${result.name}, unscaled`, result.type);
    return [
      ...before,
      { op: 'matMul', inputs, outputs: [unscaled], attributes: {} },
      { op: 'mul', inputs: [unscaled, this.#factor(alpha)], outputs: [result], attributes: {} },
    ];
  }

  gather(node: GraphNode, cast: GraphNode): GraphNode[] {
    const [table, ids] = node.inputs as readonly [Value, Value];
    const [result] = cast.outputs as readonly [Value];
    const wide = this.#value(`${table.name}, widened`, { ...table.type, dtype: result.type.dtype });
    return [
      { ...cast, inputs: [table], outputs: [wide] },
      { ...node, inputs: [wide, ids], outputs: [result] },
    ];
  }

  #transpose(value: Value, nodes: GraphNode[]): Value {
    const known = this.#transposed.get(value);
    if (known !== undefined) return known;
    const { dtype, shape } = value.type;
    const axes = shape.map((_, axis) => axis);
    const permutation = [...axes.slice(0, -2), axes.length - 1, axes.length - 2];
    const turned = permutation.map((axis): Dim => shape[axis]!);
    const result = this.#value(`${value.name}, transposed`, { dtype, shape: turned });
    this.#transposed.set(value, result);
    nodes.push({ op: 'transpose', inputs: [value], outputs: [result], attributes: { permutation } });
    return result;
  }

  #factor(alpha: number): Value {
    const known = this.#factors.get(alpha);
    if (known !== undefined) return known;
    const value = this.#value(`factor ${alpha}`, { dtype: 'f32', shape: [1] });
    this.#factors.set(alpha, value);
    this.constants.push({ value, data: Float32Array.of(alpha) });
    return value;
  }

  #value(wanted: string, type: TensorType): Value {
    let name = wanted;
    while (this.#names.has(name)) name += "'";
    this.#names.add(name);
    return { id: this.#nextId++, name, type };
  }
}
