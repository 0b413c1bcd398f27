import type { FileHandle } from 'node:fs/promises';
import { loadFromCheckpoint } from '../engine/load.ts';
import type { Dtype, LanguageModel } from '../engine/model.ts';
import type { ForwardResult, Pooling } from '../engine/types.ts';
import { AbortError, DataError, UsageError } from '../errors.ts';
import { loadCheckpoint } from '../model/checkpoint.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { safetensorsHeader } from '../model/safetensors-writer.ts';
import type { SafetensorsOutline } from '../model/safetensors-writer.ts';
import { writeAt } from '../util/write-at.ts';
import { writeFileAtomically } from '../util/atomic-file.ts';
import { defined } from '../util/defined.ts';
import { readActivationRows } from './activation-rows.ts';
import type { EncodedRow } from './activation-rows.ts';

export interface ActivationsOptions {
  /** A model folder, or `owner/name` in the local Hugging Face cache. */
  readonly model: string;
  /** A JSON-lines file of rows (see `rowLayouts`). */
  readonly input: string;
  /** The safetensors file to write. */
  readonly output: string;
  /** Default: `response_mean`. */
  readonly pool?: readonly Pooling[];
  /** Folder of a LoRA adapter that the model is run with; see `adaptCheckpoint`. */
  readonly adapter?: string;
  /** Of the weights; default `fp32`. */
  readonly dtype?: Dtype;
  /** Weights that share a scale, for `int8` and `int4`; default 32. */
  readonly blockSize?: 32 | 128;
  /** Takes lines about the loading of the model that a user should see. */
  readonly onNotice?: (message: string) => void;
  /** Cap on padded tokens in a batch; never needed for correctness. */
  readonly batchTokens?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** What was written where. */
export interface ActivationsResult {
  readonly output: string;
  readonly poolings: readonly Pooling[];
  /** Of each tensor: `[rows, L+1, width]`. */
  readonly shape: readonly [number, number, number];
  readonly tokens: number;
}

/**
 * Tokens that are read ahead and sorted by length for one call of the engine: enough for batches with little padding,
 * few enough that memory does not grow with the file.
 */
const chunkTokens = 65_536;

/**
 * Pools the residual stream of every row of a file and writes one tensor per pooling, `[rows, L+1, width]` F32 in the
 * file's order, row l of the middle axis = layer l. The file is there whole or not at all.
 *
 * @throws DataError naming the line of a row that cannot be used, before the model is loaded; AbortError when stopped.
 */
export async function activations(options: ActivationsOptions): Promise<ActivationsResult> {
  const { input, output, pool: poolings = ['response_mean'] } = options;
  const checkpoint = await loadCheckpoint(options.model, options.adapter);
  checkPoolings(poolings, checkpoint);
  const { rows, tokens } = await measureRows(options, checkpoint, poolings);
  const shape = [rows, checkpoint.config.layers + 1, checkpoint.config.width] as const;
  const outline = outlineOf(poolings, shape, checkpoint);
  await writeFileAtomically(output, async (handle) => {
    const { dtype, blockSize, onNotice } = options;
    const model = await loadFromCheckpoint(checkpoint, {
      purpose: 'one-pass',
      ...defined({ dtype, blockSize, onNotice }),
    });
    try {
      await writeAt(handle, outline.bytes, 0);
      await fill({ model, handle, outline, poolings, rows, input }, options);
    } catch (error) {
      // The engine knows neither what is lost nor what to do about it.
      throw error instanceof AbortError ? stopped(output) : error;
    } finally {
      await model.close();
    }
  });
  return { output, poolings, shape, tokens };
}

/** UsageError for poolings that the checkpoint cannot give. */
export function checkPoolings(poolings: readonly Pooling[], checkpoint: Checkpoint): void {
  if (poolings.length === 0) throw new UsageError('Expected at least one pooling, got none.');
  if (poolings.includes('boundary_mean') && checkpoint.tokenizer === null) {
    throw new UsageError(
      `Pooling boundary_mean needs a tokenizer to find sentence ends, but "${checkpoint.folder}" has no tokenizer.json; choose other poolings.`,
    );
  }
}

/** Reads every row once, so that a bad one is told before hours of work, and the header can be written first. */
export async function measureRows(
  { input, output, signal }: Pick<ActivationsOptions, 'input' | 'output' | 'signal'>,
  checkpoint: Checkpoint,
  poolings: readonly Pooling[],
): Promise<{ rows: number; tokens: number }> {
  let rows = 0;
  let tokens = 0;
  for await (const row of readActivationRows(input, checkpoint, poolings)) {
    if (signal?.aborted === true) throw stopped(output);
    rows++;
    tokens += row.ids.length;
  }
  if (rows === 0) {
    throw new DataError(`"${input}": expected at least one row, got none; is it the right file?`, {
      details: { file: input },
    });
  }
  return { rows, tokens };
}

/** The header of the file to write. */
export function outlineOf(
  poolings: readonly Pooling[],
  shape: readonly number[],
  checkpoint: Checkpoint,
): SafetensorsOutline {
  const tensors = poolings.map((name) => ({ name, dtype: 'F32' as const, shape }));
  return safetensorsHeader(tensors, {
    format: 'persona-vectors activations',
    model: checkpoint.id,
    rows: 'one per row of the input, in its order',
    layers: 'row 0 = embeddings, row l = residual stream after block l, before the final norm',
  });
}

/** Everything that a pass over the rows needs. */
interface Plan {
  readonly model: LanguageModel;
  readonly handle: FileHandle;
  readonly outline: SafetensorsOutline;
  readonly poolings: readonly Pooling[];
  readonly rows: number;
  readonly input: string;
}

async function fill(plan: Plan, { batchTokens, signal, onProgress }: ActivationsOptions): Promise<void> {
  const { model, poolings: pool } = plan;
  let done = 0;
  onProgress?.(done, plan.rows);
  for await (const { first, chunk } of chunksOf(plan)) {
    for await (const result of model.forward(chunk, defined({ pool, batchTokens, signal }))) {
      await writeRow(plan, first + result.index, result);
      // Counted beside the call: without a listener its arguments are not evaluated.
      done++;
      onProgress?.(done, plan.rows);
    }
    if (signal?.aborted === true) throw new AbortError('Stopped between two chunks of rows.');
  }
  if (done !== plan.rows) throw fileChanged(plan.input);
}

/** The rows in chunks of about `chunkTokens`; `first` is the file's index of a chunk's first row. */
async function* chunksOf({
  model,
  input,
  poolings,
  rows,
}: Plan): AsyncGenerator<{ first: number; chunk: EncodedRow[] }> {
  let first = 0;
  let chunk: EncodedRow[] = [];
  let tokens = 0;
  for await (const row of readActivationRows(input, model.checkpoint, poolings)) {
    if (first + chunk.length >= rows) throw fileChanged(input);
    chunk.push(row);
    tokens += row.ids.length;
    if (tokens < chunkTokens) continue;
    yield { first, chunk };
    first += chunk.length;
    [chunk, tokens] = [[], 0];
  }
  if (chunk.length > 0) yield { first, chunk };
}

async function writeRow(
  { handle, outline, poolings }: Plan,
  row: number,
  result: ForwardResult,
): Promise<void> {
  for (const [i, pooling] of poolings.entries()) {
    const values = result.pooled[pooling]!;
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    await writeAt(handle, bytes, outline.entries[i]!.offset + row * values.byteLength);
  }
}

function stopped(output: string): AbortError {
  return new AbortError(`Stopped; nothing was written to "${output}", and the same command starts over.`);
}

function fileChanged(file: string): DataError {
  return new DataError(`"${file}" changed while it was read; run the command again when it is complete.`, {
    details: { file },
  });
}
