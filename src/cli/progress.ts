import { note } from './terminal.ts';

/** Shows how far long work is: one line that changes on a terminal, plain lines now and then elsewhere. */
export interface Progress {
  /** `done` of `total` units of the work called `label`, Infinity where nobody knows; `detail` is told behind them. */
  update(label: string, done: number, total: number, detail?: string): void;
  /** Ends the changing line, so that the next output starts on its own. */
  end(): void;
}

export interface ProgressOptions {
  /** What is counted, in the plural: rows, rollouts. */
  readonly unit: string;
  readonly stream?: { readonly isTTY?: boolean; write(text: string): unknown };
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/** A terminal is redrawn at most this often, in milliseconds; more only flickers. */
const redrawMs = 100;
/**
 * A log file gets a line at most this often, in milliseconds, and none about work that is done within a second. Who shows the
 * lines as they come, as the server's dashboard does, asks for more of them.
 */
const logMs = 1000 * (Number(process.env['PERSONA_PROGRESS_SECONDS']) || 10);
const briefMs = 1000;

/** Progress on standard error, with rate and time left. */
export function createProgress(options: ProgressOptions): Progress {
  const { unit, stream = process.stderr, now = () => performance.now() } = options;
  const terminal = stream.isTTY === true;
  let phase: { label: string; start: number; first: number } | null = null;
  let shown = -Infinity;
  let open = false;
  const end = (): void => {
    if (open) stream.write('\n');
    open = false;
  };
  const update = (label: string, done: number, total: number, detail = ''): void => {
    const time = now();
    if (phase?.label !== label) {
      end();
      phase = { label, start: time, first: done };
      // A terminal shows at once that the work has begun.
      shown = terminal ? -Infinity : time;
    }
    const finished = done >= total;
    if (!finished && time - shown < (terminal ? redrawMs : logMs)) return;
    if (finished && !terminal && time - phase.start < briefMs) return;
    shown = time;
    const counted = describe(label, { done, total, unit }, (time - phase.start) / 1000, done - phase.first);
    const line = detail === '' ? counted : `${counted}; ${detail}`;
    if (!terminal) {
      stream.write(`${line}\n`);
      return;
    }
    // Erases the rest of the line, which the text before may have been longer than.
    stream.write(`\r${line}\u001B[K`);
    open = true;
  };
  return { update, end };
}

function describe(
  label: string,
  { done, total, unit }: { done: number; total: number; unit: string },
  seconds: number,
  doneHere: number,
): string {
  const count = `${label}: ${done}${Number.isFinite(total) ? ` of ${total}` : ''} ${unit}`;
  if (doneHere <= 0 || seconds <= 0) return count;
  const rate = doneHere / seconds;
  const speed = `${rate >= 10 ? rate.toFixed(0) : rate.toFixed(2)} ${unit}/s`;
  if (!Number.isFinite(total)) return `${count}, ${speed}`;
  return done >= total
    ? `${count}, ${speed}, took ${duration(seconds)}`
    : `${count}, ${speed}, ${duration((total - done) / rate)} left`;
}

/** Seconds as a person says them: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A line on standard error that does not tear the changing line of `progress` apart. */
export function noteBeside(progress: Progress, line: string): void {
  progress.end();
  note(line);
}
