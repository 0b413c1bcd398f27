import { UsageError } from '../errors.ts';
import { loadCheckpoint } from '../model/checkpoint.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { scoreContinuations } from './continuations.ts';
import { forwardRows } from './forward.ts';
import { generateRows } from './generate.ts';
import type { LanguageModel, LoadOptions } from './model.ts';
import { loadQuantisedWeights, recipeName, type WeightRecipe } from './quantised-weights.ts';
import { Scheduler } from './scheduler.ts';
import { Runtime, type RuntimeWeights } from './runtime.ts';

/**
 * Loads a model from a folder in Hugging Face layout, or `owner/name[@revision]` from the local Hub cache.
 * @throws ModelError, ParseError or UsageError where the folder cannot be run, saying why.
 */
export async function loadModel(model: string, options: LoadOptions = {}): Promise<LanguageModel> {
  if (options.worker === true) {
    const { loadModelInWorker } = await import('./worker/worker-model.ts');
    return loadModelInWorker(model, options);
  }
  return loadFromCheckpoint(await loadCheckpoint(model), options);
}

/** As `loadModel`, for a checkpoint that has been read already. */
export async function loadFromCheckpoint(
  checkpoint: Checkpoint,
  options: LoadOptions = {},
): Promise<LanguageModel> {
  checkLoadOptions(checkpoint, options);
  const runtime = await Runtime.create(checkpoint, await prepareWeights(checkpoint, options), options);
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

async function prepareWeights(checkpoint: Checkpoint, options: LoadOptions): Promise<RuntimeWeights> {
  const recipe = recipeOf(options);
  if (recipe === null) return { weights: checkpoint.weights, recipe };
  const { threads, onNotice } = options;
  return { weights: await loadQuantisedWeights(checkpoint, recipe, { threads, onNotice }), recipe };
}

/** What a model that is loaded with `options` runs in; see `LanguageModel.precision`. */
export function precisionOf(options: Pick<LoadOptions, 'dtype' | 'blockSize'>): string {
  const recipe = recipeOf(options);
  return recipe === null ? 'fp32' : recipeName(recipe);
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
