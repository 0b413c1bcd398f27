import type { Family, WeightNames } from './family.ts';

/** The names that Llama's checkpoints introduced and its relatives keep. */
export const llamaWeightNames: WeightNames = {
  embedding: 'model.embed_tokens.weight',
  head: 'lm_head.weight',
  finalNorm: 'model.norm.weight',
  attentionNorm: 'model.layers.{layer}.input_layernorm.weight',
  mlpNorm: 'model.layers.{layer}.post_attention_layernorm.weight',
  attentionOutNorm: null,
  mlpOutNorm: null,
  queryNorm: null,
  keyNorm: null,
  projections: {
    q_proj: 'model.layers.{layer}.self_attn.q_proj',
    k_proj: 'model.layers.{layer}.self_attn.k_proj',
    v_proj: 'model.layers.{layer}.self_attn.v_proj',
    o_proj: 'model.layers.{layer}.self_attn.o_proj',
    gate_proj: 'model.layers.{layer}.mlp.gate_proj',
    up_proj: 'model.layers.{layer}.mlp.up_proj',
    down_proj: 'model.layers.{layer}.mlp.down_proj',
  },
};

/** Llama 1 to 3 and all that share their layout; one key puts a bias on all four attention products. */
export const llama: Family = {
  modelType: 'llama',
  weights: llamaWeightNames,
  qkvBias: { key: 'attention_bias' },
  outputBias: { key: 'attention_bias' },
  mlpBias: { key: 'mlp_bias' },
  windows: 'none',
  gguf: { interleaved: true },
  defaults: {
    kvHeads: 'as heads',
    headSize: 'width / heads',
    maxPositions: 2048,
    slidingWindow: null,
    maxWindowLayers: 0,
    bosTokenId: 1,
    eosTokenId: 2,
  },
};
