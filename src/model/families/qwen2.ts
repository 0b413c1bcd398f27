import type { Family } from './family.ts';
import { llamaWeightNames } from './llama.ts';

/** Qwen 2 and 2.5: q, k and v always carry a bias, the attention output never does. */
export const qwen2: Family = {
  modelType: 'qwen2',
  weights: llamaWeightNames,
  qkvBias: 'always',
  outputBias: 'never',
  mlpBias: 'never',
  windows: 'by-layer',
  gguf: { interleaved: false },
  defaults: {
    kvHeads: 32,
    headSize: 'width / heads',
    maxPositions: 32_768,
    slidingWindow: 4096,
    maxWindowLayers: 28,
    bosTokenId: null,
    eosTokenId: null,
  },
};
