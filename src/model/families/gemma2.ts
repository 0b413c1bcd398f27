import type { Family, WeightNames } from './family.ts';
import { llamaWeightNames } from './llama.ts';

/** Gemma 2 and 3 normalise what a part of a block reads and what it gives. */
export const gemmaWeightNames: WeightNames = {
  ...llamaWeightNames,
  attentionOutNorm: 'model.layers.{layer}.post_attention_layernorm.weight',
  mlpNorm: 'model.layers.{layer}.pre_feedforward_layernorm.weight',
  mlpOutNorm: 'model.layers.{layer}.post_feedforward_layernorm.weight',
};

/** Gemma 2: every other block sees a window; soft caps on scores and logits. */
export const gemma2: Family = {
  modelType: 'gemma2',
  weights: gemmaWeightNames,
  qkvBias: { key: 'attention_bias' },
  outputBias: { key: 'attention_bias' },
  mlpBias: 'never',
  windows: { fullEvery: 2 },
  gemma: { windowRopeTheta: null, attentionSoftcap: 50, logitSoftcap: 30 },
  defaults: {
    kvHeads: 4,
    headSize: 256,
    maxPositions: 8192,
    slidingWindow: 4096,
    maxWindowLayers: 0,
    bosTokenId: 2,
    eosTokenId: 1,
    tiedEmbeddings: true,
  },
};
