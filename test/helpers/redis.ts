import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, onTestFinished } from 'vitest';
import { temporaryFolder } from './temporary-folder.ts';

const program = 'redis-server';
const hasRedis = spawnSync(program, ['--version']).status === 0;

/** A group of tests that needs Debian's redis-server; without it the group is skipped and its name says why. */
export function describeWithRedis(name: string, define: () => void): void {
  const why = hasRedis ? '' : ` (skipped: ${program} is not installed)`;
  describe.skipIf(!hasRedis)(`${name}${why}`, () => {
    define();
  });
}

/** Starts a server of the running test's own, on a free port and with nothing kept on the disk; its address. */
export async function startRedis(): Promise<string> {
  const port = await freePort();
  const folder = await temporaryFolder();
  const flags = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const server = spawn(program, [...flags, '--dir', folder], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => endOf(server, 'SIGTERM'));
  await lineOf(server, /Ready to accept connections/);
  return `redis://127.0.0.1:${port}`;
}

/** Waits until a process has written what matches; fails when it ends before. */
export function lineOf(child: ChildProcess, wanted: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const take = (chunk: Buffer): void => {
      text += chunk.toString('utf8');
      const found = wanted.exec(text);
      if (found !== null) resolve(found[0]);
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`it ended with ${code} and said: ${text}`)));
  });
}

/** Ends a process, and waits until it has ended. */
export async function endOf(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  while (child.exitCode === null && child.signalCode === null) await sleep(20);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
    server.on('error', reject);
  });
}
