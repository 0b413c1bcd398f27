import type { Projection } from '../weights.ts';

/** Where a family keeps a weight: a tensor's name, with `{layer}` for the block's index from 0. */
export interface WeightNames {
  readonly embedding: string;
  readonly head: string;
  readonly finalNorm: string;
  readonly attentionNorm: string;
  readonly mlpNorm: string;
  /** Null where heads are not normalised. */
  readonly queryNorm: string | null;
  readonly keyNorm: string | null;
  /** Module paths: `.weight` and `.bias` follow for the tensors, `.lora_A.weight` for adapters. */
  readonly projections: Readonly<Record<Projection, string>>;
}

/** Whether products carry a bias: always, never, or as the named key of config.json says (false where absent). */
export type BiasRule = 'always' | 'never' | { readonly key: string };

/**
 * Which blocks see a window of `sliding_window` positions: `none`; `every-block`; or `by-layer`, where
 * `use_sliding_window` switches it on and `layer_types`, or else `max_window_layers`, chooses the blocks.
 */
export type WindowRule = 'none' | 'every-block' | 'by-layer';

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
  readonly defaults: ConfigDefaults;
}
