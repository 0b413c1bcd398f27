import type { Family } from './family.ts';
import { llamaWeightNames } from './llama.ts';

/** Qwen 3 (dense): every head of q and k is normalised before the rotary embedding; head size is free of the width. */
export const qwen3: Family = {
  modelType: 'qwen3',
  weights: {
    ...llamaWeightNames,
    queryNorm: 'model.layers.{layer}.self_attn.q_norm.weight',
    keyNorm: 'model.layers.{layer}.self_attn.k_norm.weight',
  },
  qkvBias: { key: 'attention_bias' },
  outputBias: { key: 'attention_bias' },
  mlpBias: 'never',
  windows: 'by-layer',
  gguf: { interleaved: false },
  defaults: {
    kvHeads: 32,
    headSize: 128,
    maxPositions: 32_768,
    slidingWindow: 4096,
    maxWindowLayers: 28,
    bosTokenId: null,
    eosTokenId: null,
  },
};
