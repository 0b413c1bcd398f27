/** The gradient of every op. */

import type { OpAttributes, OpName } from '../ops/registry.ts';
import { attentionGradients } from './attention.ts';
import { elementwiseGradients } from './elementwise.ts';
import { lookupGradients } from './lookup.ts';
import { normGradients } from './norms.ts';
import { productGradients } from './products.ts';
import { quantisedGradients } from './quantised.ts';
import { reductionGradients } from './reductions.ts';
import type { GradientTable, OpGradient } from './rule.ts';
import { shapeGradients } from './shapes.ts';

const table: GradientTable<OpAttributes> = {
  ...elementwiseGradients,
  ...productGradients,
  ...shapeGradients,
  ...lookupGradients,
  ...reductionGradients,
  ...normGradients,
  ...attentionGradients,
  ...quantisedGradients,
};

/** Rules by op name. A node's attributes are those of its op, as the builder's methods see to. */
export const opGradients = table as Readonly<Record<OpName, OpGradient>>;
