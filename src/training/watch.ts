import { basename } from 'node:path';
import { DataError, UsageError } from '../errors.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import type { Pooling } from '../engine/types.ts';
import type { TrainFinal } from '../store/train-schema.ts';
import type { TrainConfig } from './config.ts';
import { directionAt, loadDirections } from './directions.ts';
import type { RowStore } from './row-store.ts';
import type { Trainer } from './types.ts';

/** A direction whose projection is followed while training. */
export interface WatchedVector {
  /** Names it in the log and in the report. */
  readonly name: string;
  readonly layer: number;
  /** `[width]`, of length 1. */
  readonly unit: Float64Array;
}

/** What is measured beside the training loss. */
export interface MeasurePlan {
  readonly watched: readonly WatchedVector[];
  readonly probes: RowStore | null;
  readonly pooling: Pooling;
  readonly watchSteps: number;
  readonly test: RowStore | null;
  readonly testSteps: number;
  /** Rows of one forward pass. */
  readonly batchRows: number;
}

/**
 * Reads the vectors that `watch` names.
 *
 * @throws UsageError where an entry has no layer and its file recommends none, or two entries have one name.
 */
export async function resolveWatched(
  config: Pick<TrainConfig, 'watch'>,
  checkpoint: Checkpoint,
): Promise<WatchedVector[]> {
  const watched: WatchedVector[] = [];
  for (const given of config.watch) {
    const entry = typeof given === 'string' ? { vector: given } : given;
    const directions = await loadDirections(entry.vector, checkpoint.config, entry.pooling);
    const layer = entry.layer ?? directions.metadata.recommendedLayer;
    if (layer === null)
      throw new UsageError(
        `watch: expected a "layer" for "${entry.vector}", which recommends none; add one from 1 to ${checkpoint.config.layers}.`,
        { details: { file: entry.vector } },
      );
    const vector = directionAt(directions, layer);
    const norm = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
    if (!(norm > 0 && Number.isFinite(norm)))
      throw new DataError(
        `watch: expected a direction at layer ${layer} of "${basename(entry.vector)}", got a vector of norm ${norm}.`,
        { details: { file: entry.vector, layer } },
      );
    const name = entry.name ?? directions.name;
    if (watched.some((other) => other.name === name))
      throw new UsageError(
        `watch: expected a name of its own for each entry, got ${JSON.stringify(name)} twice; add "name" to one of them.`,
      );
    watched.push({ name, layer, unit: Float64Array.from(vector, (x) => x / norm) });
  }
  return watched;
}

/** Measures what is due before a step, counted from 0; null measures everything, after the last step. */
export function measurer(trainer: Trainer, plan: MeasurePlan): (step: number | null) => Promise<TrainFinal> {
  return async (step) => {
    const due = (every: number): boolean => step === null || step % every === 0;
    const projections =
      plan.watched.length > 0 && plan.probes !== null && due(plan.watchSteps)
        ? { projections: await project(trainer, plan, plan.probes) }
        : {};
    const held =
      plan.test !== null && due(plan.testSteps)
        ? { test_loss: await heldOutLoss(trainer, plan.test, plan.batchRows) }
        : {};
    return { ...projections, ...held };
  };
}

/** Mean over the probe rows of (pooled residual · v/‖v‖), for each watched vector. */
async function project(
  trainer: Trainer,
  { watched, pooling, batchRows }: MeasurePlan,
  probes: RowStore,
): Promise<Record<string, number>> {
  const sums = new Float64Array(watched.length);
  for (const indices of chunks(probes.length, batchRows)) {
    const rows = indices.map((index) => probes.row(index));
    const { pooled } = await trainer.evaluate(rows, { pool: pooling });
    for (const states of pooled) {
      for (const [i, { layer, unit }] of watched.entries()) {
        let sum = 0;
        const start = layer * unit.length;
        for (let k = 0; k < unit.length; k++) sum += states[start + k]! * unit[k]!;
        sums[i] = sums[i]! + sum;
      }
    }
  }
  return Object.fromEntries(watched.map(({ name }, i) => [name, sums[i]! / probes.length]));
}

async function heldOutLoss(trainer: Trainer, test: RowStore, batchRows: number): Promise<number> {
  let [loss, weight] = [0, 0];
  for (const indices of chunks(test.length, batchRows)) {
    const result = await trainer.evaluate(indices.map((index) => test.row(index)));
    loss += result.loss;
    weight += result.weight;
  }
  return loss / weight;
}

/** Indices from 0 to `count`, so many at a time. */
function chunks(count: number, size: number): number[][] {
  return Array.from({ length: Math.ceil(count / size) }, (_, i) =>
    Array.from({ length: Math.min(size, count - i * size) }, (_, k) => i * size + k),
  );
}
