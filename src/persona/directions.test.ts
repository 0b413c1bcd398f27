import { describe, expect, it } from 'vitest';
import { randomStream } from '../util/random.ts';
import { cosine } from '../util/vectors.ts';
import { type Rows, cosinesByLayer, pcaDirection, probeDirection } from './directions.ts';

function rowsOf(list: readonly (readonly number[])[]): Rows {
  return { data: Float32Array.from(list.flat()), count: list.length, width: list[0]!.length };
}

function meansOf(positive: Rows, negative: Rows): Float64Array {
  const mean = ({ data, count, width }: Rows, j: number): number =>
    Array.from({ length: count }, (_, i) => data[i * width + j]!).reduce((sum, value) => sum + value, 0) /
    count;
  return Float64Array.from({ length: positive.width }, (_, j) => mean(positive, j) - mean(negative, j));
}

/** Pairs that share a large common part of their own and differ along axis 0, with noise. */
function pairs(count: number, width: number, shift: number): [Rows, Rows] {
  const stream = randomStream('directions', count, width);
  const sides: number[][][] = [[], []];
  for (let i = 0; i < count; i++) {
    const common = Array.from({ length: width }, (_, j) => (j === 1 ? 20 : 1) * stream.normal());
    for (const [side, rows] of sides.entries()) {
      const sign = side === 0 ? 1 : -1;
      rows.push(common.map((value, j) => value + (j === 0 ? sign * shift : 0.3 * stream.normal())));
    }
  }
  return [rowsOf(sides[0]!), rowsOf(sides[1]!)];
}

const axis = (width: number, index: number): Float64Array =>
  Float64Array.from({ length: width }, (_, j) => (j === index ? 1 : 0));
const norm = (vector: ArrayLike<number>): number =>
  Math.sqrt(Array.from(vector).reduce((s, v) => s + v * v, 0));

describe('pcaDirection', () => {
  it('of pairs looks past what they have in common; of all rollouts it does not', () => {
    const [positive, negative] = pairs(60, 8, 1);
    const means = meansOf(positive, negative);
    const paired = pcaDirection(positive, negative, true, means);
    expect(cosine(paired.vector, axis(8, 0))).toBeGreaterThan(0.98);
    expect(paired).toMatchObject({ converged: true });
    expect(paired.quality).toBeGreaterThan(0.7);
    const free = pcaDirection(positive, negative, false, means);
    expect(Math.abs(cosine(free.vector, axis(8, 1)))).toBeGreaterThan(0.98);
  });

  it('equals the eigenvector of a covariance worked out by hand', () => {
    // Differences (3, 1) and (1, 3): DᵀD = [[10, 6], [6, 10]], whose first eigenvector is (1, 1)/√2 with 16 of 20.
    const [positive, negative] = [
      rowsOf([
        [3, 1],
        [1, 3],
      ]),
      rowsOf([
        [0, 0],
        [0, 0],
      ]),
    ];
    const { vector, quality } = pcaDirection(positive, negative, true, meansOf(positive, negative));
    expect(vector[0]).toBeCloseTo(2, 6);
    expect(vector[1]).toBeCloseTo(2, 6);
    expect(quality).toBeCloseTo(0.8, 8);
  });
});

describe('probeDirection', () => {
  it('finds what tells the poles apart, on the side and with the length of the difference of means', () => {
    const [positive, negative] = pairs(200, 12, 0.8);
    const means = meansOf(positive, negative);
    const probe = probeDirection(positive, negative, means);
    expect(probe.converged).toBe(true);
    expect(norm(probe.vector)).toBeCloseTo(norm(means), 8);
    expect(probe.vector[0]).toBeGreaterThan(0);
    // The large common part on axis 1 draws the difference of means aside, but not the probe.
    expect(Math.abs(probe.vector[1]! / norm(probe.vector))).toBeLessThan(0.05);
    expect(probe.quality).toBeGreaterThan(0.7);
  });

  it('is where the gradient of the regression vanishes', () => {
    const [positive, negative] = [rowsOf([[1], [2]]), rowsOf([[-1], [0.5]])];
    const { vector, quality } = probeDirection(positive, negative, meansOf(positive, negative));
    // One number: its length is that of the difference of means, 1.5 + 0.25.
    expect(vector[0]).toBeCloseTo(1.75, 6);
    expect(quality).toBe(1);
  });
});

describe('activations that do not differ', () => {
  it('have no direction', () => {
    const same = rowsOf([
      [1, 2],
      [1, 2],
    ]);
    const means = meansOf(same, same);
    expect(pcaDirection(same, same, true, means)).toMatchObject({
      vector: new Float64Array(2),
      quality: null,
    });
    expect(probeDirection(same, same, means)).toMatchObject({ vector: new Float64Array(2), quality: null });
    expect(cosinesByLayer(Float32Array.of(0, 0, 3, 4), Float32Array.of(1, 1, 3, 4), 2)).toEqual([null, 1]);
  });
});
