import { type Device, deviceOf } from '../engine/device-name.ts';
import { hubCacheFolder } from '../model/hub-cache.ts';
import type { Environment } from '../model/hub-cache.ts';
import { cacheFolder } from '../store/cache-folder.ts';
import { packageInfo } from '../store/package-info.ts';
import { measureFolder } from '../util/folder-size.ts';
import { freeBytes } from '../util/free-bytes.ts';
import { threadCount } from '../util/threads.ts';
import { adviceFor } from './doctor-advice.ts';
import { describeMachine } from './machine.ts';
import type { Machine } from './machine.ts';
import type { ProductRate, RuntimeFacts } from './runtime-check.ts';

/** What decides how well this installation works, and what stands in its way. */
export interface DoctorReport {
  /** Version of this package. */
  readonly version: string;
  readonly node: string;
  readonly machine: Machine;
  /** Threads that the engine uses unless told otherwise. */
  readonly threads: number;
  readonly runtime: RuntimeState;
  /** What computes models unless told otherwise, and why it does not, where it does not; another than the processor is tried. */
  readonly device: { readonly name: Device; readonly problem: string | null };
  /** Null where the runtime does not work. */
  readonly productRate: ProductRate | null;
  readonly largestModel: LargestModel;
  readonly caches: readonly CacheState[];
  /** Names of the variables that are set and matter here; never their values. */
  readonly environment: readonly string[];
  /** What would be slow or go wrong here and why, in sentences; empty where nothing would. */
  readonly advice: readonly string[];
}

/** The tensor runtime, or why it does not work. */
export type RuntimeState =
  | ({ readonly works: true } & RuntimeFacts)
  | { readonly works: false; readonly problem: string };

/** Parameters of the largest model whose weights fit into the memory that is free, a fifth of it left for the work. */
export interface LargestModel {
  /** For one pass over given texts. */
  readonly fp32: number;
  /** Generation holds the weights a second time, packed for single-token steps. */
  readonly fp32Generate: number;
  readonly int8: number;
  readonly int4: number;
}

/** A folder with what can be downloaded or made again. Sizes are in bytes. */
export interface CacheState {
  readonly name: 'models' | 'own';
  readonly folder: string;
  readonly files: number;
  readonly bytes: number;
  /** Of it, downloads that were cut off. */
  readonly unfinishedBytes: number;
  /** Free on its disk; null where the system does not say. */
  readonly freeBytes: number | null;
}

export interface DoctorOptions {
  /** Default: the environment of this process. */
  readonly environment?: Environment;
  /** Length of the measurement in seconds; default 0.3. */
  readonly seconds?: number;
}

/** Names of the environment variables that change what this package does. */
const watchedVariables = [
  'HF_TOKEN',
  'HF_ENDPOINT',
  'HF_HOME',
  'HF_HUB_CACHE',
  'HF_HUB_OFFLINE',
  'TRANSFORMERS_OFFLINE',
  'XDG_CACHE_HOME',
  'PERSONA_CACHE',
  'PERSONA_THREADS',
  'PERSONA_DEVICE',
  'OPENAI_API_KEY',
  'ANTHROPIC_API_KEY',
  'HTTPS_PROXY',
  'HTTP_PROXY',
  'NODE_EXTRA_CA_CERTS',
  'NODE_OPTIONS',
  'NODE_USE_ENV_PROXY',
];

/** Looks at everything that decides how well this installation works, and measures how fast it multiplies. */
export async function doctor(options: DoctorOptions = {}): Promise<DoctorReport> {
  const { environment = process.env, seconds = 0.3 } = options;
  const threads = threadCount(environment);
  // Measured before the folders are walked, which would slow it down.
  const machine = await describeMachine();
  const { runtime, productRate } = await checkRuntime(threads, seconds);
  const facts = {
    version: (await packageInfo()).version,
    node: process.versions.node,
    machine,
    threads,
    runtime,
    device: await checkDevice(environment, runtime),
    productRate,
    largestModel: largestModel(machine.memory.available),
    caches: await Promise.all([
      describeCache('models', hubCacheFolder(environment)),
      describeCache('own', cacheFolder(environment)),
    ]),
    environment: watchedVariables.filter((name) => Boolean(environment[name])),
  };
  return { ...facts, advice: adviceFor(facts) };
}

/** Bytes per parameter: numbers of 8 or 4 bits have a scale of 4 bytes for every 32 of them. */
const bytesPerParameter = { fp32: 4, fp32Generate: 8, int8: 1 + 4 / 32, int4: 0.5 + 4 / 32 } as const;
/** What weights may take of the free memory; activations and the cache of keys and values need the rest. */
const shareForWeights = 0.8;

function largestModel(available: number): LargestModel {
  const fit = (bytes: number): number => Math.floor((shareForWeights * available) / bytes);
  const { fp32, fp32Generate, int8, int4 } = bytesPerParameter;
  return { fp32: fit(fp32), fp32Generate: fit(fp32Generate), int8: fit(int8), int4: fit(int4) };
}

async function checkRuntime(
  threads: number,
  seconds: number,
): Promise<Pick<DoctorReport, 'runtime' | 'productRate'>> {
  try {
    // Loaded here, because a native library that is missing or broken fails at the import.
    const { describeRuntime, measureProductRate } = await import('./runtime-check.ts');
    const facts = describeRuntime();
    return { productRate: await measureProductRate(threads, seconds), runtime: { works: true, ...facts } };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { productRate: null, runtime: { works: false, problem } };
  }
}

async function checkDevice(
  environment: Environment,
  { works }: RuntimeState,
): Promise<DoctorReport['device']> {
  const name = deviceOf(undefined, environment);
  if (name === 'cpu' || !works) return { name, problem: null };
  const { tryDevice } = await import('../engine/device.ts');
  try {
    await tryDevice(name);
    return { name, problem: null };
  } catch (error) {
    return { name, problem: error instanceof Error ? error.message : String(error) };
  }
}

async function describeCache(name: CacheState['name'], folder: string): Promise<CacheState> {
  const whole = await measureFolder(folder);
  const unfinished = await measureFolder(folder, (file) => file.endsWith('.incomplete'));
  return { name, folder, ...whole, unfinishedBytes: unfinished.bytes, freeBytes: await freeBytes(folder) };
}
