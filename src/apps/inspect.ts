import { stat } from 'node:fs/promises';
import { loadCheckpoint } from '../model/checkpoint.ts';
import type { RopeScaling } from '../model/config.ts';
import { checkpointFingerprint } from '../model/fingerprint.ts';
import { type StoredDtype, type WeightSource, weightSources } from '../model/weights.ts';
import { elements, weightMemory } from '../engine/model-memory.ts';

/** What a checkpoint is, read without loading a weight. Sizes are in bytes. */
export interface ModelFacts {
  readonly id: string;
  readonly folder: string;
  /** The GGUF file that is the model; null for a folder in Hugging Face layout. */
  readonly file: string | null;
  /** Commit of the Hub snapshot, where the folder is one. */
  readonly revision: string | null;
  /** `model_type` of config.json. */
  readonly family: string;
  readonly parameters: number;
  /** Blocks; layer l, 1 ≤ l ≤ layers, is the residual stream after block l, layer 0 the embeddings. */
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly mlpWidth: number;
  readonly vocabulary: number;
  readonly tiedEmbeddings: boolean;
  /** Most tokens of a row. */
  readonly context: number;
  readonly rope: { readonly theta: number; readonly scaling: RopeScaling };
  /** Blocks that see only so many tokens back; empty where every block sees all. */
  readonly windows: readonly { readonly block: number; readonly tokens: number }[];
  /** Parameters by how they are stored. */
  readonly dtypes: Readonly<Partial<Record<StoredDtype, number>>>;
  readonly weightFiles: number;
  readonly sizeOnDisk: number;
  /** Tensors of the files that the model has no use for. */
  readonly unusedTensors: readonly string[];
  /** Null where the folder has no tokenizer.json. */
  readonly tokenizer: { readonly tokens: number; readonly addedTokens: number } | null;
  readonly chatTemplate: boolean;
  readonly endOfReply: readonly number[];
  readonly fingerprint: string;
  /** What the engine needs in fp32, beside its code and the batch in hand. */
  readonly memory: {
    /** Weights for one pass over given texts. */
    readonly onePass: number;
    /** Weights for generation, which also holds them packed for single-token steps. */
    readonly generate: number;
    /** Keys and values of one token. */
    readonly cachePerToken: number;
  };
}

/**
 * Says what a checkpoint is.
 *
 * @throws UsageError, ModelError or ParseError where it cannot be run, as loading it would.
 */
export async function inspect(model: string): Promise<ModelFacts> {
  const checkpoint = await loadCheckpoint(model);
  const { config, tokenizer } = checkpoint;
  const sources = weightSources(checkpoint.weights);
  const parameters = sum(sources.map(elements));
  return {
    id: checkpoint.id,
    folder: checkpoint.folder,
    file: checkpoint.file,
    revision: checkpoint.revision,
    family: config.modelType,
    parameters,
    layers: config.layers,
    width: config.width,
    heads: config.heads,
    kvHeads: config.kvHeads,
    headSize: config.headSize,
    mlpWidth: config.mlpWidth,
    vocabulary: config.vocabSize,
    tiedEmbeddings: config.tiedEmbeddings,
    context: config.maxPositions,
    rope: config.rope,
    windows: config.windows.flatMap((tokens, i) => (tokens === null ? [] : [{ block: i + 1, tokens }])),
    dtypes: parametersByDtype(sources),
    weightFiles: checkpoint.weightFiles.length,
    sizeOnDisk: sum(await Promise.all(checkpoint.weightFiles.map(async (file) => (await stat(file)).size))),
    unusedTensors: checkpoint.unusedTensors,
    tokenizer:
      tokenizer === null ? null : { tokens: tokenizer.vocabSize, addedTokens: tokenizer.addedTokens.length },
    chatTemplate: checkpoint.chatTemplate !== null,
    endOfReply: checkpoint.generation.eosTokenIds,
    fingerprint: await checkpointFingerprint(checkpoint),
    memory: {
      onePass: weightMemory(checkpoint, { purpose: 'one-pass' }),
      generate: weightMemory(checkpoint, { purpose: 'generate' }),
      cachePerToken: 4 * 2 * config.layers * config.kvHeads * config.headSize,
    },
  };
}

function parametersByDtype(sources: readonly WeightSource[]): Partial<Record<StoredDtype, number>> {
  const counts: Partial<Record<StoredDtype, number>> = {};
  for (const source of sources) counts[source.dtype] = (counts[source.dtype] ?? 0) + elements(source);
  return counts;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, value) => total + value, 0);
}
