import { join, resolve } from 'node:path';
import type { z } from 'zod';
import { StoreError } from '../errors.ts';
import {
  type FileSystem,
  isTemporary,
  readTextIfThere,
  removeTemporaries,
  storeFailure,
  systemFiles,
  writeJson,
  writeWhole,
} from './files.ts';
import { type FolderLock, lockFolder } from './lock.ts';
import { type Manifest, manifestSchema } from './manifest.ts';
import { sha256 } from '../util/hash.ts';
import { type JsonValue, describeIssues } from './schema.ts';

/** The names in a run folder; nothing else builds them. */
export const runFiles = {
  manifest: 'manifest.json',
  recipe: 'recipe.json',
  trait: 'trait.json',
  rollouts: 'rollouts.jsonl',
  activations: 'activations.safetensors',
  vector: 'vector.safetensors',
  directions: 'directions.json',
  sweepRollouts: 'sweep-rollouts.jsonl',
  fineRollouts: 'sweep-fine-rollouts.jsonl',
  sweep: 'sweep.json',
  doseRollouts: 'dose-response-rollouts.jsonl',
  dose: 'dose-response.json',
  shots: 'shots.jsonl',
  monitoring: 'monitoring.json',
  ordinary: 'ordinary-rollouts.jsonl',
  treated: 'treated-rollouts.jsonl',
  equal: 'equal-rollouts.jsonl',
  steering: 'steering.json',
  poolings: 'poolings.json',
  heldOutRollouts: 'held-out-rollouts.jsonl',
  heldOutActivations: 'held-out-activations.safetensors',
  heldOut: 'projections.json',
  report: 'report.html',
  trainLog: 'train_log.jsonl',
  steeringEffect: 'steering_effect.json',
} as const;
export type RunFile = keyof typeof runFiles;

/** Path below a run of another judge's scores of its rollouts, which are no part of the run itself. */
export function judgementFile(judge: string): string {
  const name = judge.replaceAll(/[^A-Za-z0-9._-]+/g, '-').replace(/^[.-]+/, '');
  return join('judgements', `${name.slice(0, 96)}-${sha256(judge).slice(0, 8)}.jsonl`);
}

/** Name of the file of one turn of conversations, counted from 1. */
export function turnFile(turn: number): string {
  return `turn-${turn}.jsonl`;
}

/** Path below a run of what another protocol was measured to do; a folder with a recipe of its own. */
export function validationFolder(protocol: string): string {
  return join('validation', protocol);
}

/** All that decides a run's results; two runs of equal recipes end in equal files. */
export type Recipe = Readonly<Record<string, JsonValue>>;

/** The folder of an extraction. */
export interface RunFolder extends OpenFolder {
  /** Present when the run is finished. */
  readonly manifest: Manifest | null;
}

/** An open run folder of any kind, held by this process until closed. */
export interface OpenFolder {
  /** Absolute. */
  readonly path: string;
  /** Whether an earlier process began this run. */
  readonly continued: boolean;
  /** Absolute path of one of its files. */
  file(name: RunFile): string;
  /** The file's value, or null where it is not written yet; DataError when it is not what `schema` says. */
  readJson<T>(name: RunFile, schema: z.ZodType<T>): Promise<T | null>;
  writeJson(name: RunFile, value: unknown): Promise<void>;
  writeText(name: RunFile, text: string): Promise<void>;
  /** Lets other processes have the folder. */
  close(): Promise<void>;
}

/** Opens a new folder for an extraction, or one that holds the beginning of the same; errors as `openFolder`. */
export async function openRun(
  folder: string,
  recipe: Recipe,
  files: FileSystem = systemFiles,
): Promise<RunFolder> {
  const run = await openFolder(folder, recipe, files);
  try {
    return { ...run, manifest: await run.readJson('manifest', manifestSchema) };
  } catch (error) {
    await run.close();
    throw error;
  }
}

/**
 * Opens a new folder for a run, or one that holds the beginning of the same run.
 *
 * @throws StoreError when the folder holds another recipe (naming what differs) or other files, when another
 *   process uses it, or when it cannot be written.
 */
export async function openFolder(
  folder: string,
  recipe: Recipe,
  files: FileSystem = systemFiles,
): Promise<OpenFolder> {
  const path = resolve(folder);
  await makeFolder(path, files);
  const lock = await lockFolder(path, files);
  try {
    await removeTemporaries(path, files);
    const continued = await checkRecipe(path, recipe, files);
    return folderAt(path, continued, lock, files);
  } catch (error) {
    await lock.release();
    throw storeFailure(path, error);
  }
}

async function makeFolder(path: string, files: FileSystem): Promise<void> {
  try {
    await files.mkdir(path, { recursive: true });
  } catch (error) {
    throw storeFailure(path, error);
  }
}

/** Whether the folder holds this very recipe; writes it into an empty folder. */
async function checkRecipe(path: string, recipe: Recipe, files: FileSystem): Promise<boolean> {
  const file = join(path, runFiles.recipe);
  const text = await readTextIfThere(file, files);
  if (text !== null) {
    const differences = differingPaths(parseStored(file, text), recipe);
    if (differences.length === 0) return true;
    throw otherRecipe(path, differences);
  }
  const others = (await files.readdir(path)).filter((name) => name !== 'lock' && !isTemporary(name));
  if (others.length > 0) throw notARun(path, others);
  await writeJson(file, recipe);
  return false;
}

function folderAt(path: string, continued: boolean, lock: FolderLock, files: FileSystem): OpenFolder {
  const file = (name: RunFile): string => join(path, runFiles[name]);
  return {
    path,
    continued,
    file,
    async readJson<T>(name: RunFile, schema: z.ZodType<T>): Promise<T | null> {
      const text = await readTextIfThere(file(name), files);
      if (text === null) return null;
      const parsed = schema.safeParse(parseStored(file(name), text));
      if (parsed.success) return parsed.data;
      throw damaged(file(name), describeIssues(parsed.error));
    },
    writeJson: (name, value) => writeJson(file(name), value),
    writeText: (name, text) => writeWhole(file(name), text),
    close: () => lock.release(),
  };
}

function parseStored(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw damaged(file, error instanceof Error ? error.message : 'it is no JSON');
  }
}

/** `name: old → new` for every leaf in which two JSON values differ. */
export function differingPaths(old: unknown, asked: unknown, path = ''): string[] {
  if (isRecord(old) && isRecord(asked)) {
    const keys = [...new Set([...Object.keys(old), ...Object.keys(asked)])];
    return keys.flatMap((key) => differingPaths(old[key], asked[key], path === '' ? key : `${path}.${key}`));
  }
  // JSON has no undefined: a key that one side lacks and the other gives as null is a difference worth telling.
  if (JSON.stringify(old) === JSON.stringify(asked)) return [];
  return [`${path} is ${short(old)} there and ${short(asked)} here`];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'absent';
  return text.length <= 48 ? text : `${text.slice(0, 45)}…`;
}

function otherRecipe(path: string, differences: readonly string[]): StoreError {
  const shown = differences.slice(0, 3).join('; ');
  const more = differences.length > 3 ? `; and ${differences.length - 3} more` : '';
  return new StoreError(
    `"${path}" holds a run made with other options (${shown}${more}); choose another folder, or give the same options to continue it.`,
    { details: { file: path, differences: differences.length } },
  );
}

function notARun(path: string, others: readonly string[]): StoreError {
  return new StoreError(
    `Expected an empty or new folder or a run to continue at "${path}", got one with other files (${others.slice(0, 3).join(', ')}); choose another folder.`,
    { details: { file: path } },
  );
}

function damaged(file: string, problem: string): StoreError {
  return new StoreError(`"${file}" is damaged: ${problem}; start the run again in a new folder.`, {
    details: { file },
  });
}
