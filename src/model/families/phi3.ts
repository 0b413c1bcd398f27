import type { Family } from './family.ts';
import { llamaWeightNames } from './llama.ts';

const attention = 'model.layers.{layer}.self_attn.qkv_proj';
const mlp = 'model.layers.{layer}.mlp.gate_up_proj';

/** Phi 3 and 3.5 mini: Llama with q, k and v in one matrix, and gate and up in another. */
export const phi3: Family = {
  modelType: 'phi3',
  weights: {
    ...llamaWeightNames,
    projections: {
      ...llamaWeightNames.projections,
      q_proj: attention,
      k_proj: attention,
      v_proj: attention,
      gate_proj: mlp,
      up_proj: mlp,
    },
  },
  qkvBias: 'never',
  outputBias: 'never',
  mlpBias: 'never',
  windows: 'every-block',
  fused: [
    ['q_proj', 'k_proj', 'v_proj'],
    ['gate_proj', 'up_proj'],
  ],
  defaults: {
    kvHeads: 'as heads',
    headSize: 'width / heads',
    maxPositions: 4096,
    slidingWindow: null,
    maxWindowLayers: 0,
    bosTokenId: 1,
    eosTokenId: 32_000,
    normEps: 1e-5,
  },
};
