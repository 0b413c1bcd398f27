/** Where a tensor's bytes lie: enough to read them, or to hand them to the runtime unread. */
export type WeightDtype = 'F32' | 'F16' | 'BF16';

export interface WeightSource {
  /** The tensor's name; of rows of a tensor, the name with the rows' own after it. */
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
  /** RMS norm gains `[width]` before attention and before the MLP; null where the family has none there. */
  readonly attentionNorm: Source | null;
  readonly mlpNorm: Source | null;
  /** The same of what attention and the MLP give, before it is added to the stream. */
  readonly attentionOutNorm: Source | null;
  readonly mlpOutNorm: Source | null;
  /** RMS norm gains of q and k, `[headSize]` or of the projection's width; null where the family has none. */
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
      ...present(block.attentionNorm),
      ...projections.flatMap((name) => {
        const { weight, bias } = block.projections[name];
        return bias === null ? [weight] : [weight, bias];
      }),
      ...present(block.queryNorm, block.keyNorm, block.attentionOutNorm, block.mlpNorm, block.mlpOutNorm),
    ]),
    weights.finalNorm,
    weights.head,
  ];
  return [...new Map(all.map((source) => [source.name, source])).values()];
}

function present<Source>(...sources: readonly (Source | null)[]): Source[] {
  return sources.filter((source) => source !== null);
}
