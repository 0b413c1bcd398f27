/** What the routes of runs take and give, beside `api.ts`. Times are ISO 8601 in UTC. */

import { z } from '@hono/zod-openapi';
import { servedRunStatuses } from '../store/served-run.ts';
import { trainStepSchema } from '../store/train-schema.ts';

const time = z.iso.datetime();
const judge = z.string().min(1).max(200).exactOptional().openapi({
  description: '`lexical` (default), or one of those that the server was started with',
});
const quick = z.boolean().exactOptional().openapi({
  description: 'Few questions and replies: to see that it works, in a minute or so on a small model',
});
const model = z.string().min(1).max(400).openapi({ description: 'A model that is served' });

/** As the name of a vector in the server's folder. */
const vectorName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, 'expected at most 64 letters, digits, "-" and "_"');
/** A new trait becomes the name of a file. */
const traitName = z
  .string()
  .regex(/^[a-z][a-z-]{0,39}$/, 'expected an adjective of at most 40 lower-case letters and "-"');

const extractRequest = z.strictObject({
  kind: z.literal('extract'),
  model,
  trait: z.union([
    z.string().min(1).max(100),
    z.strictObject({ name: traitName, description: z.string().trim().min(1).max(2000) }),
  ]),
  /** By which it is judged, and a trait that is only described is written. */
  judge,
  quick,
  save_as: vectorName.exactOptional().openapi({
    description: 'Name under which the vector is put into the server’s folder of vectors when it is done',
  }),
});
const trainRequest = z.strictObject({
  kind: z.literal('train'),
  file: z.string().min(1).max(400).openapi({ description: 'A training file in the folder of --training' }),
});
const screenRequest = z.strictObject({
  kind: z.literal('screen'),
  model,
  data: z.string().min(1).max(400).openapi({ description: 'A data set in the folder of --data' }),
  vectors: z.array(z.string().min(1).max(400)).min(1).max(16),
  mode: z.enum(['auto', 'full', 'prompt-last', 'raw']).exactOptional().openapi({
    description: 'What a reply is compared with, as `persona screen --mode` says; default `prompt-last`',
  }),
  percentile: z.number().min(0).max(100).exactOptional().openapi({
    description: 'Flagged is what lies here or above; default 95',
  }),
  sample: z.int().min(1).exactOptional().openapi({ description: 'So many rows, drawn at random' }),
});
export const experimentNames = ['monitoring', 'steering', 'finetuning', 'screening', 'reproduce'] as const;
const experimentRequest = z.strictObject({
  kind: z.literal('experiment'),
  name: z.enum(experimentNames),
  model,
  trait: z.string().min(1).max(100).exactOptional(),
  vector: z.string().min(1).max(100).exactOptional(),
  judge,
  quick,
});
export const runRequest = z
  .discriminatedUnion('kind', [extractRequest, trainRequest, screenRequest, experimentRequest])
  .openapi('RunRequest');
export type RunRequest = z.infer<typeof runRequest>;

/** The newest line of a run that counts. */
const progress = z.object({ label: z.string(), done: z.int(), total: z.int(), line: z.string() });
export type RunProgress = z.infer<typeof progress>;

export const runItem = z
  .object({
    id: z.string(),
    request: runRequest,
    status: z.enum(servedRunStatuses).openapi({
      description: '`cut_off` where the server ended before the run did',
    }),
    stopping: z.boolean().openapi({ description: 'Told to stop, and not yet at the end of its step' }),
    resumable: z.boolean(),
    created: time,
    started: time.nullable().openapi({ description: 'Of the newest attempt' }),
    ended: time.nullable(),
    attempt: z.int().openapi({ description: 'How often it was begun, continued ones among them' }),
    exit_code: z.int().nullable(),
    reason: z.string().nullable().openapi({ description: 'Why it is not done' }),
    notes: z.array(z.string()),
    progress: progress.nullable(),
  })
  .openapi('Run');
export type RunItem = z.infer<typeof runItem>;
export type RunStatus = RunItem['status'];
export const runList = z
  .object({ data: z.array(runItem), kept: z.int(), at_once: z.int() })
  .openapi('RunList');
export type RunList = z.infer<typeof runList>;

const runFile = z.object({ path: z.string(), bytes: z.int() });
export type RunFile = z.infer<typeof runFile>;
export const runDetail = runItem
  .extend({
    files: z.array(runFile).openapi({ description: 'Of its output, at most 500' }),
    report: z.string().nullable().openapi({ description: 'The page among the files that sums it up' }),
  })
  .openapi('RunDetail');
export type RunDetail = z.infer<typeof runDetail>;

export const runOptions = z
  .object({
    models: z.array(z.object({ id: z.string(), traits: z.array(z.string()) })),
    training: z
      .array(z.object({ file: z.string(), model: z.string() }))
      .nullable()
      .openapi({ description: 'Null where the server has no --training' }),
    data: z
      .array(runFile)
      .nullable()
      .openapi({ description: 'Data sets that can be screened; null where the server has no --data' }),
    experiments: z.array(z.enum(experimentNames)),
    vectors: z.array(z.string()),
    judges: z.array(z.string()),
  })
  .openapi('RunOptions');
export type RunOptions = z.infer<typeof runOptions>;

export const logQuery = z.strictObject({
  offset: z.coerce
    .number()
    .int()
    .min(0)
    .exactOptional()
    .openapi({ description: 'Byte; default: near the end' }),
  limit: z.coerce
    .number()
    .int()
    .min(16)
    .max(262_144)
    .exactOptional()
    .openapi({ description: 'Default 65536' }),
});
export type LogQuery = z.infer<typeof logQuery>;
export const runLog = z
  .object({ text: z.string(), offset: z.int(), next_offset: z.int(), bytes: z.int() })
  .openapi('RunLog');
export type RunLog = z.infer<typeof runLog>;

export const fileQuery = z.strictObject({ download: z.enum(['true', 'false']).exactOptional() });
export const deletedRun = z.object({ id: z.string(), deleted: z.literal(true) });

/** The data of an event `log`: what was written since the last one. */
const logPart = runLog.omit({ bytes: true });
/** The data of an event `steps`: lines of train_log.jsonl. A step that comes again replaces itself and all behind it. */
const stepsPart = z.object({ steps: z.array(trainStepSchema) });
export const runEvent = z.union([runItem, logPart, stepsPart]).openapi('RunEvent');
export type RunNews =
  | { readonly event: 'run'; readonly data: RunItem }
  | { readonly event: 'log'; readonly data: z.infer<typeof logPart> }
  | { readonly event: 'steps'; readonly data: z.infer<typeof stepsPart> };
