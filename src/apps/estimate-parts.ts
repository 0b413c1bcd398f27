import { defaultBatchRows, roomForRows } from '../engine/cache-room.ts';
import { KvCache } from '../engine/kv-cache.ts';
import { precisionOf } from '../engine/load.ts';
import { baseOf, type Checkpoint } from '../model/checkpoint.ts';
import { checkpointFingerprint } from '../model/fingerprint.ts';
import { cacheFolder, weightCacheFolder } from '../store/cache-folder.ts';
import { isThere } from '../store/files.ts';
import { cacheFiles } from '../store/weight-cache-check.ts';
import { defined } from '../util/defined.ts';
import type { CountedStep, Estimate } from './estimate.ts';
import { cachedBytes, type WeightForm, weightMemory } from '../engine/model-memory.ts';

/** A row to be generated: its prompt, and what tells prompts apart that are run in ways of their own. */
export interface PlannedRow {
  readonly ids: readonly number[];
  /** Rows of one group and equal prompts share one run of the prompt. */
  readonly group: unknown;
}

/** Node, this package's code and the runtime, in bytes: what `persona generate` of a tiny model holds. */
const programBytes = 150e6;
/** The batch in hand: residuals, products and what the collector has not yet taken. */
const batchBytes = 100e6;

/** Counts a step that generates a reply for every row. */
export function countReplies(
  name: string,
  rows: readonly PlannedRow[],
  {
    maxTokens,
    checkpoint,
    batchRows,
  }: {
    readonly maxTokens: number;
    readonly checkpoint: Pick<Checkpoint, 'config'>;
    readonly batchRows?: number | undefined;
  },
): CountedStep {
  const { config } = checkpoint;
  const seen = new Map<unknown, Set<readonly number[]>>();
  let [promptTokens, runTokens, newTokens, longest] = [0, 0, 0, 0];
  for (const { ids, group } of rows) {
    promptTokens += ids.length;
    longest = Math.max(longest, ids.length);
    newTokens += Math.max(0, Math.min(maxTokens, config.maxPositions - ids.length));
    const prompts = seen.get(group) ?? new Set();
    seen.set(group, prompts);
    if (prompts.has(ids)) continue;
    prompts.add(ids);
    runTokens += ids.length;
  }
  const fitting = Math.min(batchRows ?? defaultBatchRows, roomForRows(config, longest, { maxTokens }));
  return {
    name,
    rows: rows.length,
    promptTokens,
    runTokens,
    newTokens,
    sideBySide: Math.min(fitting, rows.length),
  };
}

/** Counts a step that runs given texts once. */
export function countTexts(name: string, rows: number, tokens: number): CountedStep {
  return { name, rows, promptTokens: tokens, runTokens: tokens, newTokens: 0, sideBySide: 0 };
}

/** Memory of a model at work, beside what is free. */
export function memoryFor(
  checkpoint: Checkpoint,
  form: WeightForm,
  generation: { readonly rows: number; readonly tokens: number } | null,
): NonNullable<Estimate['memory']> {
  const { config } = checkpoint;
  const rows = generation?.rows ?? 0;
  const cache = rows * KvCache.slotBytes(config, generation?.tokens ?? 0);
  const logits = rows * 4 * config.vocabSize;
  const needed = programBytes + batchBytes + weightMemory(checkpoint, form) + cache + logits;
  return { needed, free: process.availableMemory() };
}

/** The file of quantised weights, where the command will have to make it first. */
export async function weightsToQuantise(
  checkpoint: Checkpoint,
  form: Pick<WeightForm, 'dtype' | 'blockSize'>,
  root: string = cacheFolder(),
): Promise<Estimate['disk']['files']> {
  const bytes = cachedBytes(checkpoint, form);
  if (bytes === null) return [];
  const base = baseOf(checkpoint);
  const folder = weightCacheFolder(
    root,
    base.id,
    await checkpointFingerprint(base),
    precisionOf({ ...defined(form), device: 'cpu' }),
  );
  const { manifest } = cacheFiles(folder);
  return (await isThere(manifest)) ? [] : [{ name: folder, bytes }];
}

/** What stands in the way, in sentences. */
export function warnings({ memory, disk }: Pick<Estimate, 'memory' | 'disk'>): string[] {
  const total = disk.files.reduce((sum, { bytes }) => sum + bytes, 0);
  return [
    ...(memory !== null && memory.needed > memory.free
      ? ['The memory that is free does not suffice; a shorter dtype (--dtype int8, int4) takes less.']
      : []),
    ...(disk.free !== null && total > disk.free ? ['The disk has too little space.'] : []),
  ];
}
