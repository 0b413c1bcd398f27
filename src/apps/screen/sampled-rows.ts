import type { Dataset, DatasetRow } from '../../store/dataset/read-dataset.ts';
import { sha256 } from '../../util/hash.ts';

/**
 * So many rows of a data set, drawn at random, in its order; all of them for null. A row is drawn by the hash of its key, so
 * that the drawing needs eight bytes a row and no second copy.
 */
export async function* sampledRows(
  dataset: Dataset,
  sample: number | null,
  seed: number,
): AsyncGenerator<DatasetRow> {
  if (sample === null) {
    yield* dataset.rows();
    return;
  }
  const draws: number[] = [];
  for await (const { key } of dataset.rows()) draws.push(drawOf(key, seed));
  const limit = Float64Array.from(draws).sort()[sample - 1] ?? Infinity;
  for await (const row of dataset.rows()) if (drawOf(row.key, seed) <= limit) yield row;
}

/** A number of 52 bits; equal ones are not to be expected. */
function drawOf(key: string, seed: number): number {
  return Number.parseInt(sha256(`${seed} ${key}`).slice(0, 13), 16);
}
