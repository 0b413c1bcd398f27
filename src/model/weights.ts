import { type GgufBlockType, isGgufBlockType } from './gguf-types.ts';

/** Plain numbers, which the runtime reads where they lie. */
export type WeightDtype = 'F32' | 'F16' | 'BF16';
/** What a checkpoint's numbers come in: plain, or in blocks of a GGUF file. */
export type StoredDtype = WeightDtype | GgufBlockType;

/** Where a tensor's bytes lie: enough to read them. */
export interface WeightSource {
  /** The tensor's name; of rows of a tensor, the name with the rows' own after it. */
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  /**
   * Of q and k in GGUF files of Llama's kind: so many heads, in each of which the file has rows 0, n/2, 1, n/2 + 1 … of
   * the n that `shape` means, because its readers rotate neighbours. Absent where rows lie in their order.
   */
  readonly interleavedHeads?: number;
  /** Absolute path with every symbolic link resolved. */
  readonly file: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** Numbers that can be handed to the runtime unread. */
export interface PlainSource extends WeightSource {
  readonly dtype: WeightDtype;
  readonly interleavedHeads?: never;
}

/** Whether the runtime can read a weight where it lies. */
export function isPlain(source: WeightSource): source is PlainSource {
  return !isGgufBlockType(source.dtype) && source.interleavedHeads === undefined;
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
