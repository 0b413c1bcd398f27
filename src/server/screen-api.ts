/** What the routes of screenings take and give, beside `api.ts`. Differences are in the residual stream's own units. */

import { z } from '@hono/zod-openapi';

const trait = z.string().min(1).max(400).openapi({ description: 'A trait of the screening' });
const threshold = z.coerce
  .number()
  .exactOptional()
  .openapi({ description: 'Flagged is what lies here or above; default the screening’s own' });

export const histogramQuery = z.strictObject({
  trait,
  bins: z.coerce.number().int().min(1).max(400).exactOptional().openapi({
    description: 'About how many; their edges are round numbers. Default 80',
  }),
});
export type HistogramQuery = z.infer<typeof histogramQuery>;

export const screenRowsQuery = z.strictObject({
  trait,
  threshold,
  show: z.enum(['all', 'flagged', 'kept']).exactOptional().openapi({ description: 'Default `all`' }),
  order: z
    .enum(['high', 'low'])
    .exactOptional()
    .openapi({ description: 'Which difference comes first; default `high`' }),
  offset: z.coerce.number().int().min(0).exactOptional(),
  limit: z.coerce.number().int().min(1).max(500).exactOptional().openapi({ description: 'Default 50' }),
});
export type ScreenRowsQuery = z.infer<typeof screenRowsQuery>;

export const screenExportQuery = z.strictObject({
  trait,
  threshold,
  show: z.enum(['flagged', 'kept']),
  form: z.enum(['training', 'scored']).exactOptional().openapi({
    description: '`training` (default): id, source and messages; `scored`: with all scores',
  }),
});
export type ScreenExportQuery = z.infer<typeof screenExportQuery>;

export const screenItem = z
  .object({
    id: z.string(),
    name: z.string().openapi({ description: 'Its path below the folder that is served' }),
    model: z.string(),
    mode: z.enum(['auto', 'full', 'prompt-last', 'raw']),
    rows: z.int(),
    flagged: z.int().openapi({ description: 'For one trait or more, by the screening itself' }),
    traits: z.array(z.string()),
    data: z
      .array(z.string())
      .openapi({ description: 'Names of the files that were screened, three at most' }),
  })
  .openapi('Screen');
export type ScreenItem = z.infer<typeof screenItem>;
export const screenList = z.object({ data: z.array(screenItem) }).openapi('ScreenList');
export type ScreenList = z.infer<typeof screenList>;

/** A mean with its 95 % interval. */
const mean = z.object({
  mean: z.number().nullable(),
  lower: z.number().nullable(),
  upper: z.number().nullable(),
});
const screenTrait = z.object({
  name: z.string(),
  layer: z.int(),
  difference: mean,
  lowest: z.number(),
  highest: z.number(),
  threshold: z.number(),
  flagged: z.int(),
  judge: z.object({ id: z.string(), threshold: z.number() }).nullable(),
  sources: z
    .array(z.object({ source: z.string(), samples: z.int(), difference: mean }))
    .openapi({ description: 'The largest, fifty at most' }),
});
export const screenDetail = screenItem
  .omit({ traits: true })
  .extend({
    read_as: z.string().openapi({ description: 'What the rows were taken for' }),
    files: z.array(z.string()),
    counts: z.record(z.string(), z.int()),
    traits: z.array(screenTrait),
  })
  .openapi('ScreenDetail');
export type ScreenDetail = z.infer<typeof screenDetail>;

export const screenHistogram = z
  .object({
    trait: z.string(),
    rows: z.int(),
    edges: z.array(z.number()).openapi({ description: '[bins + 1], rising' }),
    counts: z.array(z.int()).openapi({ description: '[bins], of the lower edge and above' }),
  })
  .openapi('ScreenHistogram');
export type ScreenHistogram = z.infer<typeof screenHistogram>;

const scores = z.record(
  z.string(),
  z.object({
    difference: z.number(),
    percentile: z.number(),
    flagged: z.boolean().openapi({ description: 'By the screening itself' }),
    judge: z.number().nullable(),
  }),
);
const rowFacts = {
  row: z.int().openapi({ description: 'Place in the screening’s files, from 0' }),
  id: z.string(),
  source: z.string(),
  scored_by: z.string(),
  tokens: z.int(),
  scores,
};
const screenRow = z.object({
  ...rowFacts,
  prompt: z.string().openapi({ description: 'Beginning of the message before the reply' }),
  reply: z.string().openapi({ description: 'Its beginning' }),
});
export type ScreenRowItem = z.infer<typeof screenRow>;
export const screenRows = z
  .object({
    rows: z.int().openapi({ description: 'Of the screening' }),
    flagged: z.int().openapi({ description: 'At the threshold or above' }),
    total: z.int().openapi({ description: 'Of those that are shown' }),
    data: z.array(screenRow),
  })
  .openapi('ScreenRows');
export type ScreenRows = z.infer<typeof screenRows>;

export const screenRowText = z
  .object({
    ...rowFacts,
    messages: z.array(z.object({ role: z.string(), content: z.string() })),
    base_reply: z.string().nullable().openapi({ description: 'The model’s own reply' }),
  })
  .openapi('ScreenRow');
export type ScreenRowText = z.infer<typeof screenRowText>;
