import { resolve } from 'node:path';
import type { Checkpoint } from '../model/checkpoint.ts';
import { writeWhole } from '../store/files.ts';
import { machineNote } from '../store/machine-note.ts';
import { type Artifact, SCHEMA_VERSION, describeArtifact } from '../store/manifest.ts';
import { packageInfo } from '../store/package-info.ts';
import { type OpenFolder, type RunFile, openFolder, runFiles } from '../store/run-folder.ts';
import { jsonValueSchema } from '../store/schema.ts';
import { openCheckpoints } from '../store/train-checkpoints.ts';
import { openTrainLog } from '../store/train-log.ts';
import {
  type TrainFinal,
  type TrainManifest,
  type TrainStep,
  trainManifestSchema,
} from '../store/train-schema.ts';
import { batchPlanner } from './batches.ts';
import { type TrainConfig, readTrainConfig } from './config.ts';
import { createTrainer } from './create-trainer.ts';
import type { EffectReport } from './effect.ts';
import { runLoop } from './loop.ts';
import { requireMemory } from './memory.ts';
import type { TrainListener } from './progress.ts';
import { renderTrainReport } from './report.ts';
import { type TrainSettings, memoryOf, precisionOfConfig, settleTraining } from './settings.ts';
import { steeringEffect } from './steering-effect.ts';
import { requireTrainingDevice } from './training-device.ts';
import type { Trainer, TrainerOptions } from './types.ts';
import { measurer } from './watch.ts';

/** Opens a model for training; see `createTrainer`. */
export type TrainerFactory = (checkpoint: Checkpoint, options: TrainerOptions) => Promise<Trainer>;

export interface TrainOptions {
  /** A training file, or one that `readTrainConfig` or `parseTrainConfig` has read. */
  readonly config: string | TrainConfig;
  /** Instead of the file's `output_dir` and `seed`. */
  readonly output?: string;
  readonly seed?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: TrainListener;
  /** Default: `createTrainer`, which trains on the runtime. */
  readonly createTrainer?: TrainerFactory;
}

/** A finished training. */
export interface TrainResult {
  /** Absolute path of the output folder, which holds the adapter or the model. */
  readonly folder: string;
  readonly manifest: TrainManifest;
  readonly steps: readonly TrainStep[];
  /** Absolute path of `report.html`. */
  readonly report: string;
}

/**
 * Trains as a configuration says, into its output folder: the adapter or the model, `train_log.jsonl`, a report and, last
 * of all, `manifest.json`. A run that was stopped or killed goes on from its last checkpoint when the same call is made
 * again, with the same losses, and a finished one is returned as it is.
 *
 * @throws DataError, ModelError, ParseError or UsageError for what cannot be trained on, before any weight is loaded;
 *   StoreError when the folder holds another run, is in use or full; DataError when loss or gradient are no numbers;
 *   AbortError when stopped by `signal`.
 */
export async function train(options: TrainOptions): Promise<TrainResult> {
  const { signal, onProgress: notify = () => undefined } = options;
  requireTrainingDevice();
  const config = await overridden(options);
  const settings = await settleTraining(config, { signal, notify });
  for (const message of settings.notices) notify({ type: 'notice', message });
  if (options.createTrainer === undefined) requireMemory(memoryOf(settings));
  const folder = await openFolder(config.output_dir, settings.recipe);
  try {
    const finished = await folder.readJson('manifest', trainManifestSchema);
    if (finished !== null) return await finishedResult(folder, finished);
    return await runTraining({
      settings,
      folder,
      notify,
      signal,
      createTrainer: options.createTrainer ?? createTrainer,
    });
  } finally {
    await folder.close();
  }
}

/** The configuration with what the call says instead. */
export async function overridden({
  config: given,
  output,
  seed,
}: Pick<TrainOptions, 'config' | 'output' | 'seed'>): Promise<TrainConfig> {
  const config = typeof given === 'string' ? await readTrainConfig(given) : given;
  return { ...config, output_dir: resolve(output ?? config.output_dir), seed: seed ?? config.seed };
}

interface TrainRun {
  readonly settings: TrainSettings;
  readonly folder: OpenFolder;
  readonly notify: TrainListener;
  readonly signal: AbortSignal | undefined;
  readonly createTrainer: TrainerFactory;
}

async function runTraining(run: TrainRun): Promise<TrainResult> {
  const { settings, folder, notify, signal } = run;
  const { config, schedule, rows } = settings;
  const checkpoints = await openCheckpoints(folder.path, config.keep_checkpoints);
  const state = await checkpoints.latest((message) => notify({ type: 'notice', message }));
  const startStep = state?.step ?? 0;
  if (startStep > 0) notify({ type: 'resume', step: startStep, total: schedule.totalSteps });
  const effect = await steeringEffect(settings, folder, notify);
  const log = await openTrainLog(folder.file('trainLog'), startStep);
  try {
    const trainer = await run.createTrainer(settings.checkpoint, settings.trainerOptions);
    try {
      if (state !== null) trainer.restore(state);
      const final = await runLoop({
        trainer,
        rows,
        batchOf: batchPlanner(settings.plan),
        schedule,
        startStep,
        log,
        checkpoints,
        saveSteps: config.save_steps,
        saveMinutes: config.save_minutes,
        measure: measurer(trainer, measurePlan(settings)),
        signal,
        onStep: (step, total) => notify({ type: 'step', step, total }),
      });
      await trainer.save(folder.path);
      const result = await finish(run, { steps: log.steps, final, effect });
      await checkpoints.clear();
      return result;
    } finally {
      await trainer.close();
    }
  } finally {
    await log.close();
  }
}

function measurePlan({ config, watched, probes, test }: TrainSettings): Parameters<typeof measurer>[1] {
  return {
    watched,
    probes,
    pooling: config.watch_pooling,
    watchSteps: config.watch_steps,
    test,
    testSteps: config.eval_steps,
    batchRows: config.per_device_train_batch_size,
  };
}

interface Measured {
  readonly steps: readonly TrainStep[];
  readonly final: TrainFinal;
  readonly effect: EffectReport | null;
}

/** Report and, last of all, the manifest, which says that the run is finished. */
async function finish(
  { settings, folder }: TrainRun,
  { steps, final, effect }: Measured,
): Promise<TrainResult> {
  const { config, checkpoint, counts, rows, schedule, test } = settings;
  const { notices: _, ...plain } = config;
  const manifest: Omit<TrainManifest, 'artifacts'> = {
    schema: SCHEMA_VERSION,
    kind: 'train',
    package: await packageInfo(),
    machine: machineNote(),
    model: {
      id: checkpoint.id,
      revision: checkpoint.revision,
      fingerprint: settings.fingerprint,
      dtype: precisionOfConfig(config),
      layers: checkpoint.config.layers,
      width: checkpoint.config.width,
    },
    config: jsonRecord(plain),
    recipe: { ...settings.recipe },
    counts: {
      rows_read: counts.read,
      rows: rows.length,
      rows_truncated: counts.truncated,
      rows_skipped_long: counts.skippedLong,
      rows_skipped_empty: counts.skippedEmpty,
      test_rows: test?.length ?? 0,
      steps: schedule.totalSteps,
      epochs: (steps.at(-1)?.epoch ?? 0) + 1,
      tokens: steps.reduce((sum, step) => sum + step.tokens, 0),
    },
    final,
    seconds: steps.reduce((sum, step) => sum + step.seconds, 0),
  };
  await writeWhole(
    folder.file('report'),
    renderTrainReport({ manifest, steps, effect, watched: settings.watched }),
  );
  const whole: TrainManifest = { ...manifest, artifacts: await describeArtifacts(folder, effect !== null) };
  await folder.writeJson('manifest', whole);
  return { folder: folder.path, manifest: whole, steps, report: folder.file('report') };
}

function jsonRecord(value: object): TrainManifest['config'] {
  return jsonValueSchema.parse(value) as TrainManifest['config'];
}

async function describeArtifacts(folder: OpenFolder, steered: boolean): Promise<Record<string, Artifact>> {
  const always: RunFile[] = ['recipe', 'trainLog', 'report'];
  const names: RunFile[] = steered ? [...always, 'steeringEffect'] : always;
  const artifacts: Record<string, Artifact> = {};
  for (const name of names) artifacts[runFiles[name]] = await describeArtifact(folder.file(name));
  return artifacts;
}

/** A run that an earlier call finished. */
async function finishedResult(folder: OpenFolder, manifest: TrainManifest): Promise<TrainResult> {
  const log = await openTrainLog(folder.file('trainLog'), manifest.counts['steps'] ?? 0);
  await log.close();
  return { folder: folder.path, manifest, steps: log.steps, report: folder.file('report') };
}
