import { randomStream } from '../util/random.ts';
import type { RowStore } from './row-store.ts';

export interface BatchPlan {
  readonly rows: RowStore;
  /** Rows of one forward and backward pass. */
  readonly perDevice: number;
  /** Passes of one optimiser step. */
  readonly accumulation: number;
  readonly shuffle: boolean;
  readonly seed: number;
  /** Fill a pass by tokens: as many rows as fit `perDevice` rows of `packLength` tokens; null goes by rows. */
  readonly packLength: number | null;
}

/** The rows of one optimiser step. */
export interface EffectiveBatch {
  /** Counted from 0. */
  readonly epoch: number;
  /** Indices of rows, pass by pass. */
  readonly passes: readonly (readonly number[])[];
}

/** Optimiser steps in one pass over the data; the last one of an epoch may have fewer rows. */
export function stepsPerEpoch(plan: Pick<BatchPlan, 'rows' | 'perDevice' | 'accumulation'>): number {
  return Math.ceil(plan.rows.length / (plan.perDevice * plan.accumulation));
}

/** Gives the batch of any step, counted from 0. What a step trains on depends on the plan alone, not on where a run began. */
export function batchPlanner(plan: BatchPlan): (step: number) => EffectiveBatch {
  const perEpoch = stepsPerEpoch(plan);
  const size = plan.perDevice * plan.accumulation;
  let known: { readonly epoch: number; readonly order: Int32Array } | null = null;
  return (step) => {
    const epoch = Math.floor(step / perEpoch);
    if (known?.epoch !== epoch) known = { epoch, order: epochOrder(plan, epoch) };
    const first = (step % perEpoch) * size;
    return { epoch, passes: toPasses(plan, known.order.slice(first, first + size)) };
  };
}

/** The most that any pass can hold, whatever the order: the longest rows together. */
export function largestPass({ rows, perDevice, accumulation, packLength }: BatchPlan): number[] {
  const sorted = Array.from({ length: rows.length }, (_, i) => i).sort(
    (a, b) => rows.lengthOf(b) - rows.lengthOf(a),
  );
  if (packLength === null) return sorted.slice(0, perDevice);
  let room = perDevice * packLength;
  const step = sorted.slice(0, perDevice * accumulation);
  return step.filter((index) => (room -= rows.lengthOf(index)) >= 0);
}

/** The order of the rows in an epoch. */
export function epochOrder(
  { rows, shuffle, seed }: Pick<BatchPlan, 'rows' | 'shuffle' | 'seed'>,
  epoch: number,
): Int32Array {
  const order = Int32Array.from({ length: rows.length }, (_, i) => i);
  return shuffle ? shuffled(order, 'training order', seed, epoch) : order;
}

/** A copy in random order (Fisher–Yates) of the stream that `parts` name. */
export function shuffled(items: Int32Array, ...parts: readonly (string | number)[]): Int32Array {
  const random = randomStream(...parts);
  const order = items.slice();
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random.uniform() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/**
 * Cuts a step's rows into passes. Rows of similar length share one, so that little is padded, and the longest come first,
 * so that a step that does not fit in memory fails at once.
 */
function toPasses({ rows, perDevice, packLength }: BatchPlan, batch: Int32Array): number[][] {
  const sorted = [...batch].sort((a, b) => rows.lengthOf(b) - rows.lengthOf(a) || a - b);
  if (packLength === null) {
    return Array.from({ length: Math.ceil(sorted.length / perDevice) }, (_, i) =>
      sorted.slice(i * perDevice, (i + 1) * perDevice),
    );
  }
  return packRows(sorted, rows, perDevice * packLength);
}

/** First fit, longest first: into the first pass with room for it. */
function packRows(sorted: readonly number[], rows: RowStore, room: number): number[][] {
  const passes: { readonly indices: number[]; left: number }[] = [];
  for (const index of sorted) {
    const length = rows.lengthOf(index);
    const fitting = passes.find(({ left }) => left >= length);
    if (fitting === undefined) passes.push({ indices: [index], left: room - length });
    else {
      fitting.indices.push(index);
      fitting.left -= length;
    }
  }
  return passes.map(({ indices }) => indices);
}

/**
 * Splits rows off as a test set: `share` below 1 is that share of them, above it their number. Which ones depends on the
 * seed alone; both parts keep the order of the file.
 */
export function splitRows(
  count: number,
  share: number,
  seed: number,
): { readonly train: readonly number[]; readonly test: readonly number[] } {
  const testCount = share < 1 ? Math.floor(count * share) : share;
  const order = shuffled(
    Int32Array.from({ length: count }, (_, i) => i),
    'test split',
    seed,
  );
  const inOrder = (part: Int32Array): number[] => [...part].sort((a, b) => a - b);
  return { test: inOrder(order.slice(0, testCount)), train: inOrder(order.slice(testCount)) };
}
