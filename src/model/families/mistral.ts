import type { Family } from './family.ts';
import { llamaWeightNames } from './llama.ts';

/** Mistral: Llama without biases; `sliding_window` holds for every block, and 4,096 where the key is absent. */
export const mistral: Family = {
  modelType: 'mistral',
  weights: llamaWeightNames,
  qkvBias: 'never',
  outputBias: 'never',
  mlpBias: 'never',
  windows: 'every-block',
  defaults: {
    kvHeads: 8,
    headSize: 'width / heads',
    maxPositions: 131_072,
    slidingWindow: 4096,
    maxWindowLayers: 0,
    bosTokenId: 1,
    eosTokenId: 2,
  },
};
