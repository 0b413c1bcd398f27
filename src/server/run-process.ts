import { type ChildProcess, spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { processStart } from '../store/lock.ts';

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it could not be started; null where it was. */
  readonly trouble: string | null;
}

/** A process that runs one command. */
export interface RunProcess {
  /** Null where it could not be started. */
  readonly pid: number | null;
  readonly ended: Promise<ProcessEnd>;
  /** Asks it to end after the step in hand, and ends it and all that it has started after so many seconds. */
  readonly stop: (seconds: number) => void;
}

/** What this server alone has use for. */
const ownSecrets = [
  'PERSONA_TOKEN',
  'PERSONA_WEBHOOK_SECRET',
  'LANGFUSE_PUBLIC_KEY',
  'LANGFUSE_SECRET_KEY',
  'PHOENIX_API_KEY',
] as const;

/**
 * Starts a program without a shell, in a process group of its own, its output at the end of a file. It has a channel to this
 * process, by whose end the command line learns that the server is gone, however that went.
 */
export async function startProcess(
  [program = '', ...args]: readonly string[],
  logFile: string,
): Promise<RunProcess> {
  const log = await open(logFile, 'a');
  try {
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', log.fd, log.fd, 'ipc'],
      env: environment(),
    });
    return watch(child);
  } finally {
    await log.close();
  }
}

function environment(): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: '1', PERSONA_PROGRESS_SECONDS: '1' };
  for (const name of ownSecrets) delete env[name];
  return env;
}

function watch(child: ChildProcess): RunProcess {
  const ended = new Promise<ProcessEnd>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal, trouble: null }));
    child.once('error', (error) => resolve({ code: null, signal: null, trouble: error.message }));
  });
  const pid = child.pid ?? null;
  return {
    pid,
    ended,
    stop: (seconds) => {
      if (pid === null) return;
      killGroup(pid, 'SIGINT');
      const timer = setTimeout(() => killGroup(pid, 'SIGKILL'), seconds * 1000);
      void ended.then(() => clearTimeout(timer));
    },
  };
}

/** Ends what a server that was killed has left of a run, where it is surely that process. */
export async function endLeftover(pid: number, started: string | null): Promise<void> {
  if (started !== null && started === (await processStart(pid))) killGroup(pid, 'SIGKILL');
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}
