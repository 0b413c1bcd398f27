import { DataError } from '../errors.ts';
import { join } from 'node:path';
import { precisionOf } from '../engine/load.ts';
import { type Checkpoint, loadCheckpoint } from '../model/checkpoint.ts';
import { checkpointFingerprint } from '../model/fingerprint.ts';
import { describeArtifact } from '../store/manifest.ts';
import type { Recipe } from '../store/run-folder.ts';
import { jsonValueSchema } from '../store/schema.ts';
import { type BatchPlan, largestPass, splitRows, stepsPerEpoch } from './batches.ts';
import { neutralKeys } from './config-schema.ts';
import { type TrainConfig, methodOf, optimizerOf, scheduleOf } from './config.ts';
import { type TrainingMemory, estimateTrainingMemory } from './memory.ts';
import type { TrainListener } from './progress.ts';
import type { RowStore } from './row-store.ts';
import { type ReadRows, type ReadRowsOptions, type RowCounts, readTrainingRows } from './rows.ts';
import type { Schedule } from './schedule.ts';
import { type ResolvedSteering, resolveSteering } from './steering.ts';
import type { TrainerOptions } from './types.ts';
import { type WatchedVector, resolveWatched } from './watch.ts';

/** A run with everything that it reads in hand, and nothing begun. */
export interface TrainSettings {
  readonly config: TrainConfig;
  readonly checkpoint: Checkpoint;
  readonly fingerprint: string;
  readonly steering: ResolvedSteering;
  readonly watched: readonly WatchedVector[];
  readonly rows: RowStore;
  readonly counts: RowCounts;
  readonly test: RowStore | null;
  readonly probes: RowStore | null;
  readonly plan: BatchPlan;
  readonly schedule: Schedule;
  readonly trainerOptions: TrainerOptions;
  readonly recipe: Recipe;
  /** Sentences that the user should read. */
  readonly notices: readonly string[];
}

export interface SettleOptions {
  readonly signal?: AbortSignal | undefined;
  readonly notify?: TrainListener;
}

/**
 * Reads and checks all that a run needs: model, vectors and every row, before a weight is loaded.
 *
 * @throws DataError, ModelError, ParseError or UsageError for what cannot be trained on, in one sentence.
 */
export async function settleTraining(
  config: TrainConfig,
  { signal, notify = () => undefined }: SettleOptions = {},
): Promise<TrainSettings> {
  const checkpoint = await loadCheckpoint(config.model);
  const steering = await resolveSteering(config, checkpoint);
  const watched = await resolveWatched(config, checkpoint);
  const reading = readingOptions(config, checkpoint, { signal, notify });
  const read = await readTrainingRows(config.training_file, checkpoint, reading);
  const { rows, test, probes } = await divide(config, checkpoint, {
    read,
    reading,
    watching: watched.length > 0,
  });
  const plan: BatchPlan = {
    rows,
    perDevice: config.per_device_train_batch_size,
    accumulation: config.gradient_accumulation_steps,
    shuffle: config.shuffle,
    seed: config.seed,
    packLength: config.pack ? reading.maxLength : null,
  };
  const totalSteps = config.max_steps ?? Math.max(1, Math.ceil(config.epochs * stepsPerEpoch(plan)));
  const fingerprint = await checkpointFingerprint(checkpoint);
  const notices = [...config.notices, ...steering.notices, ...rowNotices(read, reading, config)];
  return {
    config,
    checkpoint,
    fingerprint,
    steering,
    watched,
    rows,
    counts: read.counts,
    test,
    probes,
    plan,
    schedule: scheduleOf(config, totalSteps),
    trainerOptions: trainerOptionsOf(config, steering),
    recipe: await recipeOf(config, { fingerprint, rows, steering }),
    notices,
  };
}

/** Peak memory of the run, by its largest pass. */
export function memoryOf({ checkpoint, trainerOptions, plan, rows }: TrainSettings): TrainingMemory {
  const largest = largestPass(plan).map((index) => rows.row(index));
  return estimateTrainingMemory(checkpoint, trainerOptions, largest);
}

/** What the frozen weights are computed in. */
export function precisionOfConfig(config: Pick<TrainConfig, 'dtype' | 'block_size'>): string {
  return precisionOf({ dtype: config.dtype, blockSize: config.block_size });
}

/** What the trainer is told. */
function trainerOptionsOf(config: TrainConfig, steering: ResolvedSteering): TrainerOptions {
  return {
    method: methodOf(config),
    optimizer: optimizerOf(config),
    maxGradNorm: config.max_grad_norm,
    dtype: config.dtype,
    blockSize: config.block_size,
    seed: config.seed,
    recompute: config.recompute,
    pack: config.pack,
    interventions: steering.interventions,
    ...(steering.penalty === null ? {} : { penalty: steering.penalty }),
    ...(steering.klWeight === 0 ? {} : { kl: { weight: steering.klWeight } }),
    ...(config.threads === null ? {} : { threads: config.threads }),
  };
}

function readingOptions(
  config: TrainConfig,
  checkpoint: Checkpoint,
  { signal, notify }: { signal: AbortSignal | undefined; notify: TrainListener },
): ReadRowsOptions {
  return {
    maxLength: Math.min(config.max_seq_length, checkpoint.config.maxPositions),
    longRows: config.long_rows,
    promptWeight: config.prompt_loss_weight,
    ...(signal === undefined ? {} : { signal }),
    onProgress: (rows) => notify({ type: 'rows', rows }),
  };
}

interface Division {
  readonly read: ReadRows;
  readonly reading: ReadRowsOptions;
  readonly watching: boolean;
}

/** Which rows are trained on, held out and probed. */
async function divide(
  config: TrainConfig,
  checkpoint: Checkpoint,
  { read, reading, watching }: Division,
): Promise<Pick<TrainSettings, 'rows' | 'test' | 'probes'>> {
  const fromFile = async (file: string): Promise<RowStore> =>
    (await readTrainingRows([file], checkpoint, reading)).rows;
  let { rows } = read;
  let test: RowStore | null = null;
  if (config.test_file !== null) test = await fromFile(config.test_file);
  if (config.test_split > 0) {
    const split = splitRows(rows.length, config.test_split, config.seed);
    requireBoth(split, config.test_split);
    [test, rows] = [rows.pick(split.test), rows.pick(split.train)];
  }
  if (!watching) return { rows, test, probes: null };
  const source = config.probe_file === null ? (test ?? rows) : await fromFile(config.probe_file);
  const count = Math.min(config.probe_rows, source.length);
  return { rows, test, probes: source.pick(Array.from({ length: count }, (_, i) => i)) };
}

function requireBoth(split: ReturnType<typeof splitRows>, asked: number): void {
  if (split.test.length > 0 && split.train.length > 0) return;
  const total = split.test.length + split.train.length;
  throw new DataError(
    `Expected "test_split" to leave rows on both sides, got ${asked} of ${total} rows, which holds out ${split.test.length}; choose another share.`,
    { details: { rows: total, test: split.test.length } },
  );
}

/** All that decides the parameters at the end; equal recipes on one machine end in the same bits. */
async function recipeOf(
  config: TrainConfig,
  { fingerprint, rows, steering }: Pick<TrainSettings, 'fingerprint' | 'rows' | 'steering'>,
): Promise<Recipe> {
  const left = new Set<string>([
    ...neutralKeys,
    'notices',
    'steering',
    'steering_config',
    'penalty',
    'kl',
    'init_adapter',
  ]);
  const options = Object.fromEntries(Object.entries(config).filter(([key]) => !left.has(key)));
  const initial = config.init_adapter;
  return {
    kind: 'train',
    model_fingerprint: fingerprint,
    precision: precisionOfConfig(config),
    data: { rows: rows.length, tokens: rows.tokens, sha256: rows.digest() },
    init_adapter:
      initial === null ? null : (await describeArtifact(join(initial, 'adapter_model.safetensors'))).sha256,
    steering: steering.recipe,
    options: jsonValueSchema.parse(options),
  };
}

function rowNotices({ counts, longest }: ReadRows, reading: ReadRowsOptions, config: TrainConfig): string[] {
  const { maxLength } = reading;
  const limit =
    maxLength < config.max_seq_length && longest > maxLength
      ? `${maxLength} tokens (the model's context)`
      : `${maxLength} tokens`;
  const notices: string[] = [];
  if (counts.truncated > 0)
    notices.push(
      `${counts.truncated} of ${counts.read} rows were longer than ${limit} and lost their ends; the longest had ${longest} tokens.`,
    );
  if (counts.skippedLong > 0)
    notices.push(
      `${counts.skippedLong} of ${counts.read} rows were longer than ${limit} and were left out; the longest had ${longest} tokens.`,
    );
  if (counts.skippedEmpty > 0)
    notices.push(
      `${counts.skippedEmpty} of ${counts.read} rows had no token that counts within the limit and were left out.`,
    );
  if (counts.systemMerged > 0)
    notices.push(
      `The chat template takes no system message; in ${counts.systemMerged} rows it stands before the first user message.`,
    );
  return notices;
}
