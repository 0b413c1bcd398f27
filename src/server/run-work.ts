import { randomBytes } from 'node:crypto';
import { appendFile, copyFile, link, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isThere, readTextIfThere, writeWhole } from '../store/files.ts';
import { processStart } from '../store/lock.ts';
import { runFiles } from '../store/run-folder.ts';
import type { ServedRunStatus } from '../store/served-run.ts';
import { systemCode } from '../util/system-code.ts';
import { dataFile, type RunScene, trainingFile, vectorFile } from './run-check.ts';
import { commandsOf } from './run-command.ts';
import { type RunEntry, placesOf } from './run-entry.ts';
import { errorIn, partBytes, readLog, tailOffset } from './run-log.ts';
import { type ProcessEnd, startProcess } from './run-process.ts';
import type { RunRequest } from './runs-api.ts';
import { sweepBeside } from './vector-validation.ts';

/** How a run ended. */
export interface RunEnd {
  readonly status: ServedRunStatus;
  readonly exit_code: number | null;
  readonly reason: string | null;
}

/**
 * Runs the commands of a run one after the other.
 *
 * @param onProcess Called when a process of the run has begun.
 */
export async function workOn(entry: RunEntry, scene: RunScene, onProcess: () => void): Promise<RunEnd> {
  const { settings, models, vectors } = scene;
  const { folder, log } = placesOf(settings.folder, entry.id);
  const { request } = entry;
  let end: ProcessEnd = { code: 0, signal: null, trouble: null };
  for (const { args, makes } of commandsOf(request, {
    models,
    names: settings.models,
    vectors,
    folder,
    ...(await filesOf(request, scene)),
  })) {
    if (makes !== null && (await isThere(makes))) continue;
    if (entry.stopping !== null) return stopped(entry, null);
    await appendFile(log, `$ ${['persona', ...args].map(quoted).join(' ')}\n`);
    const process = await startProcess([...settings.program, ...args], log);
    entry.process = process;
    const { pid } = process;
    entry.record = {
      ...entry.record,
      process: pid === null ? null : { pid, started: await processStart(pid) },
    };
    onProcess();
    // Whoever asked before there was a process is heard now.
    if (entry.stopping !== null) process.stop(settings.stopSeconds);
    end = await process.ended;
    entry.process = null;
    if (end.code !== 0) break;
  }
  return explain(entry, end, log);
}

/** The files that a request names, as they lie now. */
async function filesOf(
  request: RunRequest,
  { settings, vectors }: RunScene,
): Promise<{ readonly file: string | null; readonly vectorFiles: readonly string[] }> {
  if (request.kind === 'train') return { file: await trainingFile(request.file, settings), vectorFiles: [] };
  if (request.kind !== 'screen') return { file: null, vectorFiles: [] };
  const files = request.vectors.map((name) => vectorFile(name, vectors));
  return { file: await dataFile(request.data, settings), vectorFiles: await Promise.all(files) };
}

async function explain(entry: RunEntry, end: ProcessEnd, log: string): Promise<RunEnd> {
  if (end.code === 0) return { status: 'done', exit_code: 0, reason: null };
  if (entry.stopping !== null) return stopped(entry, end.code);
  const { text } = await readLog(log, await tailOffset(log, partBytes), partBytes);
  const said = errorIn(sinceCommand(text));
  const how =
    end.trouble ??
    (end.signal === null ? `it ended with exit code ${end.code}` : `it was ended by ${end.signal}`);
  return { status: 'failed', exit_code: end.code, reason: said ?? how };
}

/** What of a log's end the newest command has written. */
export function sinceCommand(text: string): string {
  return text.slice(text.lastIndexOf('\n$ persona ') + 1);
}

function stopped({ stopping }: RunEntry, exitCode: number | null): RunEnd {
  return stopping === 'server-ends'
    ? { status: 'cut_off', exit_code: exitCode, reason: serverEnded }
    : { status: 'stopped', exit_code: exitCode, reason: null };
}

/** Why a run that the server did not see to its end was cut off. */
export const serverEnded = 'the server ended before the run did';

/** A word of a command line as a shell reads it. */
function quoted(word: string): string {
  return /^[\w./:@=,+-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * Puts the vector of a finished extraction into the folder of vectors, whole and over no other one, and beside it what it was
 * measured to do.
 *
 * @returns a sentence about why that could not be, or null.
 */
export async function publishVector(output: string, vectors: string, name: string): Promise<string | null> {
  const aside = join(vectors, `.upload-${randomBytes(8).toString('hex')}.tmp`);
  try {
    await mkdir(vectors, { recursive: true });
    await copyFile(join(output, runFiles.vector), aside);
    await link(aside, join(vectors, `${name}.safetensors`));
    return await publishSweep(output, vectors, name);
  } catch (error) {
    const code = systemCode(error);
    if (code === null) throw error;
    const why = code === 'EEXIST' ? 'there is one of that name meanwhile' : `the system answered ${code}`;
    return `The vector was not put among the others as "${name}": ${why}.`;
  } finally {
    await rm(aside, { force: true });
  }
}

/** A vector without it is as good: whoever is killed here leaves one that nobody has measured. */
async function publishSweep(output: string, vectors: string, name: string): Promise<string | null> {
  const beside = sweepBeside(vectors, name);
  try {
    const text = await readTextIfThere(join(output, runFiles.sweep));
    if (text === null) await rm(beside, { force: true });
    else await writeWhole(beside, text);
    return null;
  } catch (error) {
    return `The vector is among the others as "${name}", without what it was measured to do: ${error instanceof Error ? error.message : 'it could not be read'}`;
  }
}
