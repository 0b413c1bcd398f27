import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import { floatData, openSession, runSession } from '../engine/session.ts';
import { GraphBuilder } from '../graph/graph.ts';
import { readAdapter, type StoredPair } from '../model/adapter.ts';
import { loadCheckpoint } from '../model/checkpoint.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { type GgufBlockType, isGgufBlockType } from '../model/gguf-types.ts';
import { readRows, readWeight } from '../model/read-weights.ts';
import { readSafetensorsHeader, type SafetensorsDtype, tensorBytes } from '../model/safetensors.ts';
import { isFloatDtype } from '../model/safetensors-content.ts';
import type { ModelConfig } from '../model/config.ts';
import { projectionRows, projectionShapes } from '../model/locate-weights.ts';
import { streamSafetensors, type TensorOutline } from '../model/safetensors-writer.ts';
import { type WeightDtype, type WeightSource, weightSources } from '../model/weights.ts';
import { writeFileAtomically } from '../util/atomic-file.ts';
import { threadCount } from '../util/threads.ts';
import { UsageError } from '../errors.ts';
import { storedName } from './fused.ts';
import { copyModelFiles, encodeFloats, refuseSameFolder } from './save-model.ts';

export interface MergeOptions {
  /** A model folder, a GGUF file, or a name in the local Hub cache. */
  readonly model: string;
  /** An adapter folder in PEFT's layout, trained on this model. */
  readonly adapter: string;
  /** The folder to write; it may not be the model's. */
  readonly output: string;
  /** Element type of all weights; default: each keeps its own, and blocks of GGUF become F32. */
  readonly dtype?: WeightDtype;
  /** Called after each tensor. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface MergeResult {
  readonly output: string;
  /** How many matrices the adapter changed. */
  readonly merged: number;
  readonly tensors: number;
}

/**
 * Writes the model with an adapter merged in, W + scale · B A, in Hugging Face layout: as many weight files as the model
 * has, one tensor in memory at a time, each file whole or not at all and config.json last.
 *
 * @throws ModelError where the adapter does not fit the model; UsageError for the model's own folder.
 */
export async function mergeAdapter(options: MergeOptions): Promise<MergeResult> {
  const checkpoint = await loadCheckpoint(options.model);
  refuseSameFolder(options.output, checkpoint);
  if (options.dtype !== undefined && !isFloatDtype(options.dtype))
    throw new UsageError(`expected a dtype of F32, F16 or BF16, got ${String(options.dtype)}`);
  const { pairs } = await readAdapter(options.adapter, checkpoint.config);
  const { config, weights } = checkpoint;
  const byTensor = new Map<string, StoredPair[]>();
  for (const pair of pairs) {
    const source = weights.blocks[pair.layer]!.projections[pair.projection].weight;
    const name = storedName(config, source, pair.projection);
    byTensor.set(name, [...(byTensor.get(name) ?? []), pair]);
  }
  const shards = await storedShards(checkpoint);
  const total = shards.reduce((sum, entries) => sum + entries.length, 0);
  await mkdir(options.output, { recursive: true });
  const session = await openSession(mergeGraph(), { threads: threadCount(), packed: false });
  const names = shardNames(shards.length);
  let done = 0;
  try {
    for (const [i, entries] of shards.entries()) {
      await writeShard(join(options.output, names[i]!), entries, options.dtype, async (entry, data) => {
        for (const pair of byTensor.get(entry.name) ?? []) await mergePair(session, config, data, pair);
        options.onProgress?.(++done, total);
        return data;
      });
    }
  } finally {
    await session.release();
  }
  if (shards.length > 1) await writeIndex(options.output, names, shards, options.dtype);
  await copyModelFiles(options.output, checkpoint, options.dtype ?? null);
  return { output: options.output, merged: byTensor.size, tensors: total };
}

/** A tensor of the model's files. */
type StoredEntry = Omit<WeightSource, 'dtype'> & { readonly dtype: SafetensorsDtype | GgufBlockType };

/** The model's tensors file by file; what a GGUF file holds becomes one file, under Hugging Face's names. */
async function storedShards({ file, weights, weightFiles }: Checkpoint): Promise<StoredEntry[][]> {
  if (file !== null) return [weightSources(weights)];
  const headers = await Promise.all(weightFiles.map((path) => readSafetensorsHeader(path)));
  return headers.map((header) =>
    [...header.tensors.values()].map((entry) => ({ ...entry, file: header.file })),
  );
}

/** w + (scale · b) a. */
function mergeGraph() {
  const g = new GraphBuilder('merge');
  const w = g.input('w', 'f32', ['out', 'in']);
  const a = g.input('a', 'f32', ['rank', 'in']);
  const b = g.input('b', 'f32', ['out', 'rank']);
  const scale = g.input('scale', 'f32', []);
  g.output('merged', g.add(w, g.matMul(g.mul(b, scale), a)));
  return g.build();
}

/** Adds the pair to the projection's rows of `data`, in place. */
async function mergePair(
  session: InferenceSession,
  config: ModelConfig,
  data: Float32Array,
  { projection, a, b, rank, scale }: StoredPair,
): Promise<void> {
  const [out, input] = projectionShapes(config)[projection];
  const { firstRow } = projectionRows(config, projection);
  const w = data.slice(firstRow * input, (firstRow + out) * input);
  const tensor = (data: Float32Array, dims: readonly number[]): RuntimeTensor =>
    new RuntimeTensor('float32', data, dims);
  const feeds = {
    w: tensor(w, [out, input]),
    a: tensor(a, [rank, input]),
    b: tensor(b, [out, rank]),
    scale: tensor(Float32Array.of(scale), []),
  };
  const { merged } = await runSession(session, feeds, { merged: null });
  data.set(floatData(merged), firstRow * input);
}

/** Weights pass through `change`; others are copied as they are. */
async function writeShard(
  path: string,
  entries: readonly StoredEntry[],
  dtype: WeightDtype | undefined,
  change: (entry: StoredEntry, data: Float32Array) => Promise<Float32Array>,
): Promise<void> {
  const outlines = entries.map((entry) => outlineOf(entry, dtype));
  await streamSafetensors(
    path,
    outlines,
    async (outline, i) => {
      const entry = entries[i]!;
      if (!isWeight(entry)) return readRows(wholeBytes(entry), 0, 1);
      return encodeFloats(
        entry.name,
        await change(entry, await readWeight(entry)),
        outline.dtype as WeightDtype,
      );
    },
    { format: 'pt' },
  );
}

/** A tensor as one row, whatever it holds. */
function wholeBytes({ name, file, offset, byteLength }: StoredEntry): WeightSource {
  return { name, dtype: 'F32', shape: [1], file, offset, byteLength };
}

function isWeight(entry: StoredEntry): entry is WeightSource {
  return isGgufBlockType(entry.dtype) || isFloatDtype(entry.dtype);
}

/** Blocks become F32 where nothing else is asked for, which loses nothing. */
function outlineOf(entry: StoredEntry, dtype: WeightDtype | undefined): TensorOutline {
  const { name, shape, dtype: own } = entry;
  if (isGgufBlockType(own)) return { name, shape, dtype: dtype ?? 'F32' };
  return { name, shape, dtype: isFloatDtype(own) ? (dtype ?? own) : own };
}

function shardNames(count: number): string[] {
  if (count === 1) return ['model.safetensors'];
  const digits = (i: number): string => String(i).padStart(5, '0');
  return Array.from({ length: count }, (_, i) => `model-${digits(i + 1)}-of-${digits(count)}.safetensors`);
}

async function writeIndex(
  folder: string,
  names: readonly string[],
  shards: readonly (readonly StoredEntry[])[],
  dtype: WeightDtype | undefined,
): Promise<void> {
  const bytes = (entry: StoredEntry): number => {
    const outline = outlineOf(entry, dtype);
    return tensorBytes(outline.dtype, outline.shape) ?? entry.byteLength;
  };
  const index = {
    metadata: { total_size: shards.flat().reduce((sum, entry) => sum + bytes(entry), 0) },
    weight_map: Object.fromEntries(
      shards.flatMap((entries, i) => entries.map(({ name }): [string, string] => [name, names[i]!])),
    ),
  };
  await writeFileAtomically(join(folder, 'model.safetensors.index.json'), async (handle) => {
    await handle.writeFile(`${JSON.stringify(index, null, 2)}\n`);
  });
}
