import type { Family } from './family.ts';
import { llamaWeightNames } from './llama.ts';

/** OLMo 2: a block reads the stream as it is and normalises what it adds; q and k are normalised over their whole width. */
export const olmo2: Family = {
  modelType: 'olmo2',
  weights: {
    ...llamaWeightNames,
    attentionNorm: null,
    attentionOutNorm: 'model.layers.{layer}.post_attention_layernorm.weight',
    mlpNorm: null,
    mlpOutNorm: 'model.layers.{layer}.post_feedforward_layernorm.weight',
    queryNorm: 'model.layers.{layer}.self_attn.q_norm.weight',
    keyNorm: 'model.layers.{layer}.self_attn.k_norm.weight',
  },
  qkvBias: { key: 'attention_bias' },
  outputBias: { key: 'attention_bias' },
  mlpBias: 'never',
  windows: 'none',
  headNormSpan: 'projection',
  defaults: {
    kvHeads: 'as heads',
    headSize: 'width / heads',
    maxPositions: 2048,
    slidingWindow: null,
    maxWindowLayers: 0,
    bosTokenId: null,
    eosTokenId: 50_279,
    normEps: 1e-5,
  },
};
