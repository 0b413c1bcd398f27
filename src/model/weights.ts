/** Where a tensor's bytes lie: enough to read them, or to hand them to the runtime unread. */
export type WeightDtype = 'F32' | 'F16' | 'BF16';

export interface WeightSource {
  readonly name: string;
  readonly dtype: WeightDtype;
  readonly shape: readonly number[];
  /** Absolute path with every symbolic link resolved. */
  readonly file: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** The seven matrices of a block that LoRA adapts, by the names Hugging Face and PEFT give them. */
export const projections = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const;
export type Projection = (typeof projections)[number];

/** A matrix product's weight `[out, in]` and, where the family has one, its bias `[out]`. */
export interface LinearWeights<Source> {
  readonly weight: Source;
  readonly bias: Source | null;
}

export interface BlockWeights<Source> {
  readonly projections: Readonly<Record<Projection, LinearWeights<Source>>>;
  /** RMS norm gains `[width]` before attention and before the MLP. */
  readonly attentionNorm: Source;
  readonly mlpNorm: Source;
  /** RMS norm gains `[headSize]` of q and k; null where the family has none. */
  readonly queryNorm: Source | null;
  readonly keyNorm: Source | null;
}

/** All weights of a model by role; `Source` is where they lie, or the numbers themselves. */
export interface ModelWeights<Source> {
  /** `[vocabulary, width]`. */
  readonly embedding: Source;
  /** `[vocabulary, width]`; the same object as `embedding` where the two are tied. */
  readonly head: Source;
  readonly finalNorm: Source;
  readonly blocks: readonly BlockWeights<Source>[];
}

/** Every tensor of the model once, in the order in which data pass them; tied embeddings are one. */
export function weightSources(weights: ModelWeights<WeightSource>): WeightSource[] {
  const all = [
    weights.embedding,
    ...weights.blocks.flatMap((block) => [
      block.attentionNorm,
      ...projections.flatMap((name) => {
        const { weight, bias } = block.projections[name];
        return bias === null ? [weight] : [weight, bias];
      }),
      ...[block.queryNorm, block.keyNorm].filter((gain) => gain !== null),
      block.mlpNorm,
    ]),
    weights.finalNorm,
    weights.head,
  ];
  return [...new Map(all.map((source) => [source.name, source])).values()];
}
