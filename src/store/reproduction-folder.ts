import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readTextIfThere, writeJson } from './files.ts';
import { SCHEMA_VERSION } from './manifest.ts';

/** Names in the folder of a reproduction; nothing else builds them. */
export const reproductionPaths = {
  /** Folder of one of its experiments. */
  part: (folder: string, name: string): string => join(folder, name),
  /** Folder of one trait in an experiment that goes trait by trait. */
  trait: (folder: string, name: string, trait: string): string => join(folder, name, trait),
  results: (folder: string): string => join(folder, 'results.json'),
  report: (folder: string): string => join(folder, 'report.html'),
} as const;

/** `part.json`, written when an experiment has ended. */
const partSchema = z.object({
  schema: z.number(),
  kind: z.literal('reproduce-part'),
  part: z.string(),
  /** Version of this package: results of another one are made again. */
  version: z.string(),
  /** Of all calls that worked on it, but for what was killed. */
  seconds: z.number(),
  /** Traits without a result, with the reason. */
  failures: z.array(z.object({ trait: z.string(), reason: z.string() })),
  /** What the experiment found, as its library function gives it. */
  data: z.unknown(),
});
export type StoredPart = Omit<z.infer<typeof partSchema>, 'schema' | 'kind'>;

/** An experiment that has ended; null where there is none, or one of another version. */
export async function readPart(folder: string, name: string, version: string): Promise<StoredPart | null> {
  const text = await readTextIfThere(partFile(folder, name));
  if (text === null) return null;
  const parsed = partSchema.safeParse(JSON.parse(text));
  return parsed.success && parsed.data.version === version ? parsed.data : null;
}

export async function writePart(folder: string, part: StoredPart): Promise<void> {
  await writeJson(partFile(folder, part.part), { schema: SCHEMA_VERSION, kind: 'reproduce-part', ...part });
}

const elapsedSchema = z.object({ seconds: z.number() });

/** Seconds that stopped calls have spent on an experiment. */
export async function readElapsed(folder: string, name: string): Promise<number> {
  const text = await readTextIfThere(elapsedFile(folder, name));
  const parsed = elapsedSchema.safeParse(text === null ? null : JSON.parse(text));
  return parsed.success ? parsed.data.seconds : 0;
}

export async function writeElapsed(folder: string, name: string, seconds: number): Promise<void> {
  await mkdir(reproductionPaths.part(folder, name), { recursive: true });
  await writeJson(elapsedFile(folder, name), { seconds });
}

function elapsedFile(folder: string, name: string): string {
  return join(reproductionPaths.part(folder, name), 'elapsed.json');
}

function partFile(folder: string, name: string): string {
  return join(reproductionPaths.part(folder, name), 'part.json');
}
