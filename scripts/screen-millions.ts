/**
 * Measures what `persona screen` needs for itself: `npx tsx scripts/screen-millions.ts [ROWS]` (default two million) screens
 * short Parquet rows in mode `raw` on a model without arithmetic, once whole and once killed on the way and started again, and
 * says how much memory that took above what was held before the first row, and whether all files are the same.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeFlags, tsxEnvironment } from '../test/helpers/cli.ts';
import { writeManyRows } from '../test/helpers/many-rows.ts';

const rows = Number(process.argv[2] ?? 2_000_000);
const child = fileURLToPath(new URL('../test/helpers/screen-stub-child.ts', import.meta.url));

interface Told {
  readonly samples: number;
  readonly before: number;
  readonly most: number;
}

/** Runs the screening; `killAt` ends it by SIGKILL when so many samples are done, and then nothing is told. */
function run(args: readonly string[], killAt = Infinity): Promise<Told | null> {
  return new Promise((resolve, reject) => {
    const running: ChildProcess = spawn(process.execPath, [...nodeFlags, child, ...args], {
      env: { ...process.env, ...tsxEnvironment },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let last = '';
    running.stdout!.setEncoding('utf8').on('data', (text: string) => {
      last = text.trim().split('\n').at(-1)!;
      const done = Number(/^screening (\d+)$/.exec(last)?.[1] ?? 0);
      if (done >= killAt) running.kill('SIGKILL');
    });
    running.on('error', reject);
    running.on('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(last) as Told);
      else if (signal === 'SIGKILL') resolve(null);
      else reject(new Error(`it ended with ${code}`));
    });
  });
}

async function hashOf(folder: string): Promise<string> {
  const hash = createHash('sha256');
  const names = (await readdir(folder, { recursive: true })).filter((name) => /\.\w+$/.test(name)).sort();
  for (const name of names) {
    hash.update(name);
    for await (const chunk of createReadStream(join(folder, name))) hash.update(chunk as Buffer);
  }
  return hash.digest('hex');
}

function say(name: string, value: string): void {
  process.stdout.write(`${name.padEnd(30)} ${value}\n`);
}

const folder = await mkdtemp(join(tmpdir(), 'persona-millions-'));
try {
  const { data, vector } = await writeManyRows(folder, rows);
  const [whole, killed] = ['whole', 'killed'].map((name) => join(folder, name)) as [string, string];
  const start = performance.now();
  const told = (await run([data, vector, whole]))!;
  const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
  say('rows', `${told.samples} in ${Math.round((performance.now() - start) / 1000)} s`);
  say('held before', megabytes(told.before));
  say('above that, at most', megabytes(told.most - told.before));
  await run([data, vector, killed], 0.4 * rows);
  const again = (await run([data, vector, killed]))!;
  say('the same after a kill at 40 %', megabytes(again.most - again.before));
  const same = (await hashOf(whole)) === (await hashOf(killed));
  say('their files', same ? 'all the same' : 'NOT THE SAME');
  if (!same) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
