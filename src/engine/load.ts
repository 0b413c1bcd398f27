import { UsageError } from '../errors.ts';
import { loadCheckpoint } from '../model/checkpoint.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { underAdapter } from './adapted-model.ts';
import { scoreContinuations } from './continuations.ts';
import { deviceOf } from './device-name.ts';
import { requireDevice } from './device.ts';
import { forwardRows } from './forward.ts';
import { generateRows } from './generate.ts';
import type { LanguageModel, LoadModelOptions, LoadOptions } from './model.ts';
import { prepareWeights, recipeName, type WeightRecipe } from './quantised-weights.ts';
import { Scheduler } from './scheduler.ts';
import { Runtime } from './runtime.ts';

/**
 * Loads a model from a folder in Hugging Face layout, a GGUF file, or `owner/name[@revision]` from the local Hub cache, or opens
 * one on a server (`vllm-lens:http://gpu:8000/v1#MODEL`; see docs/engines.md).
 * @throws ModelError, ParseError or UsageError where the folder cannot be run, saying why.
 */
export async function loadModel(model: string, options: LoadModelOptions = {}): Promise<LanguageModel> {
  const { adapter, ...loading } = options;
  return loadFromCheckpoint(await loadCheckpoint(model, adapter), loading);
}

/** As `loadModel`, for a checkpoint that has been read already. */
export async function loadFromCheckpoint(
  checkpoint: Checkpoint,
  options: LoadOptions = {},
): Promise<LanguageModel> {
  if (checkpoint.adapted !== undefined) {
    const { base, adapter } = checkpoint.adapted;
    return underAdapter(await loadFromCheckpoint(base, options), checkpoint, adapter);
  }
  if (options.worker === true && checkpoint.remote === null) {
    const { loadInWorker } = await import('./worker/worker-model.ts');
    return loadInWorker(checkpoint, options);
  }
  checkLoadOptions(checkpoint, options);
  if (checkpoint.remote !== null) {
    const { openRemote } = await import('./remote/open-remote.ts');
    return openRemote(checkpoint, checkpoint.remote, options);
  }
  const recipe = recipeOf(options);
  const { threads, onNotice } = options;
  const device = deviceOf(options.device);
  requireDevice(device);
  const weights = await prepareWeights(checkpoint, recipe, { threads, onNotice });
  const runtime = await Runtime.create(checkpoint, { weights, recipe }, { ...options, device });
  const scheduler = new Scheduler(runtime);
  return {
    checkpoint,
    precision: precisionOf(options),
    forward: (rows, forwardOptions) => forwardRows(runtime, rows, forwardOptions),
    generate: (rows, generateOptions) => generateRows(scheduler, rows, generateOptions, checkpoint),
    scoreContinuations: (rows, scoreOptions) => scoreContinuations(runtime, rows, scoreOptions),
    close: () => runtime.close(),
  };
}

/** What a model that is loaded with `options` runs in; see `LanguageModel.precision`. */
export function precisionOf(options: Pick<LoadOptions, 'dtype' | 'blockSize' | 'device'>): string {
  const device = deviceOf(options.device);
  const name = recipeName(recipeOf(options));
  return device === 'cpu' ? name : `${name}-${device}`;
}

function recipeOf({ dtype = 'fp32', blockSize = 32 }: LoadOptions): WeightRecipe | null {
  return dtype === 'fp32' ? null : { bits: dtype === 'int8' ? 8 : 4, blockSize };
}

function checkLoadOptions(checkpoint: Checkpoint, options: LoadOptions): void {
  const { threads = 1, context = 1 } = options;
  if (!Number.isInteger(threads) || threads < 1) {
    throw new UsageError(`expected a whole number of threads above 0, got ${threads}`);
  }
  const longest = checkpoint.config.maxPositions;
  if (!Number.isInteger(context) || context < 1 || context > longest) {
    throw new UsageError(
      `expected a context from 1 to ${longest} tokens (the checkpoint's limit), got ${context}`,
    );
  }
}
