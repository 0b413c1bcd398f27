import { mean, sampleCorrelation, sampleStandardDeviation } from 'simple-statistics';
import { bootstrapInterval } from './bootstrap.ts';

/** A mean and the ends of its 95 % interval; all null for no values, the ends null for one. */
export interface MeanInterval {
  readonly mean: number | null;
  readonly lower: number | null;
  readonly upper: number | null;
}

/** 97.5 % quantile of the standard normal distribution. */
const NORMAL_975 = 1.959963984540054;

/** Resamples of a cell's mean: the ends of its interval are then known to about a fortieth of its length. */
const RESAMPLES = 1000;

/**
 * Mean of all values with the 95 % percentile bootstrap interval over groups: whole groups are drawn again, because values
 * of one group (the replies to one question) are alike. The ends are null for fewer than two groups with values. The draws
 * depend on the number of groups alone, so that equal data have equal intervals.
 */
export function groupedMean(groups: readonly (readonly number[])[]): MeanInterval {
  const filled = groups.filter((values) => values.length > 0);
  const sums = filled.map((values) => values.reduce((sum, value) => sum + value, 0));
  const meanOf = (draw: Int32Array): number =>
    draw.reduce((sum, i) => sum + sums[i]!, 0) / draw.reduce((count, i) => count + filled[i]!.length, 0);
  if (filled.length === 0) return { mean: null, lower: null, upper: null };
  const options = { name: [filled.length], resamples: RESAMPLES };
  const { lower, upper } = bootstrapInterval(filled.length, meanOf, options) ?? { lower: null, upper: null };
  return { mean: meanOf(Int32Array.from(filled.keys())), lower, upper };
}

/**
 * Area under the ROC curve: how often a value of `positive` is above one of `negative`, ties counting half. Null where
 * one side is empty.
 */
export function areaUnderCurve(positive: readonly number[], negative: readonly number[]): number | null {
  const [m, n] = [positive.length, negative.length];
  if (m === 0 || n === 0) return null;
  const sum = ranks([...positive, ...negative])
    .slice(0, m)
    .reduce((total, rank) => total + rank, 0);
  return (sum - (m * (m + 1)) / 2) / (m * n);
}

/** Cohen's d: difference of means in pooled standard deviations; null for fewer than two values a side or none that differ. */
export function effectSize(positive: readonly number[], negative: readonly number[]): number | null {
  const [m, n] = [positive.length, negative.length];
  if (m < 2 || n < 2) return null;
  const square = (values: readonly number[]): number => sampleStandardDeviation([...values]) ** 2;
  const pooled = Math.sqrt(((m - 1) * square(positive) + (n - 1) * square(negative)) / (m + n - 2));
  return pooled === 0 ? null : (mean([...positive]) - mean([...negative])) / pooled;
}

/** Wilson's 95 % interval of a share of `count` trials; null for none. */
export function wilsonInterval(
  successes: number,
  count: number,
): { readonly lower: number; readonly upper: number } | null {
  if (count === 0) return null;
  const share = successes / count;
  const square = NORMAL_975 ** 2;
  const center = (share + square / (2 * count)) / (1 + square / count);
  const half =
    (NORMAL_975 / (1 + square / count)) *
    Math.sqrt((share * (1 - share)) / count + square / (4 * count * count));
  return {
    lower: successes === 0 ? 0 : center - half,
    upper: successes === count ? 1 : center + half,
  };
}

/**
 * Where one more draw from the distribution of `values` falls in 95 of 100 cases: m ± t · s · √(1 + 1/n), with t the
 * 97.5 % quantile of Student's distribution of n − 1 degrees of freedom. Wider than the spread of the values
 * themselves, because mean and spread are known from n of them only.
 */
export function predictionInterval(
  values: readonly number[],
): { readonly lower: number; readonly upper: number } | null {
  if (values.length < 2) return null;
  const center = mean([...values]);
  const spread = sampleStandardDeviation([...values]) * Math.sqrt(1 + 1 / values.length);
  const half = studentQuantile975(values.length - 1) * spread;
  return { lower: center - half, upper: center + half };
}

/** Pearson's correlation; null for fewer than three points, through two of which a line always goes, or where one side is constant. */
export function pearson(x: readonly number[], y: readonly number[]): number | null {
  return x.length < 3 || isConstant(x) || isConstant(y) ? null : sampleCorrelation([...x], [...y]);
}

/** Spearman's rank correlation; equal values share their mean rank. Null where one side is constant. */
export function spearman(x: readonly number[], y: readonly number[]): number | null {
  return x.length < 2 || isConstant(x) || isConstant(y) ? null : sampleCorrelation(ranks(x), ranks(y));
}

function isConstant(values: readonly number[]): boolean {
  return values.every((value) => value === values[0]);
}

function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const found = values.map(() => 0);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let i = start; i < end; i++) found[order[i]!] = (start + end + 1) / 2;
    start = end;
  }
  return found;
}

/** 97.5 % quantile of Student's t with `degrees` ≥ 1 degrees of freedom, by bisection of its distribution. */
export function studentQuantile975(degrees: number): number {
  let [low, high] = [0, 13];
  for (let round = 0; round < 60; round++) {
    const middle = (low + high) / 2;
    if (studentCentral(middle, degrees) < 0.95) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(−t < T < t), by the finite series for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4). */
function studentCentral(t: number, degrees: number): number {
  const angle = Math.atan(t / Math.sqrt(degrees));
  const [sine, square] = [Math.sin(angle), Math.cos(angle) ** 2];
  if (degrees === 1) return (2 * angle) / Math.PI;
  const even = degrees % 2 === 0;
  let term = even ? 1 : Math.cos(angle);
  let sum = term;
  for (let k = even ? 1 : 2; k <= degrees - 3; k += 2) {
    term *= (k / (k + 1)) * square;
    sum += term;
  }
  return even ? sine * sum : (2 / Math.PI) * (angle + sine * sum);
}
