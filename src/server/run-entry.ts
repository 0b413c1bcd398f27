import { servedRunPaths, type ServedRun } from '../store/served-run.ts';
import type { RunProcess } from './run-process.ts';
import type { RunItem, RunProgress, RunRequest } from './runs-api.ts';

/** A run as the server holds it. */
export interface RunEntry {
  readonly id: string;
  readonly request: RunRequest;
  /** As it lies on the disk, or is about to. */
  record: ServedRun;
  process: RunProcess | null;
  /** Why it is to stop; null as long as it is not. */
  stopping: 'asked' | 'server-ends' | null;
  progress: RunProgress | null;
  /** Fulfilled when all changes of the record so far are on the disk. */
  saved: Promise<void>;
}

export function newEntry(record: ServedRun, request: RunRequest): RunEntry {
  const state = { process: null, stopping: null, progress: null, saved: Promise.resolve() };
  return { id: record.id, request, record, ...state };
}

/** A record of a run that nobody has begun. */
export function newRecord(id: string, request: RunRequest): ServedRun {
  return {
    id,
    request,
    status: 'queued',
    created: new Date().toISOString(),
    started: null,
    ended: null,
    attempt: 0,
    exit_code: null,
    reason: null,
    notes: [],
    process: null,
  };
}

/** Whether it waits or runs. */
export function isOpen({ record: { status } }: RunEntry): boolean {
  return status === 'queued' || status === 'running';
}

/** A run as clients see it. */
export function toItem(entry: RunEntry): RunItem {
  const { request, progress, stopping } = entry;
  const { process: _, request: __, ...record } = entry.record;
  const resumable = record.status === 'stopped' || record.status === 'cut_off' || record.status === 'failed';
  return { ...record, request, stopping: stopping !== null, resumable, progress };
}

/** Where a run's files lie. */
export interface RunPlaces {
  readonly folder: string;
  readonly log: string;
  readonly output: string;
}

export function placesOf(runs: string, id: string): RunPlaces {
  const folder = servedRunPaths.folder(runs, id);
  return { folder, log: servedRunPaths.log(folder), output: servedRunPaths.output(folder) };
}
