import type { Family } from './family.ts';
import { gemmaWeightNames } from './gemma2.ts';

/** Gemma 3's text model: normalised heads of q and k, five blocks of six with a window and a rotary base of their own. */
export const gemma3Text: Family = {
  modelType: 'gemma3_text',
  weights: {
    ...gemmaWeightNames,
    queryNorm: 'model.layers.{layer}.self_attn.q_norm.weight',
    keyNorm: 'model.layers.{layer}.self_attn.k_norm.weight',
  },
  qkvBias: { key: 'attention_bias' },
  outputBias: { key: 'attention_bias' },
  mlpBias: 'never',
  windows: { fullEvery: 6 },
  gemma: { windowRopeTheta: 10_000, attentionSoftcap: null, logitSoftcap: null },
  defaults: {
    kvHeads: 4,
    headSize: 256,
    maxPositions: 131_072,
    slidingWindow: 4096,
    maxWindowLayers: 0,
    bosTokenId: 2,
    eosTokenId: 1,
    tiedEmbeddings: true,
    ropeTheta: 1_000_000,
  },
};
