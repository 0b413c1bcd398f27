import type { TrainingRow } from '../../src/training/types.ts';
import type { GoldenRow } from './golden.ts';
import { randomIds } from './tiny-models.ts';

/** A row whose response counts in the loss, token by token. */
export function trainingRow(key: string, ids: readonly number[], promptLength: number): TrainingRow {
  const weights = Float32Array.from(ids, (_, i) => (i >= Math.max(1, promptLength) ? 1 : 0));
  return { key, ids, weights, promptLength };
}

export function goldenTrainingRows(rows: readonly GoldenRow[]): TrainingRow[] {
  return rows.map(({ ids, responseStart }, i) => trainingRow(`row ${i}`, ids, responseStart));
}

/** Σ weight over rows. */
export function totalWeight(rows: readonly TrainingRow[]): number {
  return rows.reduce((sum, row) => sum + row.weights.reduce((a, b) => a + b, 0), 0);
}

/** Random rows of different lengths; equal arguments give equal rows. */
export function randomRows(
  lengths: readonly number[],
  vocabSize: number,
  ...name: (string | number)[]
): TrainingRow[] {
  return lengths.map((length, i) =>
    trainingRow(`row ${i}`, randomIds(length, vocabSize, ...name, i), Math.floor(length / 3)),
  );
}
