import { UsageError } from '../errors.ts';
import type { Parameter } from './trainable.ts';
import type { AdamWOptions, NamedTensor, SgdOptions } from './types.ts';

/**
 * Moves parameters along gathered gradients, in place: between two runs of the graph nothing else reads them. One pass
 * over a tensor's numbers in JavaScript moves as much memory as one operation of a graph would, and a step of AdamW
 * is a dozen of those.
 */
export interface Optimizer {
  /**
   * One step with gradients `gathered` times `factor`, index = parameter.
   * @param step counts from 1.
   */
  step(gathered: readonly Float32Array[], factor: number, learningRate: number, step: number): void;
  /** What a resumed run needs beside the parameters; the arrays themselves. */
  readonly moments: readonly NamedTensor[];
}

export function createOptimizer(
  parameters: readonly Parameter[],
  options: AdamWOptions | SgdOptions,
): Optimizer {
  return options.kind === 'adamw' ? adamW(parameters, options) : sgd(parameters, options);
}

/**
 * Euclidean norm of all gradients as one vector: squares summed in Float64, tensor after tensor, so that equal
 * gradients give equal bits.
 */
export function gradientNorm(gathered: readonly Float32Array[]): number {
  let sum = 0;
  for (const gradient of gathered) sum += squares(gradient);
  return Math.sqrt(sum);
}

/** What gradients are multiplied by so that their norm is at most `limit`; PyTorch's formula. */
export function clipFactor(norm: number, limit: number | null): number {
  return limit === null ? 1 : Math.min(1, limit / (norm + 1e-6));
}

/** Four sums side by side, which a processor adds in parallel; their order is fixed. */
function squares(x: Float32Array): number {
  const sums = [0, 0, 0, 0] as [number, number, number, number];
  let [a, b, c, d] = sums;
  const whole = x.length - (x.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += x[i]! * x[i]!;
    b += x[i + 1]! * x[i + 1]!;
    c += x[i + 2]! * x[i + 2]!;
    d += x[i + 3]! * x[i + 3]!;
  }
  for (let i = whole; i < x.length; i++) a += x[i]! * x[i]!;
  return a + b + (c + d);
}

/**
 * p ← p (1 − lr · decay) − lr · m̂ / (√v̂ + ε), with m and v the running means of the gradient and its square, and m̂ and
 * v̂ those corrected for having started at 0 (Loshchilov & Hutter 2019, as PyTorch computes it).
 */
function adamW(parameters: readonly Parameter[], options: AdamWOptions): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 } = options;
  requireShare('beta1', beta1);
  requireShare('beta2', beta2);
  if (!(epsilon > 0)) throw new UsageError(`expected an epsilon > 0, got ${epsilon}`);
  requireDecay(weightDecay);
  const first = zerosLike(parameters, 'm');
  const second = zerosLike(parameters, 'v');
  return {
    moments: [...first, ...second],
    step(gathered, factor, learningRate, step) {
      const rates = {
        beta1,
        beta2,
        epsilon,
        factor,
        size: learningRate / (1 - beta1 ** step),
        rescale: 1 / Math.sqrt(1 - beta2 ** step),
      };
      parameters.forEach(({ data, decays }, i) => {
        const shrink = decays ? 1 - learningRate * weightDecay : 1;
        adamStep(data, gathered[i]!, first[i]!.data, second[i]!.data, shrink, rates);
      });
    },
  };
}

interface AdamRates {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly factor: number;
  readonly size: number;
  readonly rescale: number;
}

function adamStep(
  p: Float32Array,
  gradient: Float32Array,
  m: Float32Array,
  v: Float32Array,
  shrink: number,
  { beta1, beta2, epsilon, factor, size, rescale }: AdamRates,
): void {
  for (let i = 0; i < p.length; i++) {
    const g = gradient[i]! * factor;
    const mean = beta1 * m[i]! + (1 - beta1) * g;
    const square = beta2 * v[i]! + (1 - beta2) * g * g;
    m[i] = mean;
    v[i] = square;
    p[i] = p[i]! * shrink - (size * mean) / (Math.sqrt(square) * rescale + epsilon);
  }
}

/** p ← p − lr · m with m ← momentum · m + g + decay · p, and m = g + decay · p without momentum; PyTorch's formula. */
function sgd(parameters: readonly Parameter[], options: SgdOptions): Optimizer {
  const { momentum = 0, weightDecay = 0 } = options;
  requireShare('momentum', momentum);
  requireDecay(weightDecay);
  const velocity = momentum === 0 ? [] : zerosLike(parameters, 'velocity');
  return {
    moments: velocity,
    step(gathered, factor, learningRate) {
      parameters.forEach(({ data: p, decays }, i) => {
        const decay = decays ? weightDecay : 0;
        const gradient = gathered[i]!;
        // Starting at zero, the first step's velocity is the gradient, as in PyTorch.
        const speed = velocity[i]?.data;
        for (let j = 0; j < p.length; j++) {
          let g = gradient[j]! * factor + decay * p[j]!;
          if (speed !== undefined) {
            g += momentum * speed[j]!;
            speed[j] = g;
          }
          p[j] = p[j]! - learningRate * g;
        }
      });
    },
  };
}

function zerosLike(parameters: readonly Parameter[], kind: string): NamedTensor[] {
  return parameters.map(({ name, shape, data }) => ({
    name: `${kind}/${name}`,
    shape,
    data: new Float32Array(data.length),
  }));
}

function requireShare(name: string, value: number): void {
  if (!(value >= 0 && value < 1)) throw new UsageError(`expected ${name} from 0 to below 1, got ${value}`);
}

function requireDecay(value: number): void {
  if (!(value >= 0 && Number.isFinite(value)))
    throw new UsageError(`expected a finite weight decay ≥ 0, got ${value}`);
}
