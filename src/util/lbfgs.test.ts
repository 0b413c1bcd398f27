import { describe, expect, it } from 'vitest';
import { minimise } from './lbfgs.ts';

describe('minimise', () => {
  it('finds the minimum of a badly scaled quadratic', () => {
    const scales = [1, 100, 1e4, 0.01];
    const target = [3, -2, 0.5, 7];
    const { x, converged } = minimise(
      (at, gradient) =>
        scales.reduce((sum, scale, i) => {
          const off = at[i]! - target[i]!;
          gradient[i] = scale * off;
          return sum + (scale * off * off) / 2;
        }, 0),
      new Float64Array(4),
      { tolerance: 1e-9 },
    );
    expect(converged).toBe(true);
    for (const [i, value] of target.entries()) expect(x[i]).toBeCloseTo(value, 5);
  });

  it('finds the minimum of a function that is flat far out', () => {
    const { x, iterations, converged } = minimise((at, gradient) => {
      gradient[0] = Math.tanh(at[0]! - 20) + 0.001 * at[0]!;
      return Math.log(2 * Math.cosh(at[0]! - 20)) + 0.0005 * at[0]! ** 2;
    }, Float64Array.of(-5));
    expect(converged).toBe(true);
    expect(iterations).toBeLessThan(60);
    expect(Math.tanh(x[0]! - 20) + 0.001 * x[0]!).toBeCloseTo(0, 6);
  });

  it('stops after so many steps, and says so', () => {
    const slow = minimise(
      (at, gradient) => {
        gradient[0] = 4 * at[0]! ** 3;
        return at[0]! ** 4;
      },
      Float64Array.of(0.6),
      { tolerance: 1e-30, maxIterations: 3 },
    );
    expect(slow).toMatchObject({ iterations: 3, converged: false });
  });
});
