/** Gradients of rotary embeddings; attention has none. */

import type { AttentionOps } from '../ops/attention.ts';
import type { GradientTable } from './rule.ts';
import { refuseGradient } from './rule.ts';

/** Rules of the attention ops. */
export const attentionGradients: GradientTable<AttentionOps> = {
  // A rotation's transpose turns the other way.
  rotaryEmbedding: ({ g, attributes, input, gradient, shared }) => [
    () => {
      const back = shared('negative', input(3), () => g.neg(input(3)));
      return g.rotaryEmbedding(gradient(), input(1), input(2), back, attributes);
    },
  ],
  groupQueryAttention: ({ node }) =>
    refuseGradient(
      node,
      'the kernel keeps its scores to itself',
      'attention composed of matMul, add (a mask), softmax and matMul, which has a gradient',
    ),
};
