import type { Checkpoint } from '../model/checkpoint.ts';
import { checkpointFingerprint } from '../model/fingerprint.ts';
import { resolveLinks } from '../model/read-bytes.ts';
import type { TensorEntry } from '../model/safetensors.ts';
import { isPlain, projections } from '../model/weights.ts';
import type {
  BlockWeights,
  LinearWeights,
  ModelWeights,
  PlainSource,
  Projection,
  WeightDtype,
  WeightSource,
} from '../model/weights.ts';
import { ModelError } from '../errors.ts';
import { cacheFolder, weightCacheFolder } from '../store/cache-folder.ts';
import { openWeightCache } from '../store/weight-cache.ts';
import { threadCount } from '../util/threads.ts';
import { partNames, planQuantisation, type QuantisePlan } from './quantise-plan.ts';
import { countWeights, quantiseSlices } from './quantise-pool.ts';
import { type BlockFormat, QUANTISER_VERSION } from './quantise.ts';

/** How a model's weights are quantised: 8 or 4 bits a weight, and how many of a row share a scale. */
export type WeightRecipe = BlockFormat;

/** Bytes inside a file, row-major and little-endian. */
export interface WeightLocation {
  /** Absolute path with every symbolic link resolved. */
  readonly file: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** A weight `[N, K]` in the layout of `MatMulNBits`; see `quantise.ts`. */
export interface QuantisedSource {
  readonly kind: 'quantised';
  /** Name of the checkpoint's tensor. */
  readonly name: string;
  readonly bits: 8 | 4;
  readonly blockSize: 32 | 128;
  /** `[N, K]` of the weight that it stands for. */
  readonly shape: readonly [out: number, input: number];
  /** U8 `[N, blocks, blockSize * bits / 8]`. */
  readonly q: WeightLocation;
  /** F32 `[N * blocks]`. */
  readonly scales: WeightLocation;
}

/** A weight that is quantised, or one in plain numbers wherever they lie. */
export type QuantisedOrPlainSource = QuantisedSource | PlainSource;

export function isQuantised(source: QuantisedOrPlainSource): source is QuantisedSource {
  return 'kind' in source;
}

export interface QuantiseOptions {
  /** The package's cache folder; default: `cacheFolder()`. */
  readonly cacheFolder?: string | undefined;
  /** Worker threads, at most 16; default: PERSONA_THREADS in the environment, else the machine's cores. */
  readonly threads?: number | undefined;
  /** Takes one line when the cache is written, saying why and where to. */
  readonly onNotice?: ((message: string) => void) | undefined;
  /** Called while weights are quantised, with how many of them are done. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The recipe in file names, messages and manifests: `int8-block128`; `fp32` for none. */
export function recipeName(recipe: WeightRecipe | null): string {
  return recipe === null ? 'fp32' : `int${recipe.bits}-block${recipe.blockSize}`;
}

/**
 * A checkpoint's weights as the runtime takes them, from the cache, or into it the first time. With a recipe every
 * projection of every block and the head are quantised, the head also where it is tied to the embedding. The embedding stays
 * as it is in the user's file, or as F16 in the cache where that has F32 or blocks; norms and biases stay in the user's
 * files. Without a recipe all is plain: what the runtime cannot read in the user's files (blocks and interleaved rows of GGUF)
 * is kept in the cache, blocks as F32, and of other checkpoints nothing is cached.
 *
 * GGUF's blocks of Q8_0, Q5_0 and Q4_0 become blocks of 32 of the same numbers where the recipe has bits enough; all else
 * is quantised from the numbers that it stands for.
 *
 * Quantising reads and writes at most `SLICE_WEIGHTS` weights a thread at once, whatever the model's size. What is checked
 * of a cache that is there is said at `checkWeightCache`; one that is damaged, unfinished or made from other weights is
 * built again.
 *
 * @throws ModelError for a weight that is not finite; StoreError when the cache cannot be written; AbortError.
 */
export async function prepareWeights(
  checkpoint: Pick<Checkpoint, 'id' | 'folder' | 'file' | 'remote' | 'weights' | 'weightFiles'>,
  recipe: WeightRecipe | null,
  options: QuantiseOptions = {},
): Promise<ModelWeights<QuantisedOrPlainSource>> {
  const { weights } = checkpoint;
  const plan = planQuantisation(weights, recipe);
  if (plan.slices.length === 0) return placeWeights(weights, recipe, plan, '');
  const fingerprint = await checkpointFingerprint(checkpoint);
  const name = recipeName(recipe);
  const root = options.cacheFolder ?? cacheFolder();
  const opened = await openWeightCache(
    {
      folder: weightCacheFolder(root, checkpoint.id, fingerprint, name),
      model: checkpoint.id,
      fingerprint,
      recipe: name,
      version: QUANTISER_VERSION,
      outline: plan.outline,
      pieces: plan.slices.map((slice) => slice.target),
    },
    (fileDescriptor) => quantiseAll(plan, fileDescriptor, options),
    options,
  );
  return placeWeights(weights, recipe, plan, await resolveLinks(opened));
}

function quantiseAll(
  { slices }: QuantisePlan,
  fileDescriptor: number,
  { threads = threadCount(), onProgress, signal }: QuantiseOptions,
): Promise<string[]> {
  const total = slices.reduce((sum, slice) => sum + countWeights(slice), 0);
  let done = 0;
  const onDone = (weights: number): void => {
    done += weights;
    onProgress?.(done, total);
  };
  return quantiseSlices(slices, fileDescriptor, { threads, signal, onDone });
}

function placeWeights(
  weights: ModelWeights<WeightSource>,
  recipe: WeightRecipe | null,
  { entries }: QuantisePlan,
  file: string,
): ModelWeights<QuantisedOrPlainSource> {
  const locate = ({ offset, byteLength }: TensorEntry): WeightLocation => ({ file, offset, byteLength });
  const plain = (source: WeightSource): PlainSource => {
    const entry = entries.get(source.name);
    if (entry !== undefined)
      return { ...located(source), ...locate(entry), dtype: entry.dtype as WeightDtype };
    if (isPlain(source)) return source;
    throw new ModelError(`expected ${source.name} among the weights that were made plain, got none`);
  };
  const matrix = (source: WeightSource): QuantisedOrPlainSource => {
    if (recipe === null) return plain(source);
    const { name } = source;
    const shape = source.shape as readonly [number, number];
    const [q, scales] = [entries.get(partNames.q(name))!, entries.get(partNames.scales(name))!];
    return { kind: 'quantised', name, ...recipe, shape, q: locate(q), scales: locate(scales) };
  };
  const embedding = plain(weights.embedding);
  const isTied = weights.head === weights.embedding && recipe === null;
  return {
    embedding,
    head: isTied ? embedding : matrix(weights.head),
    finalNorm: plain(weights.finalNorm),
    blocks: weights.blocks.map((block) => placeBlock(block, matrix, plain)),
  };
}

function placeBlock(
  block: BlockWeights<WeightSource>,
  matrix: (source: WeightSource) => QuantisedOrPlainSource,
  plain: (source: WeightSource) => PlainSource,
): BlockWeights<QuantisedOrPlainSource> {
  const optional = (source: WeightSource | null): PlainSource | null =>
    source === null ? null : plain(source);
  return {
    attentionNorm: optional(block.attentionNorm),
    mlpNorm: optional(block.mlpNorm),
    attentionOutNorm: optional(block.attentionOutNorm),
    mlpOutNorm: optional(block.mlpOutNorm),
    queryNorm: optional(block.queryNorm),
    keyNorm: optional(block.keyNorm),
    projections: Object.fromEntries(
      projections.map((name) => {
        const { weight, bias } = block.projections[name];
        return [name, { weight: matrix(weight), bias: optional(bias) }];
      }),
    ) as Record<Projection, LinearWeights<QuantisedOrPlainSource>>,
  };
}

/** What stays of a source that is kept elsewhere. */
function located({ name, shape }: WeightSource): Pick<WeightSource, 'name' | 'shape'> {
  return { name, shape };
}
