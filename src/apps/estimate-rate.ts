import { loadFromCheckpoint, precisionOf } from '../engine/load.ts';
import type { Dtype, LanguageModel } from '../engine/model.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { checkpointFingerprint } from '../model/fingerprint.ts';
import { type RateKey, cacheFolder } from '../store/cache-folder.ts';
import { readRate, writeRate } from '../store/rate-file.ts';
import { defined } from '../util/defined.ts';
import { threadCount } from '../util/threads.ts';
import type { FoundRate, Rate } from './estimate.ts';
import { weightsToQuantise } from './estimate-parts.ts';
import { type Machine, describeMachine } from './machine.ts';
import { operationsPerToken, weightMemory } from '../engine/model-memory.ts';

/** Where the time of an estimate comes from. */
export interface RateOptions {
  /** Tokens a second of prompts and, all rows together, of replies; nothing is then measured. */
  readonly rate?: { readonly prompt: number; readonly reply: number };
  /** False loads no model: without a rate from before, the time is a guess. Default true. */
  readonly measure?: boolean;
  /** The package's cache folder; default: `cacheFolder()`. */
  readonly cacheFolder?: string;
  /** For tests, which time nothing. */
  readonly calibrate?: (model: LanguageModel) => Promise<Rate>;
  /** For tests. */
  readonly productRate?: () => Promise<number>;
  readonly now?: () => Date;
  /** Takes lines about the loading of the model that a user should see. */
  readonly onNotice?: (message: string) => void;
}

/** The rate, and what a person should know of it. */
export interface RateFinding {
  readonly rate: FoundRate;
  readonly notes: readonly string[];
}

interface Loading {
  readonly dtype?: Dtype | undefined;
  readonly blockSize?: 32 | 128 | undefined;
}

/**
 * How fast a checkpoint runs here: as given; else as measured before in this precision on this machine; else measured now
 * and kept in the cache; else, where measuring is not wanted, would not fit into the memory or would first have to quantise
 * the weights, guessed from the rate of plain matrix products.
 */
export async function findRate(
  checkpoint: Checkpoint,
  loading: Loading,
  options: RateOptions,
): Promise<RateFinding> {
  const { rate } = options;
  if (rate !== undefined) {
    const given = { prompt: rate.prompt, step: 0, row: 1 / rate.reply };
    return { rate: { ...given, source: 'given', date: null }, notes: [] };
  }
  const root = options.cacheFolder ?? cacheFolder();
  const machine = await describeMachine();
  const key: RateKey = {
    model: checkpoint.id,
    fingerprint: await checkpointFingerprint(checkpoint),
    precision: precisionOf(defined(loading)),
    machine: nameOf(machine),
  };
  const known = await readRate(root, key);
  if (known !== null) return { rate: { ...known, source: 'measured before' }, notes: [] };
  const obstacle = await obstacleTo(checkpoint, loading, { root, machine, options });
  if (obstacle !== null) return guess(checkpoint, loading, obstacle, options);
  const measured = await measure(checkpoint, loading, options);
  const date = (options.now?.() ?? new Date()).toISOString();
  const found = { rate: { ...measured, source: 'measured now', date }, notes: [] } as const;
  try {
    await writeRate(root, key, { ...measured, date });
    return found;
  } catch (error) {
    return { ...found, notes: [`The rate could not be kept for the next time: ${messageOf(error)}`] };
  }
}

/** Of the free memory, what a model may take for nothing but a measurement. */
const shareForMeasuring = 0.8;

/** Why the model is not to be loaded now, or null. */
async function obstacleTo(
  checkpoint: Checkpoint,
  loading: Loading,
  given: { readonly root: string; readonly machine: Machine; readonly options: RateOptions },
): Promise<string | null> {
  const { root, machine, options } = given;
  if (options.measure === false) return 'nothing was measured';
  if (
    weightMemory(checkpoint, { ...loading, purpose: 'generate' }) >
    shareForMeasuring * machine.memory.available
  )
    return 'the model does not fit into the memory that is free';
  if ((loading.dtype ?? 'fp32') === 'fp32') return null;
  const unready = await weightsToQuantise(checkpoint, loading, root);
  return unready.length === 0 ? null : 'its weights are not quantised yet';
}

async function measure(checkpoint: Checkpoint, loading: Loading, options: RateOptions): Promise<Rate> {
  const { onNotice } = options;
  onNotice?.(`Measuring once how fast ${checkpoint.id} runs here.`);
  const calibrate = options.calibrate ?? (await import('./calibrate.ts')).calibrate;
  const model = await loadFromCheckpoint(checkpoint, defined({ ...loading, onNotice }));
  try {
    return await calibrate(model);
  } finally {
    await model.close();
  }
}

/** Share of the plain products' rate that a prompt reaches, and what block kernels gain on it: seen on two machines. */
const reached = { fp32: 0.8, int8: 1.6, int4: 1.3 } as const;
/** Bytes a second that a step of few rows reads weights at: what ordinary memory gives two cores. */
const bandwidth = 20e9;

async function guess(
  checkpoint: Checkpoint,
  loading: Loading,
  why: string,
  options: RateOptions,
): Promise<RateFinding> {
  const { dtype = 'fp32' } = loading;
  const gigaflops = await (options.productRate ?? measureProducts)();
  const prompt = (1e9 * gigaflops * reached[dtype]) / operationsPerToken(checkpoint);
  const step = weightMemory(checkpoint, { ...loading, purpose: 'one-pass' }) / bandwidth;
  return {
    rate: { prompt, step, row: 1 / prompt, source: 'guess', date: null },
    notes: [`The time is a guess from the rate of plain matrix products, since ${why}.`],
  };
}

async function measureProducts(): Promise<number> {
  const { measureProductRate } = await import('./runtime-check.ts');
  return (await measureProductRate(threadCount(), 0.2)).gigaflops;
}

/** What tells two machines apart as far as a rate goes. */
function nameOf({ platform, processor, cores, coreQuota }: Machine): string {
  return JSON.stringify([platform, processor, cores, coreQuota, threadCount()]);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
