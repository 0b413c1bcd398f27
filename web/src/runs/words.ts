import type { RunItem, RunRequest, RunStatus } from '../../../src/server/client.ts';

/** How a status is said. */
export const statusWords: Readonly<Record<RunStatus, string>> = {
  queued: 'waiting',
  running: 'running',
  done: 'done',
  failed: 'failed',
  stopped: 'stopped',
  cut_off: 'cut off',
};

/** What a run is, as a heading. Its names come from outside. */
export function titleOf(request: RunRequest): string {
  if (request.kind === 'train') return `Training: ${request.file}`;
  if (request.kind === 'screen') return `Screening: ${request.data}`;
  if (request.kind === 'experiment')
    return `Experiment: ${request.name}${request.trait === undefined ? '' : `, ${request.trait}`}`;
  return `Extraction: ${typeof request.trait === 'string' ? request.trait : request.trait.name}`;
}

/** What a run is given beside, in a few words. */
export function aboutOf(request: RunRequest): string {
  if (request.kind === 'train') return '';
  if (request.kind === 'screen')
    return [request.model, request.vectors.join(', '), request.mode ?? 'prompt-last'].join(' · ');
  const { model, quick, judge } = request;
  return [model, ...(quick === true ? ['quick'] : []), ...(judge === undefined ? [] : [judge])].join(' · ');
}

/** How long the newest attempt has run, or ran; empty before it began. */
export function lengthOf({ started, ended }: RunItem, now: number): string {
  if (started === null) return '';
  const seconds = Math.max(
    0,
    Math.round(((ended === null ? now : Date.parse(ended)) - Date.parse(started)) / 1000),
  );
  if (seconds < 60) return `${seconds}\u00a0s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** Bytes as a person says them. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB'];
  let [value, unit] = [bytes / 1000, 0];
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

/** Where a file of a run is had. */
export function fileAddress(id: string, path: string): string {
  return `/persona/runs/${encodeURIComponent(id)}/files/${path.split('/').map(encodeURIComponent).join('/')}`;
}
