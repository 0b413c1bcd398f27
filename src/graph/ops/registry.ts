/** All ops by name. */

import type { AttentionOps } from './attention.ts';
import { attentionOps } from './attention.ts';
import type { OpDefinition, OpTable } from './definition.ts';
import type { ElementwiseOps } from './elementwise.ts';
import { elementwiseOps } from './elementwise.ts';
import type { LookupOps } from './lookup.ts';
import { lookupOps } from './lookup.ts';
import type { NormOps } from './norms.ts';
import { normOps } from './norms.ts';
import type { ProductOps } from './products.ts';
import { productOps } from './products.ts';
import type { QuantisedOps } from './quantised.ts';
import { quantisedOps } from './quantised.ts';
import type { ReductionOps } from './reductions.ts';
import { reductionOps } from './reductions.ts';
import type { ShapeOps } from './shapes.ts';
import { shapeOps } from './shapes.ts';

export type { Attributes, AttributeValue } from './definition.ts';

/** Op names with their attributes. */
export type OpAttributes = ElementwiseOps &
  ProductOps &
  ShapeOps &
  LookupOps &
  ReductionOps &
  NormOps &
  AttentionOps &
  QuantisedOps;

/** The name of an op. */
export type OpName = keyof OpAttributes;

const table: OpTable<OpAttributes> = {
  ...elementwiseOps,
  ...productOps,
  ...shapeOps,
  ...lookupOps,
  ...reductionOps,
  ...normOps,
  ...attentionOps,
  ...quantisedOps,
};

/** Every op of the language. */
export const operations: Readonly<Record<OpName, OpDefinition>> = table;
