import type { Seed } from '../graph/gradients/gradients.ts';
import type { GraphBuilder } from '../graph/graph.ts';
import type { Value } from '../graph/types.ts';
import type { TokenLoss } from './token-loss.ts';

/** A layer's directions in the projection penalty. */
export interface PenaltyLayer {
  readonly layer: number;
  /** Unit vectors `[directions, width]`. */
  readonly directions: Float32Array;
}

export interface PenaltyPlan {
  readonly weight: number;
  readonly layers: readonly PenaltyLayer[];
}

/**
 * The gradient of Σ weights · nll with respect to the logits, `[query, vocabulary]`: weights · (p − one-hot of the
 * target). With `kl`, also that of kl · Σ weights · KL(base ‖ model), whose own is weights · (p − p of the base).
 *
 * Given as it is rather than differentiated: of a large vocabulary, every pass over the logits counts. For the same reason
 * p is a softmax once more: the runtime's kernel for it is several times as fast as an exponential of `logProbs`.
 */
export function logitGradient(
  g: GraphBuilder,
  loss: TokenLoss,
  targets: Value,
  weights: Value,
  base: { readonly probs: Value; readonly kl: number } | null,
): Value {
  const probs = g.softmax(loss.logits, -1);
  const column = g.unsqueeze(weights, [1]); // [query, 1]
  const factor = (value: number): Value => g.constant(`factor.${value}`, Float32Array.of(value), []);
  let gradient: Value;
  if (base === null) gradient = g.mul(probs, column);
  else {
    const own = g.mul(probs, g.mul(column, factor(1 + base.kl)));
    gradient = g.sub(own, g.mul(base.probs, g.mul(column, factor(base.kl))));
  }
  return g.scatterAdd(gradient, g.unsqueeze(targets, [1]), g.neg(column), 1);
}

/** KL(base ‖ model) of each query, `[query]`, in nats. */
export function klOf(
  g: GraphBuilder,
  base: { readonly probs: Value; readonly logProbs: Value },
  logProbs: Value,
): Value {
  const terms = g.mul(base.probs, g.sub(base.logProbs, logProbs));
  return g.reduceSum(terms, [1], { keepDims: false });
}

/**
 * The projection penalty: `seeds`, its gradients with respect to the layers' residuals, and `value` `[batch, position]`,
 * weight · token weight · Σ over directions of ((h − h of the base) · u)², token by token.
 */
export function penaltyTerms(
  g: GraphBuilder,
  plan: PenaltyPlan,
  layers: readonly Value[],
  baseLayers: readonly Value[],
  tokenWeights: Value,
): { readonly seeds: Seed[]; readonly value: Value } {
  const weighted = g.mul(
    g.unsqueeze(tokenWeights, [2]),
    g.constant('penalty.weight', Float32Array.of(plan.weight), []),
  ); // [batch, position, 1]
  const seeds: Seed[] = [];
  const values: Value[] = [];
  for (const { layer, directions } of plan.layers) {
    const hidden = layers[layer]!;
    const width = hidden.type.shape.at(-1) as number;
    const rows = g.constant(`penalty.directions.${layer}`, directions, [directions.length / width, width]);
    const change = g.matMul(g.sub(hidden, baseLayers[layer]!), rows, { transposeB: true });
    const scaled = g.mul(change, weighted); // [batch, position, directions]
    seeds.push({ value: hidden, gradient: g.matMul(scaled, rows, { alpha: 2 }) });
    values.push(g.reduceSum(g.mul(scaled, change), [2], { keepDims: false }));
  }
  return { seeds, value: values.reduce((sum, value) => g.add(sum, value)) };
}
