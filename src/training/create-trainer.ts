import { planInterventions } from '../engine/interventions.ts';
import { prepareWeights, type QuantisedOrPlainSource } from '../engine/quantised-weights.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { projectionShapes } from '../model/locate-weights.ts';
import type { ModelWeights } from '../model/weights.ts';
import { threadCount } from '../util/threads.ts';
import { UsageError } from '../errors.ts';
import type { DropoutPlan } from './dropout.ts';
import { FrozenWeights } from './frozen-weights.ts';
import { fullTrainable } from './full.ts';
import { adaptedModules, loraTrainable } from './lora.ts';
import { createOptimizer } from './optimizer.ts';
import { planPenalty } from './penalty.ts';
import type { StepPlan } from './step-graph.ts';
import { GraphTrainer } from './trainer.ts';
import { endsSentence, type TrainingModel } from './training-model.ts';
import type { TrainerOptions } from './types.ts';

/**
 * A trainer for a checkpoint. Frozen weights stay in their files, or are quantised once into the package's cache.
 *
 * @throws UsageError for options that cannot be, or not together; ModelError for an adapter of another model.
 */
export async function createTrainer(checkpoint: Checkpoint, options: TrainerOptions): Promise<GraphTrainer> {
  const { maxGradNorm = null } = options;
  if (maxGradNorm !== null && !(maxGradNorm > 0))
    throw new UsageError(`expected a gradient norm limit > 0, or null for none, got ${maxGradNorm}`);
  const model = await loadTrainingModel(checkpoint, options);
  return new GraphTrainer({
    model,
    plan: planStep(model, options),
    dropout: planDropout(checkpoint, options),
    optimizer: createOptimizer(model.trainable.parameters, options.optimizer ?? { kind: 'adamw' }),
    maxGradNorm,
    pack: options.pack ?? true,
    threads: options.threads ?? threadCount(),
  });
}

/** The checkpoint with what is trained of it. */
export async function loadTrainingModel(
  checkpoint: Checkpoint,
  options: TrainerOptions,
): Promise<TrainingModel> {
  const { method, seed = 0, dtype = 'fp32' } = options;
  if (method.kind === 'full' && dtype !== 'fp32')
    throw new UsageError(
      `expected fp32 for full-parameter training, got ${dtype}; train a LoRA adapter instead`,
    );
  const trainable =
    method.kind === 'full'
      ? await fullTrainable(checkpoint, method)
      : await loraTrainable(checkpoint, method, seed);
  const weights = await baseWeights(checkpoint, options);
  // All weights of a model in full training are parameters.
  const frozen = method.kind === 'full' ? FrozenWeights.none() : await FrozenWeights.load(weights);
  return { checkpoint, config: checkpoint.config, weights, trainable, frozen };
}

/** What a step computes beside the loss, checked against the model. */
export function planStep(model: TrainingModel, options: TrainerOptions): StepPlan {
  const { method, interventions = [], penalty, kl, recompute = false } = options;
  if (kl !== undefined && !(kl.weight >= 0 && Number.isFinite(kl.weight)))
    throw new UsageError(`expected a finite KL weight ≥ 0, got ${kl.weight}`);
  if (interventions.some((one) => one.when !== undefined || 'keepNorm' in one))
    throw new UsageError(
      'expected interventions of the linear form while training, got one with "when" or "keepNorm"; leave them out',
    );
  return {
    interventions: planInterventions(interventions, model.config, endsSentence(model) !== null),
    keep: method.kind === 'lora' ? 1 - (method.dropout ?? 0) : 1,
    penalty: penalty === undefined ? null : planPenalty(penalty, model.config),
    kl: kl?.weight ?? 0,
    recompute,
  };
}

async function baseWeights(
  checkpoint: Checkpoint,
  { dtype = 'fp32', blockSize = 32, threads }: TrainerOptions,
): Promise<ModelWeights<QuantisedOrPlainSource>> {
  return prepareWeights(checkpoint, dtype === 'fp32' ? null : { bits: 8, blockSize }, { threads });
}

function planDropout({ config }: Checkpoint, { method, seed = 0 }: TrainerOptions): DropoutPlan | null {
  if (method.kind === 'full' || (method.dropout ?? 0) === 0) return null;
  const shapes = projectionShapes(config);
  return {
    seed,
    keep: 1 - method.dropout!,
    modules: adaptedModules({ config }, method).map(({ block, projection }) => ({
      block,
      projection,
      width: shapes[projection][1],
    })),
  };
}
