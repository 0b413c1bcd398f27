/**
 * A model of 7 or 8 billion parameters, once from end to end: random weights are written shard by shard, quantised, loaded,
 * and run by the very commands that a user would give. Every phase is a process of its own whose memory is watched.
 */

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { copyFile, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Dtype } from '../src/engine/model.ts';
import { compiledCli } from '../test/helpers/build.ts';
import { type ChildResult, type Memory, runNode } from './child.ts';
import { note } from './note.ts';
import type { BenchOptions } from './options.ts';
import { rowIds } from './part.ts';
import { gigabytes, type Origin, printOrigin } from './report.ts';
import type { StartReport } from './start.ts';
import { table } from './table.ts';
import { trainWork } from './train.ts';

interface Phase extends Memory {
  readonly name: string;
  readonly dtype: Dtype | null;
  readonly seconds: number;
  /** What it did, such as how many tokens. */
  readonly done: string;
  /** The start's own measurements. */
  readonly start?: StartReport;
}

export interface PhasesReport extends Origin {
  readonly shape: string;
  readonly threads: number;
  readonly block: 32 | 128;
  readonly phases: readonly Phase[];
}

/** Bytes on the disk: the model in 16 bits, and its weights in 8 and in 4. */
const diskBytes = 30e9;
/** Bytes of free memory, below which the machine would swap instead of measuring. */
const memoryBytes = 13e9;
/** The machine that the numbers are meant for, and what the weights in int8 may take of it. */
const targetBytes: Readonly<Partial<Record<Dtype, number>>> = { int8: 11e9 };
/** What a step of LoRA may take. */
const trainBytes = 24e9;
const trainPhase = 'persona train';
/** Rows of `activations`, their tokens, and the new tokens of `generate`. */
const [rows, rowTokens, newTokens] = [8, 256, 32];

/** Runs every phase, printing as it goes. */
export async function runPhases(origin: Origin, options: BenchOptions): Promise<PhasesReport> {
  const { shape, threads, block, folder } = options;
  mkdirSync(folder, { recursive: true });
  await requireRoom(folder);
  const model = join(folder, shape);
  const phases = [await writeModel(model, options)];
  await giveTokenizer(model, options.tokenizer);
  for (const dtype of options.dtype) {
    if (dtype === 'fp32') throw new Error('expected int8 or int4 for a large model, got fp32');
    phases.push(...(await runDtype(model, dtype, options)));
  }
  const report: PhasesReport = { ...origin, shape, threads, block, phases };
  printPhases(report);
  printOrigin(report);
  return report;
}

async function requireRoom(folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const needs: readonly (readonly [string, number, number])[] = [
    [`of disk in ${folder}`, bavail * bsize, diskBytes],
    ['of memory', process.availableMemory(), memoryBytes],
  ];
  for (const [what, free, needed] of needs) {
    if (free < needed)
      throw new Error(`expected ${gigabytes(needed)} ${what} to be free, got ${gigabytes(free)}`);
  }
}

async function writeModel(model: string, { shape }: BenchOptions): Promise<Phase> {
  const whole = join(model, 'whole');
  const kept = existsSync(whole);
  const script = join(import.meta.dirname, '../scripts/make-random-model.ts');
  const args = ['--import', 'tsx', script, '--shape', shape, '--dtype', 'bf16', '--out', model];
  if (!kept) {
    const { stdout: _, ...written } = await phase('write the model', null, 'BF16, in shards of 5 GB', args);
    writeFileSync(whole, 'a run that was stopped leaves no such file\n');
    return written;
  }
  return {
    name: 'write the model',
    dtype: null,
    seconds: 0,
    done: 'kept from before',
    peak: null,
    peakAnonymous: null,
  };
}

async function giveTokenizer(model: string, tokenizer: string | null): Promise<void> {
  if (tokenizer === null) {
    note('`persona chat` and `persona extract` are left out: they need --tokenizer');
    return;
  }
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(tokenizer, name), join(model, name));
}

async function runDtype(model: string, dtype: Dtype, options: BenchOptions): Promise<Phase[]> {
  const { folder, block, threads } = options;
  const cli = compiledCli();
  const root = join(dirname(cli), '..');
  const here = import.meta.dirname;
  const weights = ['--dtype', dtype, '--block', `${block}`];
  const [input, output] = [join(folder, 'rows.jsonl'), join(folder, 'activations.safetensors')];
  const ids = rowIds(rowTokens, 50_000);
  writeFileSync(input, `${JSON.stringify({ ids, response_start: rowTokens / 4 })}\n`.repeat(rows));
  const quantise = ['--import', 'tsx', join(here, 'quantise.ts'), root, model, dtype, `${block}`];
  const quantised = await phase('quantise', dtype, `block ${block}`, quantise);
  const settings = JSON.stringify({ dtype, blockSize: block, threads });
  const starting = [
    '--import',
    'tsx',
    join(here, 'start.ts'),
    join(root, 'engine/load.js'),
    model,
    settings,
    '64',
  ];
  const start = await phase('load and generate', dtype, 'a prompt of 64 tokens, 16 new', starting);
  const activations = ['activations', model, '--input', input, '--out', output, ...weights];
  const generate = ['generate', model, '--ids', ids.slice(0, 64).join(','), '--max-tokens', `${newTokens}`];
  const phases = [
    quantised,
    { ...start, start: JSON.parse(start.stdout) as StartReport },
    await phase('persona activations', dtype, `${rows} rows of ${rowTokens} tokens`, [cli, ...activations]),
    await phase('persona generate', dtype, `a prompt of 64 tokens, ${newTokens} new`, [
      cli,
      ...generate,
      '--ignore-eos',
      ...weights,
    ]),
  ];
  if (options.tokenizer !== null) phases.push(...(await talkAndExtract(cli, model, dtype, options)));
  if (dtype === 'int8') phases.push(await trainOnce(cli, model, input, options));
  await rm(output, { force: true });
  return phases.map(({ stdout: _, ...rest }) => rest);
}

/** A conversation of one turn, and a vector from few rollouts: what needs a tokenizer. Its words say nothing, so no judge drops any. */
async function talkAndExtract(
  cli: string,
  model: string,
  dtype: Dtype,
  { folder, block }: BenchOptions,
): Promise<(Phase & Pick<ChildResult, 'stdout'>)[]> {
  const weights = ['--dtype', dtype, '--block', `${block}`];
  const question = 'What would you do with a day without any duties?\n';
  const talk = ['chat', model, ...weights, '--max-tokens', `${newTokens}`, '--temperature', '0'];
  const chat = await phase(
    'persona chat',
    dtype,
    `a question, at most ${newTokens} new tokens`,
    [cli, ...talk],
    question,
  );
  const out = join(folder, 'extracted');
  await rm(out, { recursive: true, force: true });
  const few = ['--instructions', '1', '--questions', '4', '--samples', '2', '--max-tokens', '16'];
  const all = ['--threshold', '0', '--force', '--no-sweep', '--no-held-out', '--no-dose-response'];
  const extract = [
    'extract',
    model,
    'cheerful',
    '--trait-set',
    'stories',
    ...weights,
    ...few,
    ...all,
    '--out',
    out,
  ];
  const extracted = await phase('persona extract', dtype, '16 rollouts of 16 tokens', [cli, ...extract]);
  await rm(out, { recursive: true, force: true });
  return [chat, extracted];
}

/** One step of LoRA on all projections, with the frozen base in int8 and every block computed again on the way back. */
async function trainOnce(
  cli: string,
  model: string,
  training_file: string,
  { folder, block, threads }: BenchOptions,
): Promise<Phase & Pick<ChildResult, 'stdout'>> {
  const [config, output_dir] = [join(folder, 'train.json'), join(folder, 'adapter')];
  const settings = {
    model,
    training_file,
    output_dir,
    max_steps: 1,
    seed: 0,
    threads,
    r: trainWork.rank,
    lora_alpha: trainWork.alpha,
    per_device_train_batch_size: 1,
    gradient_accumulation_steps: 1,
    dtype: 'int8',
    block_size: block,
    recompute: true,
  };
  writeFileSync(config, JSON.stringify(settings));
  // What a stopped bench left would be gone on with, and no step taken.
  await rm(output_dir, { recursive: true, force: true });
  const done = `LoRA of rank ${trainWork.rank}, one step of ${rowTokens} tokens, recompute`;
  const result = await phase(trainPhase, 'int8', done, [cli, 'train', config]);
  await rm(output_dir, { recursive: true, force: true });
  return result;
}

async function phase(
  name: string,
  dtype: Dtype | null,
  done: string,
  args: readonly string[],
  input = '',
): Promise<Phase & Pick<ChildResult, 'stdout'>> {
  note(`${dtype ?? 'bf16'}: ${name}`);
  return { name, dtype, done, ...(await runNode(args, { input })) };
}

function printPhases({ shape, phases }: PhasesReport): void {
  const size = (bytes: number | null): string => (bytes === null ? 'unknown' : gigabytes(bytes));
  const rows = phases.map(({ name, dtype, done, seconds, peak, peakAnonymous }) => [
    dtype === null ? name : `${dtype}: ${name}`,
    done,
    seconds === 0 ? '' : `${seconds.toFixed(1)} s`,
    size(peak),
    size(peakAnonymous),
    target(name, dtype, peak),
  ]);
  console.log(`\n${table([shape, 'work', 'time', 'peak resident', 'of it anonymous', 'target'], rows)}`);
  for (const { dtype, start } of phases) {
    if (start === undefined) continue;
    console.log(
      `${dtype}: loaded in ${start.load.toFixed(1)} s, a prompt of 64 tokens in ${start.prefill.toFixed(1)} s, ${(1 / start.perToken).toFixed(1)} tokens/s after; resident ${size(start.resident)}, of it anonymous ${size(start.anonymous)}`,
    );
  }
}

function target(name: string, dtype: Dtype | null, peak: number | null): string {
  const limit = name === trainPhase ? trainBytes : dtype === null ? undefined : targetBytes[dtype];
  if (limit === undefined || peak === null) return '';
  return `≤ ${gigabytes(limit)} ${peak <= limit ? 'reached' : 'missed'}`;
}
