/**
 * Measures what `persona screen` needs for itself: `npx tsx scripts/screen-millions.ts [ROWS]` (default two million) screens
 * short Parquet rows in mode `raw` on a model without arithmetic, once whole and once killed on the way and started again, and
 * says how much memory that took above what was held before the first row, and whether all files are the same.
 */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeManyRows } from '../test/helpers/many-rows.ts';
import { runStubScreening } from '../test/helpers/screen-stub.ts';

const rows = Number(process.argv[2] ?? 2_000_000);

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
  const told = (await runStubScreening({ data, vector, out: whole }))!;
  const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;
  say('rows', `${told.samples} in ${Math.round((performance.now() - start) / 1000)} s`);
  say('held before', megabytes(told.before));
  say('above that, at most', megabytes(told.most - told.before));
  await runStubScreening({ data, vector, out: killed }, 0.4 * rows);
  const again = (await runStubScreening({ data, vector, out: killed }))!;
  say('the same after a kill at 40 %', megabytes(again.most - again.before));
  const same = (await hashOf(whole)) === (await hashOf(killed));
  say('their files', same ? 'all the same' : 'NOT THE SAME');
  if (!same) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
