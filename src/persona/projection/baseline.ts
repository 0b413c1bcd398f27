import { UsageError } from '../../errors.ts';
import {
  type Baseline,
  type BaselineVector,
  type CalibratedPlace,
  type Distribution,
  percentileSteps,
} from '../../store/baseline-file.ts';
import { directionHash } from '../../training/directions.ts';
import type { Watched } from './watch.ts';

/** A projection beside what is usual at its place. */
export interface Calibrated {
  /** (projection − mean) / standard deviation; 0 where the baseline does not vary. */
  readonly z: number;
  /** Share of the baseline below it, 0 to 100. */
  readonly percentile: number;
}

/** What numbers a baseline is made of: those of one place, in any order. */
export function distributionOf(values: ArrayLike<number>): Distribution {
  const sorted = Float64Array.from(values).sort();
  const mean = sum(sorted) / sorted.length;
  const squares = sorted.map((value) => (value - mean) ** 2);
  const sd = sorted.length < 2 ? 0 : Math.sqrt(sum(squares) / (sorted.length - 1));
  const percentiles = Array.from({ length: percentileSteps + 1 }, (_, i) =>
    quantile(sorted, i / percentileSteps),
  );
  return { count: sorted.length, mean, sd, percentiles };
}

/** Where a projection lies in a distribution; percentiles between two that are kept are interpolated. */
export function calibrated(value: number, { mean, sd, percentiles }: Distribution): Calibrated {
  return { z: sd === 0 ? 0 : (value - mean) / sd, percentile: percentileOf(value, percentiles) };
}

/**
 * The projection at a percentile or z-score of a vector's place.
 *
 * @throws UsageError where the baseline has no such vector or layer; `where` begins the sentence.
 */
export function valueAt(
  baseline: Baseline,
  vector: { readonly name: string; readonly layer: number },
  place: CalibratedPlace,
  threshold: { readonly percentile: number } | { readonly z: number },
  where: string,
): number {
  const found = baseline.vectors.find(
    ({ name, layer }) => name.split('@')[0] === vector.name && layer === vector.layer,
  );
  if (found === undefined) throw notCalibrated(baseline, `${vector.name} at layer ${vector.layer}`, where);
  const { mean, sd, percentiles } = found.places[place];
  if ('z' in threshold) return mean + threshold.z * sd;
  const at = (threshold.percentile / 100) * percentileSteps;
  const [low, high] = [Math.floor(at), Math.ceil(at)];
  return percentiles[low]! + (at - low) * (percentiles[high]! - percentiles[low]!);
}

/** The baseline's numbers of a watched vector; UsageError where it has none, or of another vector of that name. */
export function baselineOf(baseline: Baseline, watched: Watched, where = 'The baseline'): BaselineVector {
  const found = findBaseline([baseline], watched);
  if (found === null)
    throw notCalibrated(baseline, `this vector of ${watched.name} at layer ${watched.layer}`, where);
  return found.vector;
}

/** The first of some baselines that knows this direction at this layer; null where none does. */
export function findBaseline(
  baselines: readonly Baseline[],
  { layer, vector }: Pick<Watched, 'layer' | 'vector'>,
): { readonly baseline: Baseline; readonly vector: BaselineVector } | null {
  const hash = directionHash(vector);
  for (const baseline of baselines) {
    const found = baseline.vectors.find((one) => one.layer === layer && one.vector_sha256 === hash);
    if (found !== undefined) return { baseline, vector: found };
  }
  return null;
}

function notCalibrated({ vectors }: Baseline, wanted: string, where: string): UsageError {
  const known = vectors.map(({ name, layer }) => `${name} at layer ${layer}`).join(', ');
  return new UsageError(
    `${where}: the baseline does not know ${wanted}; it has ${known}. Make it again with \`persona calibrate\`.`,
  );
}

function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const [a, b] = [sorted[low]!, sorted[Math.min(low + 1, sorted.length - 1)]!];
  return a + (at - low) * (b - a);
}

function percentileOf(value: number, percentiles: readonly number[]): number {
  const step = 100 / percentileSteps;
  if (value <= percentiles[0]!) return 0;
  const above = percentiles.findIndex((edge) => edge >= value);
  if (above < 0) return 100;
  const [low, high] = [percentiles[above - 1]!, percentiles[above]!];
  return step * (above - 1 + (high === low ? 1 : (value - low) / (high - low)));
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}
