import { quantileSorted } from 'simple-statistics';
import { randomStream } from '../util/random.ts';

/** Ends of a 95 % interval. */
export interface Interval {
  readonly lower: number;
  readonly upper: number;
}

export interface BootstrapOptions {
  /** Names the random numbers. */
  readonly name: readonly (string | number)[];
  /** Default 2000. */
  readonly resamples?: number;
}

/**
 * The percentile bootstrap: 95 % of `statistic` over samples of `count` units drawn with replacement. It is given the drawn
 * units' indices; draws for which it is not finite are left out. Null where fewer than two units, or no draw, say anything.
 */
export function bootstrapInterval(
  count: number,
  statistic: (units: Int32Array) => number,
  { name, resamples = 2000 }: BootstrapOptions,
): Interval | null {
  if (count < 2) return null;
  const stream = randomStream('bootstrap', ...name);
  const units = new Int32Array(count);
  const values: number[] = [];
  for (let draw = 0; draw < resamples; draw++) {
    for (let i = 0; i < count; i++) units[i] = Math.floor(stream.uniform() * count);
    const value = statistic(units);
    if (Number.isFinite(value)) values.push(value);
  }
  if (values.length === 0) return null;
  values.sort((a, b) => a - b);
  return { lower: quantileSorted(values, 0.025), upper: quantileSorted(values, 0.975) };
}

/** The bootstrap interval of a mean. */
export function bootstrapMean(values: readonly number[], options: BootstrapOptions): Interval | null {
  const meanOf = (units: Int32Array): number => {
    let sum = 0;
    for (const unit of units) sum += values[unit]!;
    return sum / units.length;
  };
  return bootstrapInterval(values.length, meanOf, options);
}
