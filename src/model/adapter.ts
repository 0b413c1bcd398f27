import type { Projection } from './weights.ts';

/** The two matrices that LoRA adds to one product: y = x Wᵀ + (x Aᵀ) Bᵀ. */
export interface LoraPair {
  readonly rank: number;
  /** `[rank, in]`. */
  readonly a: Float32Array;
  /** `[out, rank]`, the scale (alpha/r, or alpha/√r with rs-LoRA) already multiplied in. */
  readonly b: Float32Array;
}

/** A LoRA adapter, checked against the model that it adapts. */
export interface Adapter {
  /** How reports name it: the folder's last part. */
  readonly name: string;
  /** Index: block, from 0. A projection that is not adapted is absent. */
  readonly blocks: readonly Readonly<Partial<Record<Projection, LoraPair>>>[];
}
