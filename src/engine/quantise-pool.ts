import { Worker } from 'node:worker_threads';
import { AbortError } from '../errors.ts';
import { quantiseSlice, type Slice } from './quantise-slice.ts';
import type { SliceAnswer, SliceOrder } from './quantise-worker.ts';

export interface PoolOptions {
  /** Worker threads. */
  readonly threads: number;
  readonly signal?: AbortSignal | undefined;
  /** Called after each slice with the number of weights in it. */
  readonly onDone?: ((weights: number) => void) | undefined;
}

/**
 * Quantises all slices into an open file, side by side in worker threads; gives their hashes, in their order. A slice that
 * fails in a worker, or whose worker cannot start, is done again in this thread, where its error keeps its class. When
 * this throws, nothing writes to the file any more.
 *
 * @throws AbortError; the errors of `quantiseSlice`.
 */
export async function quantiseSlices(
  slices: readonly Slice[],
  fileDescriptor: number,
  options: PoolOptions,
): Promise<string[]> {
  const hashes: string[] = [];
  const queue = slices.entries();
  let stopped = false;
  const lane = async (): Promise<void> => {
    const worker = startLane(slices);
    try {
      for (const [i, slice] of queue) {
        if (stopped) return;
        if (options.signal?.aborted) throw aborted();
        hashes[i] =
          (await worker?.run({ slice, fileDescriptor })) ?? (await quantiseSlice(slice, fileDescriptor));
        options.onDone?.(countWeights(slice));
      }
    } finally {
      stopped = true;
      await worker?.close();
    }
  };
  const lanes = Math.min(options.threads, slices.length, MAX_WORKERS);
  const results = await Promise.allSettled(Array.from({ length: lanes }, lane));
  const failure = results.find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
  return hashes;
}

/** Weights of a slice. */
export function countWeights({ source, rows }: Slice): number {
  return rows * (source.shape[1] ?? 1);
}

/** Each holds a slice several times over, some 16 MB: together at most 256 MB. */
const MAX_WORKERS = 16;
/** Fewer weights are quantised sooner than a thread starts. */
const WORTH_A_WORKER = 2 ** 21;

interface Lane {
  /** Null where the worker could not do it. */
  run(order: SliceOrder): Promise<SliceAnswer>;
  close(): Promise<void>;
}

function startLane(slices: readonly Slice[]): Lane | null {
  const total = slices.reduce((sum, slice) => sum + countWeights(slice), 0);
  if (total < WORTH_A_WORKER) return null;
  // Beside this file lies what it was compiled to, or its source where that is run directly.
  const isSource = import.meta.url.endsWith('.ts');
  const url = new URL(isSource ? './quantise-worker.ts' : './quantise-worker.js', import.meta.url);
  // Source needs the flags that load it; plain JavaScript is better without those of the process, such as --input-type,
  // with which no thread starts.
  const worker = new Worker(url, isSource ? {} : { execArgv: [] });
  let answer: (answer: SliceAnswer) => void = () => undefined;
  let isGone = false;
  const leave = (): void => {
    isGone = true;
    answer(null);
  };
  // A runtime that cannot read TypeScript ends the worker with an error: the lane goes on without it.
  worker
    .on('message', (hash: SliceAnswer) => answer(hash))
    .on('error', leave)
    .on('exit', leave);
  return {
    run: (order) =>
      new Promise((resolve) => {
        answer = resolve;
        if (isGone) resolve(null);
        else worker.postMessage(order, []);
      }),
    close: async () => {
      await worker.terminate();
    },
  };
}

function aborted(): AbortError {
  return new AbortError('Stopped while the weights were quantised; the next start begins anew.');
}
