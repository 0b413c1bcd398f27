import { InvalidArgumentError, Option } from '@commander-js/extra-typings';
import type { Estimate } from '../apps/estimate.ts';
import type { RateOptions } from '../apps/estimate-rate.ts';
import { defined } from '../util/defined.ts';
import { decimal } from './arguments.ts';
import { duration } from './progress.ts';
import { bytes, shortPath, table } from './render.ts';
import { note, print, printJson } from './terminal.ts';

/** The flags of a dry run, as commander gives them. */
export interface DryRunFlags {
  readonly dryRun?: true | undefined;
  readonly rate?: { readonly prompt: number; readonly reply: number } | undefined;
  readonly measure: boolean;
}

/** Those of a command that also judges. */
export interface JudgedDryRunFlags extends DryRunFlags {
  readonly prices?: string | undefined;
}

/** `--dry-run`, on every command that may take long; `persona estimate COMMAND …` gives it. */
export const dryRunOption = new Option('--dry-run', 'say what this would take, and do nothing');

/** `--rate`, of a command that runs a model. */
export const rateOption = new Option(
  '--rate <list>',
  'for a dry run: tokens/s of prompts and, all rows together, of replies, such as 400,60; else measured once',
).argParser(parseRate);

/** `--no-measure`, of a command that runs a model. */
export const noMeasureOption = new Option(
  '--no-measure',
  'for a dry run: load no model; without a rate from before, the time is a guess',
);

/** `--prices`, of a command with a judge. */
const pricesOption = new Option(
  '--prices <file>',
  'for a dry run: {"judge": {"input", "output"}} in US dollars a million tokens; else dated list prices',
);

/** The flags of a dry run of a command that runs a model. */
export const dryRunFlags: readonly Option[] = [dryRunOption, rateOption, noMeasureOption];

/** The same of one that also judges. */
export const judgedDryRunFlags: readonly Option[] = [...dryRunFlags, pricesOption];

/** The flags of a dry run as the library's options. */
export function toRateOptions(flags: DryRunFlags): RateOptions {
  return { ...defined({ rate: flags.rate }), measure: flags.measure, onNotice: note };
}

function parseRate(text: string): NonNullable<DryRunFlags['rate']> {
  const [prompt, reply, ...rest] = text.split(',').map((part) => decimal(0)(part.trim()));
  if (prompt === undefined || prompt === 0 || reply === 0 || rest.length > 0)
    throw new InvalidArgumentError('Expected one or two numbers above 0, such as 400,60.');
  return { prompt, reply: reply ?? prompt };
}

/** Prints an estimate, for programs or for a person. */
export function printEstimate(estimate: Estimate, json: boolean): void {
  if (json) printJson(toJson(estimate));
  else print(describeEstimate(estimate));
}

/** The estimate as a person reads it. */
export function describeEstimate(estimate: Estimate): string {
  const { model, precision, steps, totals, memory, disk, notes } = estimate;
  const total = disk.files.reduce((sum, file) => sum + file.bytes, 0);
  const rows: [string, string][] = [
    ['command', `persona ${estimate.command}, not run`],
    ...(model === null
      ? []
      : [['model', precision === null ? model : `${model} in ${precision}`] as [string, string]]),
    ...(steps.length < 2
      ? []
      : steps.map((step): [string, string] => [
          step.name,
          `${count(step.rows)} replies, at most ${tokens(step.newTokens)}${within(step.seconds)}`,
        ])),
    ...(steps.length === 0 ? [] : [['tokens', tokensOf(estimate)] as [string, string]]),
    [
      'time',
      totals.seconds === null ? 'not known' : `at most ${duration(totals.seconds)}${origin(estimate)}`,
    ],
    ...(memory === null
      ? []
      : [['memory', `${bytes(memory.needed)}, of ${bytes(memory.free)} free`] as [string, string]]),
    [
      'disk',
      total === 0 ? 'nothing' : `${bytes(total)}${disk.free === null ? '' : `, of ${bytes(disk.free)} free`}`,
    ],
    ...disk.files
      .filter((file) => disk.files.length > 1 && file.bytes > total / 10)
      .map((file): [string, string] => [`  ${shortPath(file.name)}`, bytes(file.bytes)]),
    ...judgeRows(estimate),
  ];
  return `${table(rows)}${notes.map((line) => `${line}\n`).join('')}`;
}

function judgeRows({ judge }: Estimate): [string, string][] {
  if (judge === null) return [];
  if (judge.calls === 0) return [['judge', `${judge.name}: no calls, no cost`]];
  const asked = `${count(judge.calls)} calls, ${tokens(judge.inputTokens)} in and ${tokens(judge.outputTokens)} out`;
  const cost =
    judge.dollars === null
      ? 'price not known, give it with --prices'
      : `${judge.dollars.toFixed(2)} US dollars (${judge.price})`;
  return [
    ['judge', `${judge.name}: ${asked}`],
    ['cost', cost],
  ];
}

function tokensOf({ totals, steps }: Estimate): string {
  const { promptTokens, newTokens } = totals;
  const run = steps.reduce((sum, step) => sum + step.runTokens, 0);
  const shared = run < promptTokens ? ` (${count(run)} of them run, the others share a prompt)` : '';
  const replies = newTokens === 0 ? '' : `, and at most ${count(newTokens)} of replies`;
  return `${count(promptTokens)} of prompts${shared}${replies}`;
}

function within(seconds: number | null): string {
  return seconds === null ? '' : ` in ${duration(seconds)}`;
}

function origin({ rate }: Estimate): string {
  if (rate === null) return '';
  const day = rate.date === null ? '' : ` on ${rate.date.slice(0, 10)}`;
  const from = {
    given: 'at the rate given',
    guess: 'a guess',
    'measured now': `at the rate measured now`,
    'measured before': `at the rate measured${day}`,
  }[rate.source];
  return ` (${from})`;
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function tokens(value: number): string {
  return `${count(value)} tokens`;
}

/** For programs, under the names that its other outputs use. */
function toJson({
  command,
  model,
  precision,
  steps,
  totals,
  rate,
  memory,
  disk,
  judge,
  notes,
}: Estimate): object {
  return {
    command,
    model,
    precision,
    steps: steps.map((step) => ({
      name: step.name,
      rows: step.rows,
      prompt_tokens: step.promptTokens,
      prompt_tokens_run: step.runTokens,
      new_tokens: step.newTokens,
      seconds: step.seconds,
    })),
    prompt_tokens: totals.promptTokens,
    new_tokens: totals.newTokens,
    seconds: totals.seconds,
    rate:
      rate === null
        ? null
        : {
            source: rate.source.replaceAll(' ', '_'),
            date: rate.date,
            prompt_tokens_per_second: rate.prompt,
            step_seconds: rate.step,
            row_seconds: rate.row,
          },
    memory: memory === null ? null : { needed: memory.needed, free: memory.free },
    disk,
    judge:
      judge === null
        ? null
        : {
            name: judge.name,
            calls: judge.calls,
            input_tokens: judge.inputTokens,
            output_tokens: judge.outputTokens,
            dollars: judge.dollars,
            price: judge.price,
          },
    notes,
  };
}
