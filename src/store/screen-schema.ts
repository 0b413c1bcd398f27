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

/** A number with its 95 % interval. */
const intervalSchema = z.object({
  mean: z.number().nullable(),
  lower: z.number().nullable(),
  upper: z.number().nullable(),
});

/** How well the differences tell rows that are known to show a trait from the others. */
const knownFoundSchema = z.object({ auroc: z.number(), rows: z.int(), flagged: z.int() });
export type KnownFound = z.infer<typeof knownFoundSchema>;

export const screenTraitSchema = z.object({
  name: z.string(),
  layer: z.int(),
  vector_sha256: z.string(),
  /** Of the whole data set: the projection difference of METHOD, or the raw projection. */
  difference: intervalSchema,
  sources: z.array(z.object({ source: z.string(), samples: z.int(), difference: intervalSchema })),
  threshold: z.number(),
  flagged: z.int(),
  /** Null where no rows are known. */
  known: knownFoundSchema.nullable(),
  /** 1001 values, from the least to the greatest, a tenth of a percent apart. */
  quantiles: z.array(z.number()),
});

/** Written last: a screening is finished when it is there. */
export const screenManifestSchema = originSchema.extend({
  kind: z.literal('screen'),
  mode: z.enum(['full', 'prompt-last', 'raw']),
  /** What the rows were taken for. */
  schema_of_rows: z.string(),
  files: z.array(z.string()),
  counts: z.record(z.string(), z.int()),
  traits: z.array(screenTraitSchema),
});
export type ScreenManifest = z.infer<typeof screenManifestSchema>;
export type ScreenTrait = z.infer<typeof screenTraitSchema>;
