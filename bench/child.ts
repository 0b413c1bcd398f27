/** A program in a process of its own, its memory watched: a process that did other work before would show more. */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Bytes at their largest; null where the system does not say. */
export interface Memory {
  /** Largest resident size: what the system calls the high-water mark. */
  readonly peak: number | null;
  /** Of what no file backs; pages of files, such as weights read in place, can be dropped by the system. */
  readonly peakAnonymous: number | null;
}

export interface ChildResult extends Memory {
  readonly seconds: number;
  readonly stdout: string;
}

interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** What it reads on standard input. */
  readonly input?: string;
}

/** How often memory is looked at, in milliseconds; the peak of the resident size itself needs no luck. */
const sampleMs = 20;

/**
 * Runs `node` with these arguments to its end. What it says on standard error is passed on.
 * @throws Error where it ends otherwise than with 0.
 */
export async function runNode(
  args: readonly string[],
  { environment = {}, input = '' }: RunOptions = {},
): Promise<ChildResult> {
  const started = performance.now();
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...environment },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(input);
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  const seen = { peak: 0, anonymous: 0 };
  const watch = setInterval(() => look(child.pid, seen), sampleMs);
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.on('error', reject).on('close', (exitCode, by) => resolve([exitCode, by]));
  }).finally(() => clearInterval(watch));
  if (code !== 0) throw new Error(`expected node ${args.join(' ')} to end with 0, got ${code ?? signal}`);
  return {
    seconds: (performance.now() - started) / 1000,
    stdout,
    peak: seen.peak || null,
    peakAnonymous: seen.anonymous || null,
  };
}

/** Bytes of a line of Linux's /proc/PID/status, such as `VmHWM` or `RssAnon`; null where there is none. */
export function processMemory(pid: number | 'self', name: string): number | null {
  try {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(
      readFileSync(`/proc/${pid}/status`, 'utf8'),
    );
    return found === null ? null : 1024 * Number(found[1]);
  } catch {
    return null;
  }
}

function look(pid: number | undefined, seen: { peak: number; anonymous: number }): void {
  if (pid === undefined) return;
  seen.peak = Math.max(seen.peak, processMemory(pid, 'VmHWM') ?? 0);
  seen.anonymous = Math.max(seen.anonymous, processMemory(pid, 'RssAnon') ?? 0);
}
