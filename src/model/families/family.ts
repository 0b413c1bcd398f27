import type { Projection } from '../weights.ts';

/** Where a family keeps a weight: a tensor's name, with `{layer}` for the block's index from 0. */
export interface WeightNames {
  readonly embedding: string;
  readonly head: string;
  readonly finalNorm: string;
  /** Before attention and before the MLP; null where the family reads the stream as it is. */
  readonly attentionNorm: string | null;
  readonly mlpNorm: string | null;
  /** Of what attention and the MLP give, before it is added to the stream; null where it is added as it is. */
  readonly attentionOutNorm: string | null;
  readonly mlpOutNorm: string | null;
  /** Null where heads are not normalised. */
  readonly queryNorm: string | null;
  readonly keyNorm: string | null;
  /** Module paths: `.weight` and `.bias` follow for the tensors, `.lora_A.weight` for adapters. */
  readonly projections: Readonly<Record<Projection, string>>;
}

/** Projections that lie in one matrix, one below the other, each under this path in `WeightNames`. */
export type FusedProjections = readonly (readonly Projection[])[];

/** Whether products carry a bias: always, never, or as the named key of config.json says (false where absent). */
export type BiasRule = 'always' | 'never' | { readonly key: string };

/**
 * Which blocks see a window of `sliding_window` positions: `none`; `every-block`; `by-layer`, where
 * `use_sliding_window` switches it on and `layer_types`, or else `max_window_layers`, chooses the blocks; or all but every
 * `fullEvery`th, where `layer_types` does not say otherwise.
 */
export type WindowRule = 'none' | 'every-block' | 'by-layer' | { readonly fullEvery: number };

/** What Hugging Face's configuration class fills in where config.json is silent. */
export interface ConfigDefaults {
  /** For an absent key; `null` in the file always means as many as heads. */
  readonly kvHeads: number | 'as heads';
  /** For an absent key; `null` in the file always means width / heads. */
  readonly headSize: number | 'width / heads';
  readonly maxPositions: number;
  /** For an absent key; `null` in the file means no window. */
  readonly slidingWindow: number | null;
  readonly maxWindowLayers: number;
  readonly bosTokenId: number | null;
  readonly eosTokenId: number | null;
  /** Default: 1e-6. */
  readonly normEps?: number;
  /** Default: false. */
  readonly tiedEmbeddings?: boolean;
  /** Default: 10,000. */
  readonly ropeTheta?: number;
}

/** What Gemma's models do otherwise than the others. */
export interface GemmaRules {
  /** Positions of blocks with a window turn by a base of their own, this one where config.json names none. */
  readonly windowRopeTheta: number | null;
  /** Where config.json is silent: the attention's and the logits' soft cap, or null for none. */
  readonly attentionSoftcap: number | null;
  readonly logitSoftcap: number | null;
}

/** How GGUF files keep a family; their tensors have the same names in every family. */
export interface GgufRules {
  /** Whether rows of q and k lie as `WeightSource.interleavedHeads` says. */
  readonly interleaved: boolean;
}

/** One architecture, as data: what the shared code must know to read its checkpoints and to build its graph. */
export interface Family {
  /** `model_type` of config.json. */
  readonly modelType: string;
  readonly weights: WeightNames;
  readonly qkvBias: BiasRule;
  readonly outputBias: BiasRule;
  readonly mlpBias: BiasRule;
  readonly windows: WindowRule;
  /** Whether q and k are normalised head by head, or each over its whole width; only where they are at all. */
  readonly headNormSpan?: 'head' | 'projection';
  /** Default: none. */
  readonly fused?: FusedProjections;
  /**
   * Embeddings times √width, norms that multiply by 1 + gain, scores scaled by `query_pre_attn_scalar`, an MLP with GELU;
   * default: none of it.
   */
  readonly gemma?: GemmaRules;
  /** Default: its GGUF files are not read. */
  readonly gguf?: GgufRules;
  readonly defaults: ConfigDefaults;
}
