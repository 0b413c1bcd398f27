import { dot } from './vectors.ts';

/** Gives a function's value at `x` and writes its gradient there. */
export type Objective = (x: Float64Array, gradient: Float64Array) => number;

export interface Minimum {
  readonly x: Float64Array;
  readonly value: number;
  readonly iterations: number;
  /** Whether the gradient became as small as was asked for. */
  readonly converged: boolean;
}

/** Steps remembered; more cost memory and help little. */
const MEMORY = 10;
/** Share of the promised decrease that a step must bring (Armijo). */
const DECREASE = 1e-4;

/**
 * Minimises a smooth convex function by L-BFGS with backtracking (Nocedal and Wright, Numerical Optimization, algorithms 7.4
 * and 3.1). Deterministic: equal arguments give equal bits.
 */
export function minimise(
  objective: Objective,
  start: Float64Array,
  { tolerance = 1e-6, maxIterations = 200 } = {},
): Minimum {
  let x: Float64Array = Float64Array.from(start);
  let gradient: Float64Array = new Float64Array(start.length);
  let value = objective(x, gradient);
  const history: { readonly s: Float64Array; readonly y: Float64Array; readonly rho: number }[] = [];
  for (let iterations = 0; ; iterations++) {
    const converged = Math.sqrt(dot(gradient, gradient)) <= tolerance;
    if (converged || iterations === maxIterations) return { x, value, iterations, converged };
    const direction = descent(gradient, history);
    const next = search(objective, { x, value, gradient, direction });
    // No step decreases the value: what is left is rounding.
    if (next === null) return { x, value, iterations, converged };
    const s = next.x.map((moved, i) => moved - x[i]!);
    const y = next.gradient.map((moved, i) => moved - gradient[i]!);
    const curvature = dot(s, y);
    if (curvature > 0) history.push({ s, y, rho: 1 / curvature });
    if (history.length > MEMORY) history.shift();
    ({ x, value, gradient } = next);
  }
}

/** −H g by the two-loop recursion, H the inverse Hessian as far as the last steps tell. */
function descent(
  gradient: Float64Array,
  history: readonly { readonly s: Float64Array; readonly y: Float64Array; readonly rho: number }[],
): Float64Array {
  const q = gradient.map((value) => -value);
  const alphas: number[] = [];
  for (let i = history.length - 1; i >= 0; i--) {
    const { s, y, rho } = history[i]!;
    const alpha = rho * dot(s, q);
    alphas[i] = alpha;
    addScaled(q, y, -alpha);
  }
  const last = history.at(-1);
  // The first step is as long as the gradient is short: its scale is not known yet.
  const scale =
    last === undefined ? 1 / Math.max(1, Math.sqrt(dot(q, q))) : 1 / (last.rho * dot(last.y, last.y));
  for (let i = 0; i < q.length; i++) q[i]! *= scale;
  for (const [i, { s, y, rho }] of history.entries()) addScaled(q, s, alphas[i]! - rho * dot(y, q));
  return q;
}

interface Point {
  readonly x: Float64Array;
  readonly value: number;
  readonly gradient: Float64Array;
}

function search(
  objective: Objective,
  { x, value, gradient, direction }: Point & { readonly direction: Float64Array },
): Point | null {
  const slope = dot(gradient, direction);
  for (let step = 1; step > 1e-12; step /= 2) {
    const moved = x.map((start, i) => start + step * direction[i]!);
    const there = new Float64Array(x.length);
    const reached = objective(moved, there);
    if (reached <= value + DECREASE * step * slope) return { x: moved, value: reached, gradient: there };
  }
  return null;
}

function addScaled(target: Float64Array, values: Float64Array, factor: number): void {
  for (let i = 0; i < target.length; i++) target[i]! += factor * values[i]!;
}
