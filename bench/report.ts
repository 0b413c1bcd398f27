/** The numbers of one run, for a file and for a terminal. */

import type { LoadOptions } from '../src/engine/model.ts';
import type { Machine } from './machine.ts';
import { speedRatio, summarise, type Summary, type Timings } from './measure.ts';
import type { MemoryReport } from './memory.ts';
import { table } from './table.ts';
import { variantNames } from './variants.ts';

export interface Report {
  readonly date: string;
  readonly commit: string;
  readonly command: string;
  readonly machine: Machine;
  readonly shape: string;
  readonly dtype: string;
  readonly purpose: NonNullable<LoadOptions['purpose']>;
  readonly threads: number;
  readonly rounds: number;
  /** Of every variant. */
  readonly tokens: number;
  /** Of the linear layers; a multiplication and its addition are two. */
  readonly operationsPerToken: number;
  readonly memory: MemoryReport;
  /** Seconds of every round by variant. */
  readonly seconds: Readonly<Record<string, readonly number[]>>;
}

/** Prints tables, then the ratios that have a target, then what they were measured on. */
export function printReport(report: Report): void {
  const { machine, memory } = report;
  const timings = new Map(Object.entries(report.seconds));
  const lines = [
    '',
    `${report.shape}, random ${report.dtype} weights, ${report.tokens} tokens, ${report.threads} threads, loaded for "${report.purpose}"`,
    '',
    table(
      ['prefill', 'seconds', 'quartiles', 'best', 'tokens/s', 'GFLOP/s', 'of products'],
      [...timings.keys()].map((name) => timingRow(report, timings, name)),
    ),
    '',
    table(
      ['on against off', 'speed', 'quartiles', 'best', 'target'],
      [
        ratioRow(
          'pooled, share of products',
          speedRatio(timings, variantNames.one, variantNames.products),
          0.8,
        ),
        ratioRow('capture', speedRatio(timings, variantNames.one, variantNames.plain), 0.95),
        ratioRow('steering', speedRatio(timings, variantNames.steered, variantNames.plain), 0.95),
      ],
    ),
    '',
    table(
      ['load', 'value'],
      [
        ['time', `${memory.loadSeconds.toFixed(1)} s`],
        ['resident', gigabytes(memory.resident)],
        ['of it anonymous', memory.anonymous === null ? 'unknown' : gigabytes(memory.anonymous)],
        ['peak while loading', gigabytes(memory.peakLoad)],
        ['peak', gigabytes(memory.peak)],
      ],
    ),
    '',
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGB} GB, ${machine.platform}; load average ${machine.loadAverage} before`,
    `node ${machine.node}, onnxruntime-node ${machine.onnxruntime}, commit ${report.commit}, ${report.date}; medians of ${report.rounds} alternating rounds`,
    report.command,
  ];
  console.log(lines.join('\n'));
}

function timingRow(report: Report, timings: Timings, name: string): string[] {
  const { median, low, high, best } = summarise(timings.get(name)!);
  const rate = report.tokens / median;
  return [
    name,
    median.toFixed(3),
    `${low.toFixed(3)} – ${high.toFixed(3)}`,
    best.toFixed(3),
    rate.toFixed(0),
    ((rate * report.operationsPerToken) / 1e9).toFixed(0),
    percent(speedRatio(timings, name, variantNames.products).median),
  ];
}

function ratioRow(name: string, ratio: Summary, target: number): string[] {
  const mark = ratio.median >= target ? 'reached' : 'missed';
  return [
    name,
    percent(ratio.median),
    `${percent(ratio.low)} – ${percent(ratio.high)}`,
    percent(ratio.best),
    `≥ ${percent(target)} ${mark}`,
  ];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
