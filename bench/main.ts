/** `npm run bench`: see `--help`, and bench/protocol.md for how to read what it prints. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { dirname, join } from 'node:path';
import { runPhases } from './large.ts';
import { describeCommit, describeMachine } from './machine.ts';
import { note } from './note.ts';
import { isLarge, parseOptions } from './options.ts';
import type { Origin } from './report.ts';
import { runParts } from './run.ts';

const options = parseOptions();
const origin: Origin = {
  date: new Date().toISOString().slice(0, 10),
  commit: describeCommit(),
  command: ['npm run bench', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' '),
  machine: describeMachine(),
};
// Weights that are quantised here are no part of the user's cache.
process.env['PERSONA_CACHE'] = join(options.folder, 'cache');

try {
  if (isLarge(options.shape)) save(await runPhases(origin, options));
  else await runParts(origin, options, save);
} finally {
  if (!options.keep) await rm(options.folder, { recursive: true, force: true });
}

/** A run that is stopped has what was measured by then. */
function save(report: object): void {
  if (options.quick && options.json === null) return;
  const results = fileURLToPath(new URL('results', import.meta.url));
  const file = options.json ?? join(results, `${origin.date}-${options.shape}.json`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(report, short, 1)}\n`);
  note(`written to ${file}`);
}

/** Seconds to a ten-thousandth of their size: the spread is a hundred times that. */
function short(_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;
}
