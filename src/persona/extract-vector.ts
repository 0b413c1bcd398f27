import { DataError } from '../errors.ts';
import type { Pole } from './poles.ts';
import { euclideanNorm } from './vector.ts';

/** The kept rollouts by pole, by their places in the store. */
export type KeptRows = Readonly<Record<Pole, readonly number[]>>;

/** Reads the pooled activations of one rollout, `[L+1, width]`. */
export type ReadRecord = (pooling: string, index: number) => Promise<Float32Array>;

/**
 * Mean activation of the positive rollouts minus that of the negative ones, for every layer and every pooling:
 * `[L+1, width]` each, raw (METHOD of the paper, "difference of means"). Every rollout weighs the same, whatever
 * its length. Sums are Float64 and run in the order of `rows`, so that equal runs give equal bits.
 *
 * @throws DataError naming the rollout whose activations are not finite.
 */
export async function differenceOfMeans(
  rows: KeptRows,
  poolings: readonly string[],
  read: ReadRecord,
): Promise<Map<string, Float32Array>> {
  const vectors = new Map<string, Float32Array>();
  for (const pooling of poolings) {
    const positive = await meanOf(rows.pos, pooling, read);
    const negative = await meanOf(rows.neg, pooling, read);
    vectors.set(
      pooling,
      Float32Array.from(positive, (value, i) => value - negative[i]!),
    );
  }
  return vectors;
}

/**
 * Mean Euclidean norm of the rollouts' pooled activations at every layer, `[L+1]`: how long the residual stream is
 * there, in the same pooling as the vector.
 */
export async function meanNorms(
  rows: readonly number[],
  pooling: string,
  width: number,
  read: ReadRecord,
): Promise<number[]> {
  let sums: number[] = [];
  for (const row of rows) {
    const record = await read(pooling, row);
    const norms = Array.from({ length: record.length / width }, (_, layer) =>
      euclideanNorm(record.subarray(layer * width, (layer + 1) * width)),
    );
    sums = norms.map((norm, layer) => norm + (sums[layer] ?? 0));
  }
  return sums.map((sum) => sum / rows.length);
}

async function meanOf(rows: readonly number[], pooling: string, read: ReadRecord): Promise<Float64Array> {
  let sums: Float64Array | null = null;
  for (const row of rows) {
    const record = await read(pooling, row);
    sums ??= new Float64Array(record.length);
    for (let i = 0; i < record.length; i++) sums[i]! += record[i]!;
    if (!sums.every(Number.isFinite)) throw notFinite(pooling, row);
  }
  return (sums ?? new Float64Array(0)).map((sum) => sum / rows.length);
}

function notFinite(pooling: string, row: number): DataError {
  return new DataError(
    `Expected finite activations, got others in "${pooling}" of rollout ${row}; the model overflows on its text, so leave that question out.`,
    { details: { pooling, row } },
  );
}
