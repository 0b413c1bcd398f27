/**
 * `npm run bench`: how fast the engine prefills a random model of a published shape, as a share of what its
 * matrix products alone reach in the same run, and what it takes to load. bench/protocol.md says how to read it.
 */

import { Command, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../src/engine/load.ts';
import { namedShapes, type ShapeName, writeRandomModel } from '../test/helpers/random-model.ts';
import { describeCommit, describeMachine } from './machine.ts';
import { alternate } from './measure.ts';
import type { MemoryReport } from './memory.ts';
import { loadProducts, operationsPerToken, type SessionSettings } from './products.ts';
import { printReport, type Report } from './report.ts';
import { prefillVariants } from './variants.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const options = new Command('bench')
  .addOption(
    new Option('--shape <name>', 'shape of the random model')
      .choices(Object.keys(namedShapes) as ShapeName[])
      .default<ShapeName>('qwen2.5-0.5b'),
  )
  .addOption(
    new Option('--purpose <name>', 'how the weights are loaded')
      .choices(['generate', 'one-pass'] as const)
      .default('generate' as const),
  )
  .option('--threads <n>', 'threads of the runtime', positive, os.availableParallelism())
  .option('--rounds <n>', 'rounds that count', positive, 7)
  .option('--tokens <n>', 'tokens of the prefill, a multiple of 8', positive, 512)
  .option('--quick', 'three rounds of 128 tokens: to see that it runs, not to quote')
  .option(
    '--json <file>',
    'where to write the numbers; default: bench/results/DATE-SHAPE.json, none with --quick',
  )
  .option('--keep', 'leave the random model in the temporary folder for the next run')
  .parse()
  .opts();

const rounds = options.quick === true ? 3 : options.rounds;
const tokens = options.quick === true ? 128 : options.tokens;
const settings: SessionSettings = { threads: options.threads, purpose: options.purpose };
const folder = join(os.tmpdir(), `persona-bench-${options.shape}`);
const machine = describeMachine();

try {
  note(`writing a random ${options.shape} model to ${folder}`);
  await writeRandomModel(folder, namedShapes[options.shape], { seed: 0, dtype: 'F32' });
  const report = await measure();
  printReport(report);
  save(report);
} finally {
  if (options.keep !== true) rmSync(folder, { recursive: true, force: true });
}

async function measure(): Promise<Report> {
  note('loading it in a process of its own');
  const memory = measureMemory();
  const model = await loadModel(folder, { ...settings, context: 2 * tokens });
  const products = await loadProducts(model.checkpoint, settings);
  const variants = prefillVariants(model, products, tokens);
  const timings = await alternate(variants, rounds, (round) =>
    note(round === 0 ? `warming up ${variants.length} variants` : `round ${round} of ${rounds}`),
  );
  const operations = operationsPerToken(model.checkpoint);
  await model.close();
  await products.close();
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: describeCommit(),
    command: `npm run bench -- ${process.argv.slice(2).join(' ')}`.replace(/ -- $/, ''),
    machine,
    shape: options.shape,
    dtype: 'f32',
    purpose: settings.purpose,
    threads: settings.threads,
    rounds,
    tokens,
    operationsPerToken: operations,
    memory,
    seconds: Object.fromEntries(timings),
  };
}

function measureMemory(): MemoryReport {
  const args = [
    '--import',
    'tsx',
    join(here, 'memory.ts'),
    folder,
    settings.purpose,
    `${settings.threads}`,
    `${tokens}`,
  ];
  const child = spawnSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (child.status !== 0) throw new Error(`expected the memory process to end with 0, got ${child.status}`);
  return JSON.parse(child.stdout) as MemoryReport;
}

function save(report: Report): void {
  if (options.quick === true && options.json === undefined) return;
  const file = options.json ?? join(here, 'results', `${report.date}-${report.shape}.json`);
  if (options.json === undefined) mkdirSync(join(here, 'results'), { recursive: true });
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  note(`written to ${file}`);
}

function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

function positive(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('Expected a whole number above 0.');
  return Number(text);
}
