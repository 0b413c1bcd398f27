/** The numbers of one run, for a file and for a terminal. */

import type { Dtype } from '../src/engine/model.ts';
import type { Memory } from './child.ts';
import type { LatencyReport } from './latency.ts';
import type { Machine } from './machine.ts';
import { speedRatio, summarise, type Summary, type Timings } from './measure.ts';
import { type Comparison, type Part, productsName } from './part.ts';
import type { StartReport } from './start.ts';
import { table } from './table.ts';
import type { TrainMethod } from './train.ts';

/** What every result says of where it comes from. */
export interface Origin {
  readonly date: string;
  readonly commit: string;
  readonly command: string;
  readonly machine: Machine;
}

export interface Report extends Origin {
  readonly shape: string;
  readonly threads: number;
  readonly rounds: number;
  readonly purpose: 'generate' | 'one-pass';
  /** Weights that share a scale, in int8 and int4. */
  readonly block: 32 | 128;
  /** Versions of the other side; null where there was none. */
  readonly peer: string | null;
  readonly dtypes: Readonly<Partial<Record<Dtype, DtypeReport>>>;
}

export interface DtypeReport {
  /** The smallest cosine between both sides' residuals over the layers; null without a peer. */
  readonly agreement: number | null;
  readonly parts: readonly TimedPart[];
  /** Of every round. */
  readonly start: readonly StartReport[] | null;
  readonly latency: LatencyReport | null;
  /** Peaks of processes that load a model and train two steps. */
  readonly training: readonly TrainingMemory[];
}
/** A piece of a dtype's report that has just been measured. */
export type Measured = Partial<Omit<DtypeReport, 'parts'>> & { readonly part?: TimedPart };
export type StartRounds = NonNullable<DtypeReport['start']>;

export interface TrainingMemory extends Memory {
  readonly method: TrainMethod;
}

/** A part with the seconds of every round of its variants. */
export interface TimedPart {
  readonly title: string;
  readonly unit?: string;
  readonly variants: readonly TimedVariant[];
  readonly comparisons: readonly Compared[];
}
interface TimedVariant {
  readonly name: string;
  readonly tokens: number;
  readonly operations: number;
  readonly seconds: readonly number[];
}
type Compared = Summary & Pick<Comparison, 'label' | 'target'>;

export function timed(part: Part, timings: Timings): TimedPart {
  const tokens = (name: string): number => part.variants.find((variant) => variant.name === name)!.tokens;
  return {
    title: part.title,
    ...(part.unit === undefined ? {} : { unit: part.unit }),
    variants: part.variants.map((variant) => ({
      name: variant.name,
      tokens: variant.tokens,
      operations: variant.operations,
      seconds: timings.get(variant.name)!,
    })),
    comparisons: part.comparisons.map(({ label, variant, against, target }) => ({
      label,
      ...(target === undefined ? {} : { target }),
      ...speedRatio(timings, variant, against, tokens),
    })),
  };
}

export function printTitle(shape: string, dtype: Dtype): void {
  console.log(`\n${shape}, random weights in ${dtype}`);
}

/** Prints one piece of a dtype's report. */
export function printMeasured({ agreement, part, start, latency, training }: Measured): void {
  const blocks = [
    ...(agreement === undefined || agreement === null
      ? []
      : [`both sides read the same residuals to a cosine of ${agreement.toFixed(6)} or more`]),
    ...(part === undefined ? [] : [variantTable(part), comparisonTable(part)]),
    ...(start === undefined || start === null ? [] : [startTable(start)]),
    ...(latency === undefined || latency === null ? [] : [latencyTable(latency)]),
    ...(training === undefined ? [] : [trainingTable(training)]),
  ];
  console.log(`\n${blocks.join('\n\n')}`);
}

/** Prints what the numbers were measured on. */
export function printOrigin(
  report: Origin & { readonly rounds?: number; readonly peer?: string | null },
): void {
  const { machine, rounds, peer } = report;
  const lines = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGB} GB, ${machine.platform}; load average ${machine.loadAverage} before`,
    `node ${machine.node}, onnxruntime-node ${machine.onnxruntime}${peer ? `, ${peer}` : ''}, commit ${report.commit}, ${report.date}`,
    ...(rounds === undefined ? [] : [`medians of ${rounds} alternating rounds`]),
    report.command,
  ];
  console.log(`\n${lines.join('\n')}`);
}

function variantTable({ title, variants, unit = 'tokens' }: TimedPart): string {
  const rateOf = ({ tokens, seconds }: TimedVariant): number => tokens / summarise(seconds).median;
  const products = variants.find(({ name }) => name === productsName);
  const rows = variants.map((variant) => {
    const { median, low, high, best } = summarise(variant.seconds);
    return [
      variant.name,
      decimals(median),
      `${decimals(low)} – ${decimals(high)}`,
      decimals(best),
      rateOf(variant).toFixed(rateOf(variant) < 100 ? 1 : 0),
      (variant.operations / median / 1e9).toFixed(0),
      products === undefined ? '' : percent(rateOf(variant) / rateOf(products)),
    ];
  });
  return table([title, 'seconds', 'quartiles', 'best', `${unit}/s`, 'GFLOP/s', 'of products'], rows);
}

function comparisonTable({ comparisons }: TimedPart): string {
  const rows = comparisons.map(({ label, median, low, high, best, target }) => [
    label,
    ratio(median),
    `${ratio(low)} – ${ratio(high)}`,
    ratio(best),
    target === undefined ? '' : `≥ ${ratio(target)} ${median >= target ? 'reached' : 'missed'}`,
  ]);
  return table(['speed, times as fast', 'median', 'quartiles', 'best', 'target'], rows);
}

/** Medians of the rounds; memory is the largest seen. */
function startTable(rounds: StartRounds): string {
  const time = (name: 'toFirstToken' | 'load' | 'prefill'): string => {
    const { median, low, high } = summarise(rounds.map((round) => round[name]));
    return `${median.toFixed(2)} s (${low.toFixed(2)} – ${high.toFixed(2)})`;
  };
  const size = (name: 'resident' | 'anonymous' | 'peak'): string => {
    const seen = rounds.flatMap((round) => round[name] ?? []);
    return seen.length === 0 ? 'unknown' : gigabytes(Math.max(...seen));
  };
  return table(
    ['start of a cached model, in a process of its own', 'value'],
    [
      ['to the first token', time('toFirstToken')],
      ['of it loading', time('load')],
      ['of it a prompt of 64 tokens', time('prefill')],
      ['resident', size('resident')],
      ['of it anonymous', size('anonymous')],
      ['peak', size('peak')],
    ],
  );
}

function latencyTable({ timers, median, p99, largest }: LatencyReport): string {
  const late = (value: number): string => `${value.toFixed(1)} ms`;
  return table(
    ['timers beside a busy worker', 'late by', 'target'],
    [
      [`median of ${timers}`, late(median), ''],
      ['p99', late(p99), `≤ 50 ms ${p99 <= 50 ? 'reached' : 'missed'}`],
      ['largest', late(largest), ''],
    ],
  );
}

function trainingTable(processes: readonly TrainingMemory[]): string {
  const size = (bytes: number | null): string => (bytes === null ? 'unknown' : gigabytes(bytes));
  return table(
    ['two training steps, in a process of their own', 'peak', 'of it anonymous'],
    processes.map(({ method, peak, peakAnonymous }) => [
      method === 'lora' ? 'LoRA' : 'all weights',
      size(peak),
      size(peakAnonymous),
    ]),
  );
}

function decimals(seconds: number): string {
  return seconds.toFixed(seconds < 0.1 ? 4 : 3);
}

function ratio(value: number): string {
  return value.toFixed(2);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
