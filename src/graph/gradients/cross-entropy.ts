import type { GraphBuilder } from '../graph.ts';
import type { Value } from '../types.ts';

/**
 * −log p of each row's target: logits `[..., vocabulary]`, targets i64 `[..., 1]` → `[..., 1]`, in nats. Its gradient is
 * softmax(logits) − one-hot. Composed so that forward and backward together hold two tensors of the logits' size: the
 * shifted logits, and their exponentials, which become the gradient.
 */
export function crossEntropy(g: GraphBuilder, logits: Value, targets: Value): Value {
  // Any shift gives the same loss, so none has a gradient; the largest one keeps exp finite.
  const shifted = g.sub(logits, g.stopGradient(g.reduceMax(logits, [-1])));
  const logTotal = g.log(g.reduceSum(g.exp(shifted), [-1]));
  return g.sub(logTotal, g.gatherElements(shifted, targets, -1));
}
