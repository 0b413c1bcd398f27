/** What a checkpoint's `config.json` says, in one vocabulary for every family. */

/** Rotary position embedding; `theta` is the base of the frequencies. */
export type RopeScaling =
  | { readonly kind: 'default' }
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositions: number;
    };

export interface ModelConfig {
  /** `model_type` of config.json, the key into the families. */
  readonly modelType: string;
  readonly vocabSize: number;
  /** Width of the residual stream (`hidden_size`). */
  readonly width: number;
  /** Number of blocks; layers are counted 1 … layers, layer 0 is the embeddings. */
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** Width inside the MLP (`intermediate_size`). */
  readonly mlpWidth: number;
  readonly normEps: number;
  readonly tiedEmbeddings: boolean;
  readonly maxPositions: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
  /** Per block: how many positions back a token sees, itself included; null sees all. */
  readonly windows: readonly (number | null)[];
  /** Whether q, k, v / the attention output / the MLP products carry a bias. */
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  /** RMS norm of every head of q and k before the rotary embedding (qwen3). */
  readonly headNorm: boolean;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | null;
}
