/** What a number depends on: the machine, the programs, the commit. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';

export interface Machine {
  readonly cpu: string;
  /** Logical cores that this process may use. */
  readonly cores: number;
  readonly memoryGB: number;
  readonly platform: string;
  readonly node: string;
  readonly onnxruntime: string;
  /** Of the last minute, before the run: what else the machine was doing. */
  readonly loadAverage: number;
}

const root = fileURLToPath(new URL('..', import.meta.url));

export function describeMachine(): Machine {
  const runtime = readFileSync(`${root}/node_modules/onnxruntime-node/package.json`, 'utf8');
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGB: Math.round(os.totalmem() / 2 ** 30),
    platform: `${os.platform()} ${os.arch()}`,
    node: process.version,
    onnxruntime: (JSON.parse(runtime) as { version: string }).version,
    loadAverage: Math.round(100 * os.loadavg()[0]!) / 100,
  };
}

/** Short hash of the checked-out commit, `+` where files differ from it; `unknown` outside a git checkout. */
export function describeCommit(): string {
  const git = (...args: string[]): string =>
    spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout.trim();
  const commit = git('rev-parse', '--short', 'HEAD');
  if (commit === '') return 'unknown';
  return git('status', '--porcelain', '--', 'src') === '' ? commit : `${commit}+`;
}
