import type { Checkpoint } from '../model/checkpoint.ts';
import { checkpointFingerprint } from '../model/fingerprint.ts';
import { resolveLinks } from '../model/read-bytes.ts';
import { projections } from '../model/weights.ts';
import type {
  BlockWeights,
  LinearWeights,
  ModelWeights,
  Projection,
  WeightSource,
} from '../model/weights.ts';
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
export type QuantisedOrPlainSource = QuantisedSource | WeightSource;

export function isQuantised(source: QuantisedOrPlainSource): source is QuantisedSource {
  return 'kind' in source;
}

export interface QuantiseOptions {
  /** The package's cache folder; default: `cacheFolder()`. */
  readonly cacheFolder?: string | undefined;
  /** Worker threads, at most 16; default: PERSONA_THREADS in the environment, else the machine's cores. */
  readonly threads?: number | undefined;
  /** Takes one line when the weights are quantised, saying why and where to. */
  readonly onNotice?: ((message: string) => void) | undefined;
  /** Called while weights are quantised, with how many of them are done. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The recipe in file names, messages and manifests: `int8-block128`. */
export function recipeName({ bits, blockSize }: WeightRecipe): string {
  return `int${bits}-block${blockSize}`;
}

/**
 * A checkpoint's weights with every projection of every block and the head quantised, from the cache, or into it the first
 * time. The head is quantised where it is tied to the embedding too. The embedding stays as it is in the user's file, or
 * as F16 in the cache where that has F32; norms and biases stay in the user's files.
 *
 * Quantising reads and writes at most `SLICE_WEIGHTS` weights a thread at once, whatever the model's size. What is checked
 * of a cache that is there is said at `checkWeightCache`; one that is damaged, unfinished or made from other weights is
 * built again.
 *
 * @throws ModelError for a weight that is not finite; StoreError when the cache cannot be written; AbortError.
 */
export async function loadQuantisedWeights(
  checkpoint: Pick<Checkpoint, 'id' | 'folder' | 'weights' | 'weightFiles'>,
  recipe: WeightRecipe,
  options: QuantiseOptions = {},
): Promise<ModelWeights<QuantisedOrPlainSource>> {
  const { weights } = checkpoint;
  const plan = planQuantisation(weights, recipe);
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
  recipe: WeightRecipe,
  { entries }: QuantisePlan,
  file: string,
): ModelWeights<QuantisedOrPlainSource> {
  const locate = (name: string): WeightLocation => {
    const { offset, byteLength } = entries.get(name)!;
    return { file, offset, byteLength };
  };
  const quantised = (source: WeightSource): QuantisedSource => {
    const { name } = source;
    const shape = source.shape as readonly [number, number];
    const [q, scales] = [locate(partNames.q(name)), locate(partNames.scales(name))];
    return { kind: 'quantised', name, ...recipe, shape, q, scales };
  };
  const block = (plain: BlockWeights<WeightSource>): BlockWeights<QuantisedOrPlainSource> => ({
    ...plain,
    projections: Object.fromEntries(
      projections.map((name) => {
        const { weight, bias } = plain.projections[name];
        return [name, { weight: quantised(weight), bias }];
      }),
    ) as Record<Projection, LinearWeights<QuantisedOrPlainSource>>,
  });
  const { embedding } = weights;
  return {
    embedding:
      embedding.dtype === 'F32' ? { ...embedding, dtype: 'F16', ...locate(embedding.name) } : embedding,
    head: quantised(weights.head),
    finalNorm: weights.finalNorm,
    blocks: weights.blocks.map(block),
  };
}
