import { z } from 'zod';
import { originSchema } from './manifest.ts';

/** One screened reply, as its shard keeps it. Numbers are in the residual stream's own units. */
export const screenRowSchema = z.object({
  key: z.string(),
  id: z.string(),
  source: z.string(),
  prompt: z.array(z.object({ role: z.enum(['system', 'user', 'assistant', 'tool']), content: z.string() })),
  reply: z.string(),
  /** Of the reply. */
  tokens: z.int(),
  /** Mean over the reply, one a vector. */
  projection: z.array(z.number()),
  /** What is subtracted from it; null in mode `raw`. */
  reference: z.array(z.number()).nullable(),
  /** The model's own reply, in mode `full`. */
  base_reply: z.string().nullable(),
});
export type ScreenRow = z.infer<typeof screenRowSchema>;

/** Why rows have no score, and how many: kept beside each shard, so that a run that goes on knows them. */
export const shardCountsSchema = z.object({
  rows: z.int(),
  samples: z.int(),
  empty: z.int(),
  long: z.int(),
  refused: z.int(),
});
export type ShardCounts = z.infer<typeof shardCountsSchema>;

/** What is kept of a model's own reply to a prompt. */
export const ownReplySchema = z.object({
  ids: z.array(z.int()),
  /** Mean residual over its words by layer, Float32 `[width]` in base64; null where it has no words. */
  means: z.record(z.string(), z.string()).nullable(),
});
export type OwnReplyState = z.infer<typeof ownReplySchema>;

/** What a judge said of a screened reply: a trait score a vector, 0–100, null where it refused. */
export const judgedRowSchema = z.object({ key: z.string(), scores: z.array(z.number().nullable()) });
export type JudgedRow = z.infer<typeof judgedRowSchema>;

/** A number with its 95 % interval. */
const intervalSchema = z.object({
  mean: z.number().nullable(),
  lower: z.number().nullable(),
  upper: z.number().nullable(),
});

/** How well the differences tell rows that are known to show a trait from the others. */
const knownFoundSchema = z.object({ auroc: z.number(), rows: z.int(), flagged: z.int() });
export type KnownFound = z.infer<typeof knownFoundSchema>;

/** What the judge of a trait adds to the difference. */
const judgedTraitSchema = z.object({
  id: z.string(),
  threshold: z.number(),
  /** Samples that are flagged by the judge, by the difference, and by each of them. */
  by_judge: z.int(),
  by_difference: z.int(),
  by_both: z.int(),
  unscored: z.int(),
  /** By the judge's scores alone; null where no rows are known. */
  known: knownFoundSchema.nullable(),
  /** 1001 scores, from the least to the greatest. */
  quantiles: z.array(z.number()),
});
export type JudgedTrait = z.infer<typeof judgedTraitSchema>;

/** How one trait's difference in mode `full` follows from that of `prompt-last`, and what flags by both modes share. */
const autoTraitSchema = z.object({
  name: z.string(),
  /** full ≈ intercept + slope · prompt-last, fitted on the control. */
  slope: z.number(),
  intercept: z.number(),
  r: z.number().nullable(),
  /** Nine tenths of the control's estimates lie within this of their full difference. */
  band: z.number(),
  /** Share of the control that is flagged, or not, as it would be with all rows in mode full. */
  agreement: z.number(),
  /** The same if nothing but the estimate decided. */
  estimate_agreement: z.number(),
  /** Of the control: flagged by mode full, and of these not flagged by mode auto. */
  control_flagged: z.int(),
  control_missed: z.int(),
});
export type AutoTrait = z.infer<typeof autoTraitSchema>;

/** What mode `auto` ran in mode `full`. */
export const autoSchema = z.object({
  control: z.int(),
  near: z.int(),
  /** Share of the samples that were not run in mode full. */
  saved: z.number(),
  traits: z.array(autoTraitSchema),
});
export type AutoFound = z.infer<typeof autoSchema>;

export const screenTraitSchema = z.object({
  name: z.string(),
  layer: z.int(),
  vector_sha256: z.string(),
  /** Of the whole data set: the projection difference of METHOD, or the raw projection. */
  difference: intervalSchema,
  sources: z.array(z.object({ source: z.string(), samples: z.int(), difference: intervalSchema })),
  threshold: z.number(),
  /** By the difference, the judge or either, as was asked. */
  flagged: z.int(),
  judge: judgedTraitSchema.nullable(),
  /** Null where no rows are known. */
  known: knownFoundSchema.nullable(),
  /** 1001 values, from the least to the greatest, a tenth of a percent apart. */
  quantiles: z.array(z.number()),
});

/** Written last: a screening is finished when it is there. */
export const screenManifestSchema = originSchema.extend({
  kind: z.literal('screen'),
  mode: z.enum(['auto', 'full', 'prompt-last', 'raw']),
  /** What the rows were taken for. */
  schema_of_rows: z.string(),
  files: z.array(z.string()),
  counts: z.record(z.string(), z.int()),
  auto: autoSchema.nullable(),
  traits: z.array(screenTraitSchema),
});
export type ScreenManifest = z.infer<typeof screenManifestSchema>;
export type ScreenTrait = z.infer<typeof screenTraitSchema>;
