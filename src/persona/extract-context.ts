import { type FileSystem, systemFiles } from '../store/files.ts';
import type { ScoredRollout } from '../store/rollout-schema.ts';
import { type RolloutStore, openRolloutStore } from '../store/rollout-store.ts';
import type { RunFolder } from '../store/run-folder.ts';
import type { ExtractOptions, Settings } from './extract-options.ts';
import type { ExtractStep, ProgressListener } from './progress.ts';
import { makeRollouts } from './make-rollouts.ts';
import type { PlannedRollout } from './rollouts.ts';

/** What the steps of one extraction share. */
export interface ExtractContext {
  readonly settings: Settings;
  readonly folder: RunFolder;
  readonly files: FileSystem;
  readonly notify: ProgressListener;
  readonly batchRows: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** By step; null for a step that an earlier process finished. */
  readonly seconds: Record<string, number | null>;
}

/** The context of a call. */
export function openContext(settings: Settings, folder: RunFolder, options: ExtractOptions): ExtractContext {
  return {
    settings,
    folder,
    files: options.files ?? systemFiles,
    notify: options.onProgress ?? (() => undefined),
    batchRows: options.batchRows,
    signal: options.signal,
    seconds: {},
  };
}

/** Runs a step, telling its start and end; `work` says whether it found everything done. */
export async function runStep<T>(
  context: ExtractContext,
  step: ExtractStep,
  work: () => Promise<{ readonly value: T; readonly reused: boolean }>,
): Promise<T> {
  const start = performance.now();
  context.notify({ type: 'step-start', step });
  const { value, reused } = await work();
  const seconds = (performance.now() - start) / 1000;
  context.seconds[step] = reused ? null : seconds;
  context.notify({ type: 'step-end', step, seconds, reused });
  return value;
}

/** A plan's finished rollouts, in planned order, and the reader of their activations; close it. */
export interface StepRollouts {
  readonly rows: readonly ScoredRollout[];
  readonly record: RolloutStore['record'];
  /** Whether an earlier process had finished them. */
  readonly reused: boolean;
  readonly close: () => Promise<void>;
}

/** Where a step's rollouts are stored. */
export interface RolloutPaths {
  readonly rows: string;
  readonly activations: string | null;
}

/** Makes what is missing of a plan under the run's settings. */
export function runRollouts(
  context: ExtractContext,
  step: ExtractStep,
  plan: readonly PlannedRollout[],
  paths: RolloutPaths,
): Promise<StepRollouts> {
  const keys = plan.map(({ key }) => key);
  const capture = paths.activations !== null;
  return fillStore(context, keys, paths, (store) => makeMissing(context, step, plan, store, capture));
}

/** Opens the store of `keys`, lets `fill` finish it, and leaves it open to be read. */
export async function fillStore(
  context: ExtractContext,
  keys: readonly string[],
  paths: RolloutPaths,
  fill: (store: RolloutStore) => Promise<void>,
): Promise<StepRollouts> {
  const store = await openRolloutStore({ ...paths, ...storeLayout(context, keys) });
  try {
    const reused = store.finished;
    if (store.droppedBytes > 0) {
      const message = `An earlier process was stopped while it wrote a row; ${store.droppedBytes} bytes of it were dropped, and the row is made again.`;
      context.notify({ type: 'note', message });
    }
    await fill(store);
    return { rows: store.scored(), record: store.record, reused, close: store.close };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** The rows of the two files belong together by their place, so the file of activations names what row is what. */
export const activationsMetadata = {
  rows: 'one per line of rollouts.jsonl, in the same order',
  layer_index_base: '0',
} as const;

function storeLayout(
  { settings, files }: ExtractContext,
  keys: readonly string[],
): Pick<Parameters<typeof openRolloutStore>[0], 'keys' | 'layout' | 'files'> {
  const { layers, width } = settings.model.checkpoint.config;
  const layout = { names: settings.capture, shape: [layers + 1, width], metadata: activationsMetadata };
  return { keys, layout, files };
}

async function makeMissing(
  context: ExtractContext,
  step: ExtractStep,
  plan: readonly PlannedRollout[],
  store: RolloutStore,
  capture: boolean,
): Promise<void> {
  const { settings, batchRows, signal } = context;
  const { sampling, temperature } = settings;
  const total = plan.length;
  await makeRollouts({
    model: settings.model,
    trait: settings.trait,
    plan,
    store,
    judge: settings.judge,
    sampling: step === 'rollouts' ? { ...sampling, temperature } : sampling,
    capture: capture ? settings.capture : [],
    keepThoughts: settings.keepThoughts,
    ...(batchRows === undefined ? {} : { batchRows }),
    ...(signal === undefined ? {} : { signal }),
    onProgress: (phase, done, tokens) =>
      context.notify({ type: 'step-progress', step, phase, done, total, tokens }),
  });
}
