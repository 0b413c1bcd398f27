import { GraphError } from '../../errors.ts';
import type { GraphBuilder } from '../graph.ts';
import type { GraphNode, Value } from '../types.ts';
import { formatType, formatValue, sameType } from '../types.ts';
import { opGradients } from './registry.ts';
import { Recomputation, type Segment } from './recompute.ts';
import type { BackwardCall, Contribution, GradientRule, Scatter } from './rule.ts';
import { expandLike, isFloat, scalar, zerosLike } from './rule.ts';

/** Where differentiation begins: the gradient of some loss with respect to `value`, in its type. */
export interface Seed {
  readonly value: Value;
  readonly gradient: Value;
}

/** How the backward pass is made. */
export interface GradientOptions {
  /** Default: none; every value that a rule reads is kept. Segments share no node. */
  readonly recompute?: readonly Segment[];
}

/**
 * Appends to the builder's graph what computes the gradients of `loss` with respect to each of `wrt`, and returns
 * those, in the types of `wrt`. The loss is one number (every axis has length 1), or seeds: values with the gradients
 * that a loss outside the graph has with respect to them. `wrt` may be inputs, initialisers and results of nodes.
 *
 * Only nodes between `wrt` and the loss are differentiated. Gradients that meet in a value are added in a fixed order,
 * from its last use to its first, so that equal graphs give equal bits. Results are named after the node whose
 * gradient they take part in, `gradient/<node>/…`.
 *
 * @throws GraphError for a value that the loss does not depend on (a gradient of zeros would hide a mistake), and for
 * a node on the way that has no gradient.
 */
export function gradients(
  g: GraphBuilder,
  loss: Value | readonly Seed[],
  wrt: readonly Value[],
  options: GradientOptions = {},
): readonly Value[] {
  for (const value of wrt) requireFloat(value);
  const nodes = g.nodes;
  const flow = new BackwardFlow(g, dependents(nodes, wrt), new Recomputation(g, options.recompute ?? []));
  for (const { value, gradient } of seedsOf(g, loss)) flow.add(value, () => gradient);
  for (const node of nodes.toReversed()) flow.passThrough(node);
  return wrt.map((value) => flow.total(value) ?? refuseUnreached(loss, value));
}

/** The gradients of a graph's values as they come together, from the loss backwards. */
class BackwardFlow {
  readonly #g: GraphBuilder;
  /** What gradients are wanted for: `wrt` and all that depends on it. */
  readonly #wanted: ReadonlySet<Value>;
  readonly #recomputation: Recomputation;
  readonly #sums = new Map<Value, Value>();
  readonly #scatters = new Map<Value, Scatter[]>();
  readonly #shared = new Map<string, Value>();

  constructor(g: GraphBuilder, wanted: ReadonlySet<Value>, recomputation: Recomputation) {
    this.#g = g;
    this.#wanted = wanted;
    this.#recomputation = recomputation;
  }

  add(value: Value, contribution: Contribution): void {
    if (typeof contribution === 'function') {
      const [sum, more] = [this.#sums.get(value), contribution()];
      this.#sums.set(value, sum === undefined ? more : this.#g.add(sum, more));
    } else {
      // Scattered into the sum of the others, once that is complete.
      this.#scatters.set(value, [...(this.#scatters.get(value) ?? []), contribution]);
    }
  }

  /** The gradient of a value, complete once all its uses have been passed; undefined if nothing reached it. */
  total(value: Value): Value | undefined {
    const compact = this.#compactTotal(value);
    if (compact === undefined) return undefined;
    const full = expandLike(this.#g, compact, value);
    this.#sums.set(value, full);
    return full;
  }

  /** From the results of a node to its inputs. */
  passThrough(node: GraphNode): void {
    const rule = opGradients[node.op];
    const isReached = node.outputs.some((value) => this.#has(value) && this.#wanted.has(value));
    if (!isReached || rule === 'constant') return;
    this.#g.scope(`gradient/${node.outputs[0]!.name}`, () => this.#apply(rule, node));
  }

  #apply(rule: GradientRule, node: GraphNode): void {
    this.#recomputation.enter(
      node,
      () => this.#compactTotal(node.outputs.find((value) => this.#has(value))!)!,
    );
    const contributions = rule(this.#call(node));
    node.inputs.forEach((value, index) => {
      if (value === null || !this.#wanted.has(value)) return;
      this.add(value, contributions[index]!);
    });
  }

  #call(node: GraphNode): BackwardCall {
    return {
      g: this.#g,
      node,
      attributes: node.attributes,
      input: (index) => this.#recomputation.read(node, node.inputs[index]!),
      output: (index = 0) => this.#recomputation.read(node, node.outputs[index]!),
      reaches: (index) => this.#has(node.outputs[index]!),
      gradient: (index = 0) => this.total(node.outputs[index]!) ?? zerosLike(this.#g, node.outputs[index]!),
      compactGradient: () => this.#compactTotal(node.outputs[0]!)!,
      shared: (key, of, make) => this.#share(`${key} ${of.id}`, make),
    };
  }

  #has(value: Value): boolean {
    return this.#sums.has(value) || this.#scatters.has(value);
  }

  #compactTotal(value: Value): Value | undefined {
    const scatters = this.#scatters.get(value) ?? [];
    if (scatters.length > 0) {
      let sum = this.#sums.get(value);
      if (sum !== undefined) sum = expandLike(this.#g, sum, value);
      for (const scatter of scatters) sum = scatter.addTo(sum ?? null);
      this.#sums.set(value, sum!);
      this.#scatters.delete(value);
    }
    return this.#sums.get(value);
  }

  #share(key: string, make: () => Value): Value {
    const made = this.#shared.get(key) ?? make();
    this.#shared.set(key, made);
    return made;
  }
}

/** `wrt` and the floats that depend on it. */
function dependents(nodes: readonly GraphNode[], wrt: readonly Value[]): ReadonlySet<Value> {
  const found = new Set(wrt);
  for (const node of nodes) {
    const depends = node.inputs.some((value) => value !== null && found.has(value));
    if (!depends || opGradients[node.op] === 'constant') continue;
    for (const value of node.outputs) if (isFloat(value.type.dtype)) found.add(value);
  }
  return found;
}

function seedsOf(g: GraphBuilder, loss: Value | readonly Seed[]): readonly Seed[] {
  if (isSeeds(loss)) {
    for (const { value, gradient } of loss) {
      if (sameType(value.type, gradient.type)) continue;
      throw new GraphError(
        `gradients: expected the gradient of ${formatValue(value)} in its type, got ${formatType(gradient.type)}.`,
      );
    }
    return loss;
  }
  requireFloat(loss);
  if (loss.type.shape.some((dim) => dim !== 1)) {
    throw new GraphError(
      `gradients: expected a loss of one number, got ${formatValue(loss)}; sum it, or give seeds.`,
    );
  }
  return [{ value: loss, gradient: expandLike(g, scalar(g, 1, loss.type.dtype), loss) }];
}

function isSeeds(loss: Value | readonly Seed[]): loss is readonly Seed[] {
  return Array.isArray(loss);
}

function requireFloat(value: Value): void {
  if (!isFloat(value.type.dtype)) {
    throw new GraphError(`gradients: expected floats, got ${formatValue(value)}.`);
  }
}

function refuseUnreached(loss: Value | readonly Seed[], value: Value): never {
  const from = isSeeds(loss) ? 'the seeds' : loss.name;
  throw new GraphError(
    `gradients: expected values that ${from} depends on, got ${formatValue(value)}; leave it out of wrt.`,
  );
}
