import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import { floatData, openSession, runSession } from '../engine/session.ts';
import { GraphBuilder } from '../graph/graph.ts';
import { readAdapter, type StoredPair } from '../model/adapter.ts';
import { loadCheckpoint } from '../model/checkpoint.ts';
import { openFile, readExactly } from '../model/read-bytes.ts';
import { readSafetensorsHeader, type TensorEntry } from '../model/safetensors.ts';
import { isFloatDtype, readFloats } from '../model/safetensors-content.ts';
import type { ModelConfig } from '../model/config.ts';
import { projectionRows, projectionShapes } from '../model/locate-weights.ts';
import { streamSafetensors, type TensorOutline } from '../model/safetensors-writer.ts';
import type { WeightDtype } from '../model/weights.ts';
import { writeFileAtomically } from '../util/atomic-file.ts';
import { threadCount } from '../util/threads.ts';
import { UsageError } from '../errors.ts';
import { storedName } from './fused.ts';
import { copyModelFiles, encodeFloats, refuseSameFolder } from './save-model.ts';

export interface MergeOptions {
  /** A model folder, or a name in the local Hub cache. */
  readonly model: string;
  /** An adapter folder in PEFT's layout, trained on this model. */
  readonly adapter: string;
  /** The folder to write; it may not be the model's. */
  readonly output: string;
  /** Element type of all weights; default: each keeps its own. */
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
  const headers = await Promise.all(checkpoint.weightFiles.map((file) => readSafetensorsHeader(file)));
  const total = headers.reduce((sum, header) => sum + header.tensors.size, 0);
  await mkdir(options.output, { recursive: true });
  const session = await openSession(mergeGraph(), { threads: threadCount(), packed: false });
  const names = shardNames(headers.length);
  let done = 0;
  try {
    for (const [i, { file, tensors }] of headers.entries()) {
      const entries = [...tensors.values()];
      await writeShard(join(options.output, names[i]!), file, entries, options.dtype, async (entry, data) => {
        for (const pair of byTensor.get(entry.name) ?? []) await mergePair(session, config, data, pair);
        options.onProgress?.(++done, total);
        return data;
      });
    }
  } finally {
    await session.release();
  }
  if (headers.length > 1)
    await writeIndex(
      options.output,
      names,
      headers.map(({ tensors }) => [...tensors.values()]),
      options.dtype,
    );
  await copyModelFiles(options.output, checkpoint, options.dtype ?? null);
  return { output: options.output, merged: byTensor.size, tensors: total };
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

/** Float tensors pass through `change`; others are copied as they are. */
async function writeShard(
  path: string,
  source: string,
  entries: readonly TensorEntry[],
  dtype: WeightDtype | undefined,
  change: (entry: TensorEntry, data: Float32Array) => Promise<Float32Array>,
): Promise<void> {
  const file = await openFile(source);
  try {
    const outlines = entries.map((entry) => outlineOf(entry, dtype));
    await streamSafetensors(
      path,
      outlines,
      async (outline, i) => {
        const entry = entries[i]!;
        if (!isFloatDtype(entry.dtype)) {
          const bytes = new Uint8Array(entry.byteLength);
          await readExactly(file, bytes, entry.offset);
          return bytes;
        }
        const data = await change(entry, await readFloats(file, entry, entry.dtype));
        return encodeFloats(entry.name, data, outline.dtype as WeightDtype);
      },
      { format: 'pt' },
    );
  } finally {
    await file.handle.close();
  }
}

function outlineOf({ name, shape, dtype: own }: TensorEntry, dtype: WeightDtype | undefined): TensorOutline {
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
  shards: readonly (readonly TensorEntry[])[],
  dtype: WeightDtype | undefined,
): Promise<void> {
  const bytes = (entry: TensorEntry): number =>
    dtype === undefined || !isFloatDtype(entry.dtype)
      ? entry.byteLength
      : entry.shape.reduce((product, axis) => product * axis, 1) * (dtype === 'F32' ? 4 : 2);
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
