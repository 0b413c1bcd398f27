import type { GraphBuilder } from '../graph.ts';
import type { GraphNode, Value } from '../types.ts';
import { isFloat, nothingOf } from './rule.ts';

/**
 * Nodes whose results are not kept for the backward pass but computed again in it, such as those of a transformer
 * block. What they take from outside is kept.
 */
export type Segment = readonly GraphNode[];

/** The second computation of segments, made node by node as gradient rules ask for values. */
export class Recomputation {
  readonly #g: GraphBuilder;
  readonly #copies = new Map<GraphNode, SegmentCopy>();

  constructor(g: GraphBuilder, segments: readonly Segment[]) {
    this.#g = g;
    const results = new Set(g.nodes.flatMap((node) => node.outputs));
    for (const segment of segments) {
      const copy = new SegmentCopy(g, segment, results);
      for (const node of segment) this.#copies.set(node, copy);
    }
  }

  /**
   * Called before the rule of a node: `gradient` is what reaches it. The first gradient to reach a segment, from
   * behind it, is what its second computation waits for.
   */
  enter(node: GraphNode, gradient: () => Value): void {
    const copy = this.#copies.get(node);
    if (copy?.isWaiting === true)
      copy.waitFor(this.#g.scope('recompute', () => nothingOf(this.#g, gradient())));
  }

  /** What the rule of `node` reads for one of the node's inputs or results. */
  read(node: GraphNode, value: Value): Value {
    return this.#copies.get(node)?.read(value) ?? value;
  }
}

class SegmentCopy {
  readonly #g: GraphBuilder;
  /** What nodes of the forward pass give, in contrast to weights and inputs of the graph. */
  readonly #results: ReadonlySet<Value>;
  readonly #makers = new Map<Value, GraphNode>();
  readonly #copies = new Map<Value, Value>();
  /** 0, known no sooner than the gradient that reaches the segment. */
  #nothing: Value | undefined;

  constructor(g: GraphBuilder, segment: Segment, results: ReadonlySet<Value>) {
    this.#g = g;
    this.#results = results;
    for (const node of segment) for (const value of node.outputs) this.#makers.set(value, node);
  }

  get isWaiting(): boolean {
    return this.#nothing === undefined;
  }

  waitFor(nothing: Value): void {
    this.#nothing = nothing;
  }

  read(value: Value): Value {
    return this.#makers.has(value) ? this.#copyOf(value) : value;
  }

  /** A node that takes nothing that waits is not repeated: the runtime would merge the two. */
  #copyOf(value: Value): Value {
    const known = this.#copies.get(value);
    if (known !== undefined) return known;
    const node = this.#makers.get(value);
    if (node === undefined) return this.#delayed(value);
    const inputs = node.inputs.map((input) => (input === null ? null : this.#copyOf(input)));
    const isSame = inputs.every((input, index) => input === node.inputs[index]);
    const outputs = isSame ? node.outputs : this.#g.scope('recompute', () => this.#g.repeat(node, inputs));
    node.outputs.forEach((output, index) => this.#copies.set(output, outputs[index]!));
    return this.#copies.get(value)!;
  }

  /**
   * What comes from outside: results of nodes wait for the gradient, or the runtime, which runs a node as soon as its
   * inputs exist, would compute the segment twice at once; weights and inputs of the graph need not.
   */
  #delayed(value: Value): Value {
    const copy =
      this.#results.has(value) && isFloat(value.type.dtype)
        ? this.#g.scope('recompute', () => this.#g.add(value, this.#nothingAs(value)))
        : value;
    this.#copies.set(value, copy);
    return copy;
  }

  #nothingAs(value: Value): Value {
    const nothing = this.#nothing!;
    return nothing.type.dtype === value.type.dtype ? nothing : this.#g.cast(nothing, value.type.dtype);
  }
}
