import type { z } from 'zod';
import { DataError } from '../errors.ts';
import { readSmallFile } from '../model/read-bytes.ts';
import { describeIssues } from './schema.ts';
import { nearestName } from '../util/nearest.ts';

/** Specifications and conversations are kilobytes; more is the wrong file, and would be held in memory whole. */
const maxFileBytes = 64 * 1024 * 1024;

/**
 * The JSON value in a file that a user wrote by hand.
 *
 * @throws DataError when it is not JSON; ParseError or StoreError when it cannot be read.
 */
export async function readUserJson(file: string): Promise<unknown> {
  const bytes = await readSmallFile(file, maxFileBytes);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new DataError(`"${file}": expected JSON, but ${why}; correct the file.`, {
      details: { file },
      cause,
    });
  }
}

/**
 * Checks a value against a strict schema; `where` begins the sentence, such as `"rows.jsonl", line 3`.
 *
 * @throws DataError naming the first faults; an unknown key comes with the known one that it resembles.
 */
export function parseStrict<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new DataError(`${where}: ${describeIssues(parsed.error)}.`, {
    details: { where },
    cause: parsed.error,
  });
}

/** Refuses keys that are not in `known`, naming the known one that each resembles. */
export function refuseUnknownKeys(value: object, known: readonly string[], where: string): void {
  const key = Object.keys(value).find((name) => !known.includes(name));
  if (key !== undefined) throw unknownKey(key, nearestName(key, known), known, where);
}

/** Refuses keys that resemble a known one which is absent; others are none of our business. */
export function refuseMisspeltKeys(value: object, known: readonly string[], where: string): void {
  const absent = known.filter((name) => !Object.hasOwn(value, name));
  for (const key of Object.keys(value).filter((name) => !known.includes(name))) {
    const nearest = nearestName(key, absent);
    if (nearest !== null) throw unknownKey(key, nearest, known, where);
  }
}

function unknownKey(key: string, nearest: string | null, known: readonly string[], where: string): DataError {
  const hint =
    nearest === null ? `the keys are ${known.join(', ')}` : `did you mean ${JSON.stringify(nearest)}?`;
  return new DataError(`${where}: unknown key ${JSON.stringify(key.slice(0, 64))}; ${hint}`, {
    details: { where, key },
  });
}

/** Whether a JSON value is an object (and no list). */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
