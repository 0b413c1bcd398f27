import { minimise } from '../util/lbfgs.ts';
import { cosine, dot } from '../util/vectors.ts';

/**
 * Directions beside the difference of means: `pca`, the first principal component; `probe`, the weights of a logistic
 * regression that tells the poles apart.
 */
export const directionKinds = ['pca', 'probe'] as const;
export type DirectionKind = (typeof directionKinds)[number];

/** Rows of one length, one after the other. */
export interface Rows {
  readonly data: Float32Array;
  readonly count: number;
  readonly width: number;
}

/** A direction at one layer, as long as the difference of means there and on its side. */
export interface Direction {
  /** `[width]`, Float64; zeros where the activations do not differ. */
  readonly vector: Float64Array;
  /** Of `pca`: the share of the squared lengths that lies along it. Of `probe`: the share of rollouts on their own side. */
  readonly quality: number | null;
  readonly converged: boolean;
}

/** Power iterations; a gap of 3 % between the two largest eigenvalues needs about 500 for ten digits. */
const MAX_POWER_ITERATIONS = 500;

/**
 * First principal component. Of pairs: of the differences between the two rollouts of each pair, not centred, so that what a
 * pair has in common does not count. Without pairs: of all rollouts, as they deviate from the midpoint of the two means.
 *
 * @param means `[width]`: the difference of means, which gives the sign and the length.
 */
export function pcaDirection(
  positive: Rows,
  negative: Rows,
  paired: boolean,
  means: Float64Array,
): Direction {
  const deviations = paired ? differences(positive, negative) : centred(positive, negative);
  const { width } = positive;
  let vector = unit(means);
  let converged = false;
  for (let i = 0; i < MAX_POWER_ITERATIONS && !converged; i++) {
    const next = unit(transposedTimes(deviations, times(deviations, vector)));
    converged = 1 - Math.abs(dot(next, vector)) < 1e-14;
    vector = next;
  }
  const along = times(deviations, vector);
  let total = 0;
  for (const value of deviations.data) total += value * value;
  const quality = total === 0 ? null : dot(along, along) / total;
  return { vector: like(vector, means, width), quality, converged };
}

/**
 * Weights of an L2-regularised logistic regression (weight 1, as is usual, on the sum of losses), both poles counting the
 * same. Activations are centred between the means and scaled by one number, their root mean square, so that directions
 * keep their angles.
 */
export function probeDirection(positive: Rows, negative: Rows, means: Float64Array): Direction {
  const { width } = positive;
  const rows = centred(positive, negative);
  let square = 0;
  for (const value of rows.data) square += value * value;
  const scale = Math.sqrt(square / rows.data.length);
  if (scale === 0) return { vector: new Float64Array(width), quality: null, converged: true };
  const sides = Float64Array.from({ length: rows.count }, (_, i) => (i < positive.count ? 1 : -1));
  const share = sides.map((side) => 0.5 / (side > 0 ? positive.count : negative.count));
  const penalty = 1 / rows.count;
  // The last number is the offset, which is not penalised.
  const objective = (x: Float64Array, gradient: Float64Array): number => {
    const weights = x.subarray(0, width);
    const scores = times(rows, weights);
    let value = (penalty / 2) * dot(weights, weights);
    const slopes = new Float64Array(rows.count);
    for (let i = 0; i < rows.count; i++) {
      const margin = sides[i]! * (scores[i]! / scale + x[width]!);
      value += share[i]! * softplus(-margin);
      slopes[i] = -share[i]! * sides[i]! * sigmoid(-margin);
    }
    const back = transposedTimes(rows, slopes);
    for (let j = 0; j < width; j++) gradient[j] = back[j]! / scale + penalty * weights[j]!;
    gradient[width] = slopes.reduce((sum, slope) => sum + slope, 0);
    return value;
  };
  const { x, converged } = minimise(objective, new Float64Array(width + 1));
  const weights = x.subarray(0, width);
  const right = times(rows, weights).filter((score, i) => sides[i]! * (score / scale + x[width]!) > 0);
  return { vector: like(weights, means, width), quality: right.length / rows.count, converged };
}

/** Cosines of two `[L+1, width]` tensors, layer by layer; null where either is zero. */
export function cosinesByLayer(a: Float32Array, b: Float32Array, width: number): (number | null)[] {
  return Array.from({ length: a.length / width }, (_, layer) => {
    const [x, y] = [a, b].map((tensor) => tensor.subarray(layer * width, (layer + 1) * width));
    return dot(x!, x!) === 0 || dot(y!, y!) === 0 ? null : cosine(x!, y!);
  });
}

function differences(positive: Rows, negative: Rows): Rows {
  return { ...positive, data: positive.data.map((value, i) => value - negative.data[i]!) };
}

/** Both poles' rows, positive first, less the midpoint of the two means. */
function centred(positive: Rows, negative: Rows): Rows {
  const { width } = positive;
  const [a, b] = [meanRow(positive), meanRow(negative)];
  const count = positive.count + negative.count;
  const data = new Float32Array(count * width);
  data.set(positive.data);
  data.set(negative.data, positive.data.length);
  for (let i = 0; i < data.length; i++) data[i]! -= (a[i % width]! + b[i % width]!) / 2;
  return { data, count, width };
}

function meanRow({ data, count, width }: Rows): Float64Array {
  const mean = new Float64Array(width);
  for (let i = 0; i < data.length; i++) mean[i % width]! += data[i]! / count;
  return mean;
}

function times({ data, count, width }: Rows, vector: Float64Array): Float64Array {
  const product = new Float64Array(count);
  for (let row = 0; row < count; row++) {
    let sum = 0;
    const start = row * width;
    for (let i = 0; i < width; i++) sum += data[start + i]! * vector[i]!;
    product[row] = sum;
  }
  return product;
}

function transposedTimes({ data, count, width }: Rows, vector: Float64Array): Float64Array {
  const product = new Float64Array(width);
  for (let row = 0; row < count; row++) {
    const factor = vector[row]!;
    const start = row * width;
    for (let i = 0; i < width; i++) product[i]! += data[start + i]! * factor;
  }
  return product;
}

function unit(vector: Float64Array): Float64Array {
  const norm = Math.sqrt(dot(vector, vector));
  return norm === 0 ? vector : vector.map((value) => value / norm);
}

/** The direction with the length of the difference of means, on its side. */
function like(vector: Float64Array, means: Float64Array, width: number): Float64Array {
  const norm = Math.sqrt(dot(vector, vector));
  const length = Math.sqrt(dot(means, means));
  if (norm === 0 || length === 0) return new Float64Array(width);
  const factor = ((dot(vector, means) < 0 ? -1 : 1) * length) / norm;
  return Float64Array.from(vector, (value) => value * factor);
}

function softplus(x: number): number {
  return x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x));
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}
