/** A worker thread that quantises the slices it is sent, one at a time; see `quantise-pool.ts`. */

import { parentPort } from 'node:worker_threads';
import { quantiseSlice, type Slice } from './quantise-slice.ts';

/** What the worker is sent: a slice, and the file to write it to, open in this process. */
export interface SliceOrder {
  readonly slice: Slice;
  readonly fileDescriptor: number;
}
/** What it answers: the slice's hash, or null where the slice failed, which its sender finds out about by itself. */
export type SliceAnswer = string | null;

parentPort?.on('message', ({ slice, fileDescriptor }: SliceOrder) => {
  quantiseSlice(slice, fileDescriptor)
    .catch(() => null)
    .then((answer: SliceAnswer) => parentPort?.postMessage(answer, []))
    .catch(() => parentPort?.close());
});
