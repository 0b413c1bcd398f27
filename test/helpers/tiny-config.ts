import type { ModelConfig } from '../../src/model/config.ts';

/** A small valid configuration for tests that need one but run no weights. */
export function tinyConfig(changes: Partial<ModelConfig> = {}): ModelConfig {
  const layers = changes.layers ?? 2;
  return {
    modelType: 'llama',
    vocabSize: 16,
    width: 8,
    layers,
    heads: 2,
    kvHeads: 1,
    headSize: 8,
    mlpWidth: 16,
    normEps: 1e-5,
    tiedEmbeddings: false,
    maxPositions: 64,
    rope: { theta: 10_000, scaling: { kind: 'default' } },
    windowRope: null,
    windows: Array.from({ length: layers }, () => null),
    qkvBias: false,
    outputBias: false,
    mlpBias: false,
    headNorm: 'none',
    activation: 'silu',
    embeddingScale: 1,
    normOffset: 0,
    attentionScale: 1 / Math.sqrt(changes.headSize ?? 8),
    attentionSoftcap: null,
    logitSoftcap: null,
    bosTokenId: 1,
    eosTokenIds: [2],
    padTokenId: 0,
    ...changes,
  };
}
