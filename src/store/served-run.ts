import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { PersonaError } from '../errors.ts';
import { readTextIfThere, removeTemporaries, writeJson } from './files.ts';
import { jsonValueSchema } from './schema.ts';

/** Paths in the folder of a run that a server has started; nothing else builds them. */
export const servedRunPaths = {
  folder: (runs: string, id: string): string => join(runs, id),
  /** What its process writes on both streams. */
  log: (folder: string): string => join(folder, 'log.txt'),
  /** The folder that its command fills. */
  output: (folder: string): string => join(folder, 'output'),
  /** A trait that a language model writes before it is extracted. */
  trait: (folder: string, name: string): string => join(folder, `${name}.json`),
} as const;

export const servedRunStatuses = ['queued', 'running', 'done', 'failed', 'stopped', 'cut_off'] as const;
export type ServedRunStatus = (typeof servedRunStatuses)[number];

const time = z.iso.datetime();
/** `run.json`: what was asked for, and how far it came. */
const recordSchema = z.object({
  format: z.literal('persona-vectors/served-run/1'),
  id: z.string(),
  request: z.record(z.string(), jsonValueSchema),
  status: z.enum(servedRunStatuses),
  created: time,
  /** Of the newest attempt. */
  started: time.nullable(),
  ended: time.nullable(),
  /** How often it was begun, continued ones among them. */
  attempt: z.int().min(0),
  exit_code: z.int().nullable(),
  /** Why it is not done, in a sentence. */
  reason: z.string().nullable(),
  /** What its user should know. */
  notes: z.array(z.string()),
  /** Of the process that runs it; null where none does. */
  process: z.object({ pid: z.int().min(1), started: z.string().nullable() }).nullable(),
});
export type ServedRun = Omit<z.infer<typeof recordSchema>, 'format'>;

/** Makes a run's folder and puts its record there. */
export async function makeServedRun(runs: string, run: ServedRun): Promise<void> {
  await mkdir(servedRunPaths.folder(runs, run.id));
  await writeServedRun(runs, run);
}

export async function writeServedRun(runs: string, run: ServedRun): Promise<void> {
  const file = recordFile(servedRunPaths.folder(runs, run.id));
  await writeJson(file, { format: 'persona-vectors/served-run/1', ...run });
}

/**
 * The runs in a folder, the oldest first. A folder without a sound record is none; `onBad` is told of one that is damaged.
 */
export async function readServedRuns(runs: string, onBad: (message: string) => void): Promise<ServedRun[]> {
  const found: ServedRun[] = [];
  for (const entry of await readdir(runs, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    try {
      const run = await readServedRun(join(runs, entry.name));
      if (run?.id === entry.name) found.push(run);
    } catch (error) {
      if (
        !(error instanceof PersonaError) &&
        !(error instanceof SyntaxError) &&
        !(error instanceof z.ZodError)
      )
        throw error;
      onBad(`the run in "${join(runs, entry.name)}" cannot be read and is left out: ${error.message}`);
    }
  }
  return found.sort((a, b) =>
    a.created === b.created ? (a.id < b.id ? -1 : 1) : a.created < b.created ? -1 : 1,
  );
}

async function readServedRun(folder: string): Promise<ServedRun | null> {
  const text = await readTextIfThere(recordFile(folder));
  if (text === null) return null;
  await removeTemporaries(folder);
  const { format: _, ...run } = recordSchema.parse(JSON.parse(text));
  return run;
}

/** Removes a run with all that it made. */
export async function removeServedRun(runs: string, id: string): Promise<void> {
  await rm(servedRunPaths.folder(runs, id), { recursive: true, force: true });
}

function recordFile(folder: string): string {
  return join(folder, 'run.json');
}
