import { z } from 'zod';
import { poolings } from '../engine/types.ts';
import { projections } from '../model/weights.ts';
import { schedules } from './schedule.ts';

const positions = z.enum(['all', 'prompt', 'response', 'boundary']);
const layerList = z.array(z.int().min(1)).min(1);
/** A vector file, the authors' `.pt`, or the numbers themselves. */
const vector = z.union([z.string().min(1), z.array(z.number()).min(1)]);
const positive = z.int().min(1);

/** One or several interventions of the training forward; see `resolveSteering`. */
const steeringEntry = z.strictObject({
  vector,
  /** Which pooling of a vector file; default: the one that it recommends. */
  pooling: z.enum(poolings).exactOptional(),
  layer: z.int().min(1).exactOptional(),
  layers: z.union([layerList, z.literal('all')]).exactOptional(),
  coef: z.number().exactOptional(),
  ablate: z.literal(true).exactOptional(),
  min: z.number().exactOptional(),
  max: z.number().exactOptional(),
  /** Add v_l − v_{l−1} instead of v_l, so that all layers together add each layer's own share. */
  incremental: z.boolean().exactOptional(),
  positions: positions.exactOptional(),
});
export type SteeringEntry = z.infer<typeof steeringEntry>;

const watchEntry = z.strictObject({
  vector: z.string().min(1),
  pooling: z.enum(poolings).exactOptional(),
  /** Default: the layer that the file recommends. */
  layer: z.int().min(1).exactOptional(),
  /** Default: the vector's trait, or the file's name. */
  name: z.string().min(1).max(80).exactOptional(),
});

const penalty = z.strictObject({
  weight: z.number().min(0),
  vector,
  pooling: z.enum(poolings).exactOptional(),
  layers: z.union([layerList, z.literal('all')]),
});
export type PenaltyEntry = z.infer<typeof penalty>;

/** Keys of the paper's own training files, with their defaults there. */
const paperKeys = {
  model: z.string().min(1),
  training_file: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
  test_file: z.string().min(1).nullable().default(null),
  finetuned_model_id: z.string().nullable().default(null),
  max_seq_length: z.int().min(2).default(2048),
  load_in_4bit: z.boolean().default(false),
  loss: z.string().default('sft'),
  is_peft: z.boolean().default(true),
  target_modules: z
    .union([z.array(z.enum(projections)).min(1), z.literal('all-linear')])
    .default([...projections]),
  lora_bias: z.string().default('none'),
  r: z.int().min(1).max(4096).default(16),
  lora_alpha: z.number().positive().default(16),
  lora_dropout: z.number().min(0).lt(1).default(0),
  use_rslora: z.boolean().default(true),
  merge_before_push: z.boolean().default(true),
  push_to_private: z.boolean().default(true),
  epochs: z.number().positive().max(100_000).default(1),
  max_steps: positive.nullable().default(null),
  per_device_train_batch_size: positive.default(2),
  gradient_accumulation_steps: positive.default(8),
  warmup_steps: z.int().min(0).default(5),
  learning_rate: z.union([z.number(), z.string()]).default(1e-4),
  logging_steps: positive.default(1),
  optim: z.enum(['adamw', 'adamw_8bit', 'adam', 'sgd']).default('adamw'),
  weight_decay: z.number().min(0).default(0.01),
  lr_scheduler_type: z.enum(schedules).default('linear'),
  seed: z.int().min(0).default(3407),
  beta: z.number().default(0.1),
  save_steps: positive.default(5000),
  output_dir: z.string().min(1).default('./tmp'),
  train_on_responses_only: z.boolean().default(true),
  no_test_split: z.boolean().default(false),
  steering_config: z
    .strictObject({
      steering_vector_path: z.string().min(1),
      type: z.enum(['steer', 'ablate']),
      steering_coef: z.number().default(1),
      layers: layerList,
    })
    .nullable()
    .default(null),
  enable_steering_during_training: z.boolean().default(false),
};

/** Keys of this package. */
const ownKeys = {
  init_adapter: z.string().min(1).nullable().default(null),
  /** Blocks that LoRA adapts, counted from 0 as PEFT does; null for all. */
  layers_to_transform: z.array(z.int().min(0)).min(1).nullable().default(null),
  dtype: z.enum(['fp32', 'int8']).default('fp32'),
  block_size: z.union([z.literal(32), z.literal(128)]).default(32),
  save_dtype: z.enum(['F32', 'F16', 'BF16']).default('F32'),
  recompute: z.boolean().default(false),
  threads: positive.nullable().default(null),
  /** Largest norm of a step's gradient; null clips nothing. */
  max_grad_norm: z.number().positive().nullable().default(1),
  adam_beta1: z.number().min(0).lt(1).default(0.9),
  adam_beta2: z.number().min(0).lt(1).default(0.999),
  adam_epsilon: z.number().positive().default(1e-8),
  momentum: z.number().min(0).lt(1).default(0),
  /** The schedule never falls below this share of `learning_rate` after the warm-up. */
  min_lr_ratio: z.number().min(0).max(1).default(0),
  /** Of `cosine_with_restarts`. */
  num_cycles: positive.default(1),
  /** Of `polynomial`, with the end of the decay. */
  lr_power: z.number().positive().default(1),
  lr_end: z.number().min(0).default(1e-7),
  shuffle: z.boolean().default(true),
  /** Fill micro-batches by tokens instead of by rows. */
  pack: z.boolean().default(false),
  long_rows: z.enum(['truncate', 'skip']).default('truncate'),
  /** Weight in the loss of tokens that are no response: system, user and the template's own. */
  prompt_loss_weight: z.number().min(0).max(1).exactOptional(),
  /** Rows held out: a share below 1, or a count; 0 trains on every row. */
  test_split: z.number().min(0).default(0),
  eval_steps: positive.default(100),
  /** A checkpoint is written at least this often, whatever `save_steps` says. */
  save_minutes: z.number().positive().default(10),
  keep_checkpoints: positive.default(2),
  watch: z.array(z.union([z.string().min(1), watchEntry])).default([]),
  watch_steps: positive.default(10),
  watch_pooling: z.enum(poolings).default('prompt_last'),
  probe_file: z.string().min(1).nullable().default(null),
  probe_rows: positive.default(16),
  steering: z.array(steeringEntry).default([]),
  penalty: penalty.nullable().default(null),
  kl: z
    .union([z.number().min(0), z.strictObject({ weight: z.number().min(0) })])
    .nullable()
    .default(null),
};

/** A training file as JSON, defaults filled in. */
export const trainFileSchema = z.object({ ...paperKeys, ...ownKeys });
export type TrainFile = z.infer<typeof trainFileSchema>;

/** All keys that a training file may have. */
export const trainFileKeys: readonly string[] = Object.keys(trainFileSchema.shape);

/**
 * Keys that leave the trained numbers as they are: a run is continued when they differ. Names of files are among them,
 * because what is in the files is compared instead.
 */
export const neutralKeys: readonly (keyof TrainFile)[] = [
  'model',
  'training_file',
  'test_file',
  'finetuned_model_id',
  'merge_before_push',
  'push_to_private',
  'beta',
  'no_test_split',
  'logging_steps',
  'save_steps',
  'save_minutes',
  'keep_checkpoints',
  'output_dir',
  'watch',
  'watch_steps',
  'watch_pooling',
  'probe_file',
  'probe_rows',
  'eval_steps',
  'threads',
];
