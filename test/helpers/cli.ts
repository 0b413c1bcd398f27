import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compiledCli } from './build.ts';
import { projectRoot } from './source.ts';

/** How a process ended. */
export interface ProcessResult {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProcessOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What the process reads; default: nothing. */
  readonly input?: string;
  /** Called when the process has started; `kill` sends it a signal. */
  readonly onStart?: (kill: (signal: NodeJS.Signals) => boolean) => void;
  /** Called once, when the process has written something to standard output. */
  readonly onOutput?: (kill: (signal: NodeJS.Signals) => boolean) => void;
}

/** Flags with which node runs TypeScript of this project, its own package name resolved to `src`. */
export const nodeFlags: readonly string[] = [
  '--import',
  pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href,
];
/** Where tsx finds the mapping of the package's own name; it would look in the working folder. */
export const tsxEnvironment: Readonly<Record<string, string>> = {
  TSX_TSCONFIG_PATH: join(projectRoot, 'tsconfig.json'),
};

/** Runs `persona` with these arguments in a process of its own. */
export function runCli(args: readonly string[], options: ProcessOptions = {}): Promise<ProcessResult> {
  return runProcess(process.execPath, [compiledCli(), ...args], options);
}

/** Runs a program to its end. */
export function runProcess(
  program: string,
  args: readonly string[],
  { cwd = projectRoot, env = {}, input = '', onStart, onOutput }: ProcessOptions = {},
): Promise<ProcessResult> {
  return new Promise((resolve, reject) => {
    const environment = { ...process.env, ...tsxEnvironment, NO_COLOR: '1', ...env };
    const child = spawn(program, args, { cwd, env: environment, stdio: ['pipe', 'pipe', 'pipe'] });
    child.stdin.on('error', () => undefined).end(input);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (stdout === '') onOutput?.((signal) => child.kill(signal));
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('spawn', () => onStart?.((signal) => child.kill(signal)));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}
