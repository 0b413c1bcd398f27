import { readFile } from 'node:fs/promises';
import os from 'node:os';
import { availableMemory } from '../util/memory.ts';

/** The machine as this process finds it. Memory is in bytes. */
export interface Machine {
  /** Such as `linux x64`. */
  readonly platform: string;
  readonly processor: string;
  /** Logical cores that this process may use. */
  readonly cores: number;
  /** Cores' worth of time that a container allows; null where nothing limits it. */
  readonly coreQuota: number | null;
  /** What of `knownFeatures` the processor can do; null where the system does not say. */
  readonly features: readonly ProcessorFeature[] | null;
  readonly memory: {
    /** Of the machine, or of the container where that is less. */
    readonly total: number;
    /** What new work can have. */
    readonly available: number;
  };
  /** Processes that wanted to run in the last minute, on average. */
  readonly load: number;
}

/** Instructions that decide how fast products are, by the names that Linux gives them. */
const knownFeatures = {
  avx2: ['avx2'],
  avx512: ['avx512f'],
  // Products of bytes: on 512 bits, or on 256.
  vnni: ['avx512_vnni', 'avx_vnni'],
  bf16: ['avx512_bf16', 'bf16'],
  amx: ['amx_int8', 'amx_tile'],
  neon: ['asimd'],
  dotprod: ['asimddp'],
  i8mm: ['i8mm'],
  sve: ['sve'],
} as const;
export type ProcessorFeature = keyof typeof knownFeatures;

/** Describes the machine; takes no time to speak of. */
export async function describeMachine(): Promise<Machine> {
  const limit = process.constrainedMemory();
  const total = os.totalmem();
  return {
    platform: `${os.platform()} ${os.arch()}`,
    processor: os.cpus()[0]?.model.trim() || 'unknown',
    cores: os.availableParallelism(),
    coreQuota: parseCoreQuota(await readSystemFile('/sys/fs/cgroup/cpu.max')),
    features: parseFeatures(await readSystemFile('/proc/cpuinfo')),
    memory: {
      // Without a limit the system answers 0 or an absurd number.
      total: limit > 0 && limit < total ? limit : total,
      available: availableMemory(),
    },
    load: os.loadavg()[0] ?? 0,
  };
}

/** What Linux's /proc/cpuinfo says of the first core; null where it lists no features. */
export function parseFeatures(cpuinfo: string | null): ProcessorFeature[] | null {
  const line = /^(?:flags|Features)\s*:(.*)$/m.exec(cpuinfo ?? '')?.[1];
  if (line === undefined) return null;
  const present = new Set(line.trim().split(/\s+/));
  const names = Object.keys(knownFeatures) as ProcessorFeature[];
  return names.filter((name) => knownFeatures[name].some((flag) => present.has(flag)));
}

/** Cores' worth of time in a control group's `cpu.max`, such as `150000 100000`; null for `max` and anything else. */
export function parseCoreQuota(text: string | null): number | null {
  const match = /^(\d+) ([1-9]\d*)\s*$/.exec(text ?? '');
  return match === null ? null : Number(match[1]) / Number(match[2]);
}

/** A file that only some systems have. */
async function readSystemFile(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch(() => null);
}
