import { z } from 'zod';
import { artifactSchema, originSchema } from './manifest.ts';
import { jsonValueSchema } from './schema.ts';

const numbersByName = z.record(z.string(), z.number());

/** A line of `train_log.jsonl`: one optimiser step, measured on the parameters as the step found them. */
export const trainStepSchema = z.object({
  /** Counted from 1. */
  step: z.int().min(1),
  /** Counted from 0. */
  epoch: z.int().min(0),
  /** Σ weight · nll / Σ weight over the step's rows. */
  loss: z.number(),
  lr: z.number(),
  /** Before clipping. */
  grad_norm: z.number(),
  /** Of the step's rows, prompts included. */
  tokens: z.int(),
  seconds: z.number(),
  /** Further terms of the loss, by name, each over Σ weight. */
  penalties: numbersByName.exactOptional(),
  /** Mean projection of the probe rows on every watched vector, in the steps in which it was measured. */
  projections: numbersByName.exactOptional(),
  /** Mean loss of the held-out rows. */
  test_loss: z.number().exactOptional(),
});
export type TrainStep = z.infer<typeof trainStepSchema>;

/** What was measured after the last step. */
export const trainFinalSchema = z.object({
  projections: numbersByName.exactOptional(),
  test_loss: z.number().exactOptional(),
});
export type TrainFinal = z.infer<typeof trainFinalSchema>;

/** `manifest.json` of a training run, written last: a folder that has one is a finished run. */
export const trainManifestSchema = originSchema.extend({
  kind: z.literal('train'),
  /** The training file as it was understood, defaults filled in. */
  config: z.record(z.string(), jsonValueSchema),
  /** What decides the results; see `recipe.json`. */
  recipe: z.record(z.string(), jsonValueSchema),
  /** Rows read, kept, cut and left out; steps, epochs and tokens. */
  counts: z.record(z.string(), z.number()),
  final: trainFinalSchema,
  /** Σ of the steps' own seconds, whichever process took them. */
  seconds: z.number(),
  artifacts: z.record(z.string(), artifactSchema),
});
export type TrainManifest = z.infer<typeof trainManifestSchema>;
