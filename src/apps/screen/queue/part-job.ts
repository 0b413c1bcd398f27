import { gunzipSync, gzipSync } from 'node:zlib';
import { z } from 'zod';
import { DataError } from '../../../errors.ts';
import { dtypes } from '../../../engine/model.ts';
import { type ScreenRow, screenRowSchema, shardCountsSchema } from '../../../store/screen-schema.ts';
import { parseStrict } from '../../../store/strict-json.ts';
import { sampleModes } from '../score.ts';
import type { FinishedPart } from '../run-parts.ts';
import type { Sample } from '../samples.ts';

/** Most samples of a part, characters of its texts, and bytes of a result: whoever can reach the queue can write to it. */
const [maxSamples, maxCharacters, maxResultBytes] = [100_000, 64_000_000, 256_000_000];

const sampleSchema = screenRowSchema
  .pick({ key: true, id: true, source: true, prompt: true, reply: true })
  .strict();

/**
 * A part of a data set as it travels to a worker. It names no file: a worker has the models that it was started with, and
 * the queue is that of one model's weights. The samples travel with it, so that workers need no data of their own.
 */
export const partJobSchema = z
  .strictObject({
    version: z.literal(1),
    /** Tells screenings apart. */
    run: z.string().max(64),
    mode: z.enum(sampleModes),
    fingerprint: z.string().max(64),
    dtype: z.enum(dtypes),
    block_size: z.union([z.literal(32), z.literal(128)]),
    max_tokens: z.int().min(1).max(1_000_000),
    max_prompt_tokens: z.int().min(1).max(10_000_000),
    /** Float32 `[width]` in base64. */
    vectors: z
      .array(z.strictObject({ name: z.string(), layer: z.int().min(1), values: z.base64() }))
      .min(1)
      .max(256),
    part: z.int().min(0),
    rows: z.int().min(0),
    samples: z.array(sampleSchema).max(maxSamples),
  })
  .refine(
    ({ samples }) => charactersOf(samples) <= maxCharacters,
    `expected at most ${maxCharacters} characters of text`,
  );
export type PartJob = z.infer<typeof partJobSchema>;

/** What is sent back: numbers and own replies; the texts are where the part came from. */
const resultSchema = z.strictObject({
  counts: shardCountsSchema,
  rows: z.array(
    screenRowSchema
      .pick({ key: true, tokens: true, projection: true, reference: true, base_reply: true })
      .strict(),
  ),
});

function charactersOf(samples: readonly Sample[]): number {
  const texts = samples.flatMap(({ prompt, reply }) => [reply, ...prompt.map(({ content }) => content)]);
  return texts.reduce((sum, text) => sum + text.length, 0);
}

/** @throws DataError for a payload that is none. */
export function parsePartJob(data: unknown): PartJob {
  return parseStrict(partJobSchema, data, 'The job');
}

/** A finished part as a worker hands it in, packed. */
export function packResult({ counts, rows }: FinishedPart<ScreenRow>): string {
  const bare = rows.map(({ key, tokens, projection, reference, base_reply: base }) => {
    return { key, tokens, projection, reference, base_reply: base };
  });
  return gzipSync(JSON.stringify({ counts, rows: bare })).toString('base64');
}

/**
 * The part again, its texts beside the numbers.
 *
 * @throws DataError for what is no result of these samples.
 */
export function unpackResult(packed: unknown, samples: readonly Sample[]): FinishedPart<ScreenRow> {
  const { counts, rows } = parseStrict(resultSchema, unpacked(packed), 'The result of a worker');
  const byKey = new Map(samples.map((sample) => [sample.key, sample]));
  const whole = rows.map(({ key, tokens, projection, reference, base_reply: base }): ScreenRow => {
    const sample = byKey.get(key);
    if (sample === undefined)
      throw new DataError(`The result of a worker: expected a key of its part, got "${key}".`);
    const { id, source, prompt, reply } = sample;
    return { key, id, source, prompt: [...prompt], reply, tokens, projection, reference, base_reply: base };
  });
  return { counts, rows: whole };
}

function unpacked(packed: unknown): unknown {
  try {
    const bytes = Buffer.from(String(packed), 'base64');
    return JSON.parse(gunzipSync(bytes, { maxOutputLength: maxResultBytes }).toString('utf8')) as unknown;
  } catch (cause) {
    throw new DataError('The result of a worker: expected packed JSON, got something else.', { cause });
  }
}
