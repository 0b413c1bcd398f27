import type { GraphBuilder } from '../graph/graph.ts';
import type { Value } from '../graph/types.ts';

/** The queries' losses, and what their gradients are made of. */
export interface TokenLoss {
  /** −log p of each query's target, `[query]`. */
  readonly nll: Value;
  /** `[query, vocabulary]`. */
  readonly logits: Value;
  /** `[query, vocabulary]`. */
  readonly logProbs: Value;
}

/** logits `[query, vocabulary]`, targets i64 `[query]`. */
export function tokenLoss(g: GraphBuilder, logits: Value, targets: Value): TokenLoss {
  const logProbs = g.logSoftmax(logits, -1);
  const picked = g.gatherRows(logProbs, g.unsqueeze(targets, [1])); // [query, 1]
  return { nll: g.neg(g.squeeze(picked, [1])), logits, logProbs };
}
