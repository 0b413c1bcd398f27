import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { type RateKey, rateCacheFile } from './cache-folder.ts';
import { readTextIfThere, storeFailure, writeJson } from './files.ts';

const rateSchema = z.object({
  schema: z.literal(1),
  kind: z.literal('rate'),
  /** ISO date and time. */
  date: z.string(),
  model: z.string(),
  fingerprint: z.string(),
  precision: z.string(),
  machine: z.string(),
  /** Tokens of prompts a second. */
  prompt_tokens_per_second: z.number().positive(),
  /** Seconds of a step of one token a row: so much, and so much more a row. */
  step_seconds: z.number().nonnegative(),
  row_seconds: z.number().nonnegative(),
});

/** How fast a model ran on a machine, once. */
export interface StoredRate {
  /** ISO date and time. */
  readonly date: string;
  /** Tokens a second. */
  readonly prompt: number;
  /** Seconds of a step of one token a row, and what every row adds. */
  readonly step: number;
  readonly row: number;
}

/** What was measured before; null where nothing was, or where the file is not what it should be. */
export async function readRate(root: string, key: RateKey): Promise<StoredRate | null> {
  const text = await readTextIfThere(rateCacheFile(root, key)).catch(() => null);
  if (text === null) return null;
  const parsed = rateSchema.safeParse(parseJson(text));
  if (!parsed.success || parsed.data.fingerprint !== key.fingerprint || parsed.data.machine !== key.machine)
    return null;
  const { date, prompt_tokens_per_second: prompt, step_seconds: step, row_seconds: row } = parsed.data;
  return { date, prompt, step, row };
}

/** Keeps a rate; StoreError where the cache cannot be written. */
export async function writeRate(root: string, key: RateKey, rate: StoredRate): Promise<void> {
  const file = rateCacheFile(root, key);
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeJson(file, {
      schema: 1,
      kind: 'rate',
      date: rate.date,
      model: key.model,
      fingerprint: key.fingerprint,
      precision: key.precision,
      machine: key.machine,
      prompt_tokens_per_second: rate.prompt,
      step_seconds: rate.step,
      row_seconds: rate.row,
    } satisfies z.infer<typeof rateSchema>);
  } catch (error) {
    throw storeFailure(file, error);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
