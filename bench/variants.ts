/** What is timed: one prefill in different company, and the products alone. */

import type { LanguageModel } from '../src/engine/model.ts';
import type { ForwardOptions, ForwardRow } from '../src/engine/types.ts';
import type { Variant } from './measure.ts';
import type { Products } from './products.ts';

/** The three poolings of the method; with them every layer of every token is read. */
const pooled: ForwardOptions = { pool: ['response_mean', 'prompt_mean', 'prompt_last'] };

/** Every variant runs the same number of tokens. */
export const variantNames = {
  products: 'matrix products alone',
  plain: 'one row, nothing read',
  one: 'one row, all layers pooled',
  eight: 'eight rows, all layers pooled',
  steered: 'one row, a vector added to every layer',
} as const;

/** `tokens` in one row or in eight. */
export function prefillVariants(model: LanguageModel, products: Products, tokens: number): Variant[] {
  const { layers, width, vocabSize } = model.checkpoint.config;
  const row = (length: number, offset = 0): ForwardRow => ({
    ids: Array.from({ length }, (_, i) => (i * 7919 + offset) % vocabSize),
    responseStart: Math.ceil(length / 4),
  });
  const one = row(tokens);
  const eight = Array.from({ length: 8 }, (_, i) => row(tokens / 8, i));
  const vector = Float32Array.from({ length: width }, (_, i) => Math.sin(i));
  const interventions = Array.from({ length: layers }, (_, i) => ({ layer: i + 1, vector, coef: 0.01 }));
  const forward = async (rows: readonly ForwardRow[], options: ForwardOptions): Promise<void> => {
    for await (const _ of model.forward(rows, options));
  };
  return [
    { name: variantNames.products, run: () => products.run(tokens) },
    { name: variantNames.plain, run: () => forward([one], {}) },
    { name: variantNames.one, run: () => forward([one], pooled) },
    { name: variantNames.eight, run: () => forward(eight, pooled) },
    { name: variantNames.steered, run: () => forward([{ ...one, interventions }], {}) },
  ];
}
