/** Training: LoRA adapters or all weights, with interventions in the forward pass, and what becomes of them. */
export { parseTrainConfig, readTrainConfig } from './config.ts';
export type { TrainConfig } from './config.ts';
export { createTrainer } from './create-trainer.ts';
export { measureEffect } from './effect.ts';
export type { EffectReport, LayerEffect } from './effect.ts';
export { mergeAdapter } from './merge-adapter.ts';
export type { MergeOptions, MergeResult } from './merge-adapter.ts';
export { planTraining } from './plan.ts';
export type { TrainPlan } from './plan.ts';
export type { TrainEvent } from './progress.ts';
export { train } from './train.ts';
export type { TrainerFactory, TrainOptions, TrainResult } from './train.ts';
export type {
  AdamWOptions,
  EvaluateResult,
  FullMethod,
  LoraMethod,
  MicroBatchResult,
  NamedTensor,
  ProjectionPenalty,
  SgdOptions,
  Trainer,
  TrainerOptions,
  TrainerState,
  TrainingRow,
  UpdateResult,
} from './types.ts';
