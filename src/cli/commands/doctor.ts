import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { CacheState, DoctorReport } from '../../apps/doctor.ts';
import type { ProcessorFeature } from '../../apps/machine.ts';
import { EngineError } from '../../errors.ts';
import { bytes, table } from '../render.ts';
import { print, printable, printJson, resultColours } from '../terminal.ts';

/** `persona doctor`: what this installation runs on, and what would be slow here and why. */
export function doctorCommand(): CommandUnknownOpts {
  return new Command('doctor').option('--json', 'print the findings as JSON').action(async ({ json }) => {
    const { doctor } = await import('../../apps/doctor.ts');
    const report = await doctor();
    if (json === true) printJson(report);
    else print(describeReport(report));
    if (!report.runtime.works) {
      throw new EngineError(
        `Expected the tensor runtime to load, got: ${report.runtime.problem}; install the package again on this machine.`,
      );
    }
  });
}

/** The report as a person reads it: findings under each other, then what stands in the way. */
export function describeReport(report: DoctorReport): string {
  const { machine, runtime, largestModel: largest } = report;
  const rows: [string, string][] = [
    ['persona', `${report.version} on Node ${report.node}, ${machine.platform}`],
    [
      'runtime',
      runtime.works
        ? `ONNX Runtime ${runtime.version}, with ${runtime.providers.join(', ')}; models run on ${report.device.name}`
        : 'does not load',
    ],
    ...(report.device.problem === null
      ? []
      : [['device', printable(report.device.problem)] satisfies [string, string]]),
    ['processor', `${machine.processor}, ${count(machine.cores, 'core')}${quota(machine.coreQuota)}`],
    ['instructions', instructions(machine.features)],
    ['memory', `${bytes(machine.memory.available)} free of ${bytes(machine.memory.total)}`],
    [
      'products, fp32',
      report.productRate === null
        ? 'not measured'
        : `${report.productRate.gigaflops.toFixed(0)} GFLOP/s on ${count(report.productRate.threads, 'thread')}, measured now`,
    ],
    [
      'largest model',
      `${billions(largest.fp32)} parameters in fp32 (${billions(largest.fp32Generate)} to generate), ${billions(largest.int8)} in int8, ${billions(largest.int4)} in int4`,
    ],
    ...report.caches.map((cache): [string, string] => [cacheNames[cache.name], describeCache(cache)]),
    ['environment', report.environment.length === 0 ? 'nothing set' : `${report.environment.join(', ')} set`],
  ];
  return `${table(rows)}\n${describeAdvice(report.advice)}`;
}

const cacheNames = { models: 'models', own: 'own cache' } as const;

function describeCache({ folder, files, bytes: size, unfinishedBytes, freeBytes }: CacheState): string {
  const content = files === 0 ? 'empty' : `${bytes(size)} in ${count(files, 'file')}`;
  const unfinished = unfinishedBytes === 0 ? '' : ` (${bytes(unfinishedBytes)} unfinished)`;
  const free = freeBytes === null ? '' : `, ${bytes(freeBytes)} free`;
  return `${folder}: ${content}${unfinished}${free}`;
}

/** What these instructions are called by those who make them. */
const featureNames: Readonly<Record<ProcessorFeature, string>> = {
  avx2: 'AVX2',
  avx512: 'AVX-512',
  vnni: 'VNNI',
  bf16: 'BF16',
  amx: 'AMX',
  neon: 'NEON',
  dotprod: 'dot products',
  i8mm: 'int8 matrices',
  sve: 'SVE',
};

function instructions(features: readonly ProcessorFeature[] | null): string {
  if (features === null) return 'not told by this system';
  return features.length === 0
    ? 'none of those that matter'
    : features.map((name) => featureNames[name]).join(', ');
}

function quota(cores: number | null): string {
  return cores === null ? '' : `, limited to the time of ${cores}`;
}

function describeAdvice(advice: readonly string[]): string {
  if (advice.length === 0) return 'Nothing here would be slow without need.\n';
  const lines = advice.map((sentence) => `- ${printable(sentence)}\n`);
  return `${resultColours.bold('Slow or in the way here')}\n${lines.join('')}`;
}

function billions(parameters: number): string {
  return `${(parameters / 1e9).toFixed(1)} B`;
}

function count(number: number, unit: string): string {
  return number === 1 ? `1 ${unit}` : `${number.toLocaleString('en-US')} ${unit}s`;
}
