/** Gradients of products with block-quantised weights. */

import type { QuantisedOps } from '../ops/quantised.ts';
import type { GradientTable } from './rule.ts';
import { refuseGradient } from './rule.ts';

/** Rules of the quantised products. */
export const quantisedGradients: GradientTable<QuantisedOps> = {
  matMulNBits: ({ node }) => refuseGradient(node, 'not yet', 'an fp32 weight'),
};
