/**
 * One transformer block of the reference, from the textbook: a list holds one vector per token, and every
 * product, mean and sum is a loop over Float64 numbers.
 */

import type { Adapter, LoraPair } from '../model/adapter.ts';
import { type ModelConfig, type Rope, ropeOf } from '../model/config.ts';
import type { BlockWeights, LinearWeights, Projection } from '../model/weights.ts';

/** Weights of any number type, row-major. */
export type Numbers = ArrayLike<number>;
/** What one block of an adapter adds to the block's products. */
export type BlockAdapter = Adapter['blocks'][number];

/**
 * The residual stream after a block, given the stream before it; both `[position][width]`.
 * `h ← h + norm(attention(norm(h)))`, then `h ← h + norm(mlp(norm(h)))`; each norm only where the family has it.
 */
export function referenceBlock(
  config: ModelConfig,
  block: number,
  weights: BlockWeights<Numbers>,
  adapter: BlockAdapter,
  stream: readonly Float64Array[],
): Float64Array[] {
  const norm = (x: Float64Array, gain: Numbers | null): Float64Array => normed(config, x, gain);
  const read = stream.map((h) => norm(h, weights.attentionNorm));
  const attended = attention(config, block, weights, adapter, read);
  return stream.map((h, i) => {
    const middle = add(h, norm(attended[i]!, weights.attentionOutNorm));
    const given = mlp(config, weights, adapter, norm(middle, weights.mlpNorm));
    return add(middle, norm(given, weights.mlpOutNorm));
  });
}

/** RMS norm by the family's gain, which Gemma stores less 1; what has no gain passes through. */
export function normed(config: ModelConfig, x: Float64Array, gain: Numbers | null): Float64Array {
  if (gain === null) return x;
  return rmsNorm(
    x,
    Float64Array.from(gain, (value) => config.normOffset + value),
    config.normEps,
  );
}

/** c · tanh(x / c), or x without a cap. */
export function capped(x: number, cap: number | null): number {
  return cap === null ? x : cap * Math.tanh(x / cap);
}

/** y = x / √(mean(x²) + ε) · gain. */
export function rmsNorm(x: Float64Array, gain: Numbers, eps: number): Float64Array {
  const scale = 1 / Math.sqrt(dot(x, x) / x.length + eps);
  return x.map((value, i) => value * scale * gain[i]!);
}

/** y = W x, W `[out, in]`. */
export function product(weight: Numbers, x: Float64Array): Float64Array {
  const y = new Float64Array(weight.length / x.length);
  for (let row = 0; row < y.length; row++) {
    let sum = 0;
    for (let column = 0; column < x.length; column++) sum += weight[row * x.length + column]! * x[column]!;
    y[row] = sum;
  }
  return y;
}

/**
 * Angular frequency of each of the headSize / 2 pairs, in radians a position: θ^(−2i / headSize), stretched
 * by the scaling. llama3 divides the frequencies whose wavelength is long by `factor`, keeps the short
 * ones and goes smoothly from one to the other between the two bounds.
 */
export function rotaryFrequencies(headSize: number, { theta, scaling }: Rope): Float64Array {
  const plain = Float64Array.from({ length: headSize / 2 }, (_, i) => theta ** ((-2 * i) / headSize));
  switch (scaling.kind) {
    case 'default':
      return plain;
    case 'linear':
      return plain.map((frequency) => frequency / scaling.factor);
    case 'llama3':
      return plain.map((frequency) => {
        const turns = (scaling.originalMaxPositions * frequency) / (2 * Math.PI);
        const share = (turns - scaling.lowFreqFactor) / (scaling.highFreqFactor - scaling.lowFreqFactor);
        const kept = Math.min(1, Math.max(0, share));
        return kept * frequency + ((1 - kept) * frequency) / scaling.factor;
      });
    default:
      return scaling satisfies never;
  }
}

/**
 * Causal attention with grouped heads, `[position][width]` to `[position][width]`. Query head h reads
 * key/value head ⌊h / (heads / kvHeads)⌋; a token at i sees the positions j ≤ i with i − j < window.
 */
function attention(
  config: ModelConfig,
  block: number,
  weights: BlockWeights<Numbers>,
  adapter: BlockAdapter,
  x: readonly Float64Array[],
): Float64Array[] {
  const { heads, kvHeads, attentionScale, attentionSoftcap } = config;
  const project = (name: Projection, count: number, gain: Numbers | null = null): Float64Array[][] =>
    x.map((token) => normHeads(config, linear(weights, adapter, name, token), count, gain));
  const rope = ropeOf(config, block);
  const turn = (tokens: Float64Array[][]): Float64Array[][] =>
    tokens.map((token, i) => token.map((head) => rotate(head, i, rope)));
  // [position][head][headSize]
  const queries = turn(project('q_proj', heads, weights.queryNorm));
  const keys = turn(project('k_proj', kvHeads, weights.keyNorm));
  const values = project('v_proj', kvHeads);

  return queries.map((token, i) => {
    const first = Math.max(0, i + 1 - (config.windows[block] ?? Infinity));
    const mixed = token.map((query, head) => {
      const shared = Math.floor(head / (heads / kvHeads));
      const seen = <T>(list: readonly T[][]): T[] => list.slice(first, i + 1).map((at) => at[shared]!);
      const scores = seen(keys).map((key) => capped(dot(query, key) * attentionScale, attentionSoftcap));
      return weightedSum(softmax(scores), seen(values));
    });
    return linear(weights, adapter, 'o_proj', concatenate(mixed));
  });
}

/** down(activation(gate(x)) · up(x)), `[width]` to `[width]`. */
function mlp(
  config: ModelConfig,
  weights: BlockWeights<Numbers>,
  adapter: BlockAdapter,
  x: Float64Array,
): Float64Array {
  const gate = linear(weights, adapter, 'gate_proj', x);
  const up = linear(weights, adapter, 'up_proj', x);
  const active = config.activation === 'silu' ? silu : geluTanh;
  const inner = gate.map((value, i) => active(value) * up[i]!);
  return linear(weights, adapter, 'down_proj', inner);
}

function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}

function geluTanh(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

/** y = W x + b + B (A x). */
function linear(
  weights: BlockWeights<Numbers>,
  adapter: BlockAdapter,
  name: Projection,
  x: Float64Array,
): Float64Array {
  const { weight, bias }: LinearWeights<Numbers> = weights.projections[name];
  const lora: LoraPair | undefined = adapter[name];
  const plain = product(weight, x);
  const biased = bias === null ? plain : add(plain, bias);
  return lora === undefined || lora.rank === 0 ? biased : add(biased, product(lora.b, product(lora.a, x)));
}

/** The heads of q or k, normalised where the family does: each by itself, or all as one. */
function normHeads(
  config: ModelConfig,
  x: Float64Array,
  count: number,
  gain: Numbers | null,
): Float64Array[] {
  if (config.headNorm === 'head') return split(x, count).map((head) => normed(config, head, gain));
  return split(normed(config, x, gain), count);
}

/**
 * Rotary embedding in the "half" layout of Hugging Face: element i pairs with element i + headSize / 2 and
 * the pair turns by position · frequency. Angles, sines and cosines are Float64 here, where PyTorch takes
 * Float32: at position p that is a difference of about p · 6e-8 radians, far inside every tolerance at the
 * lengths of the tests.
 */
export function rotate(head: Float64Array, position: number, rope: Rope): Float64Array {
  const half = head.length / 2;
  const frequencies = rotaryFrequencies(head.length, rope);
  const turned = new Float64Array(head.length);
  for (let i = 0; i < half; i++) {
    const cos = Math.cos(position * frequencies[i]!);
    const sin = Math.sin(position * frequencies[i]!);
    turned[i] = head[i]! * cos - head[i + half]! * sin;
    turned[i + half] = head[i + half]! * cos + head[i]! * sin;
  }
  return turned;
}

function softmax(scores: readonly number[]): number[] {
  const highest = Math.max(...scores);
  const shares = scores.map((score) => Math.exp(score - highest));
  const total = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share) => share / total);
}

function weightedSum(weights: readonly number[], vectors: readonly Float64Array[]): Float64Array {
  const sum = new Float64Array(vectors[0]!.length);
  weights.forEach((weight, j) => {
    for (let i = 0; i < sum.length; i++) sum[i]! += weight * vectors[j]![i]!;
  });
  return sum;
}

/** The vector cut into `count` heads of equal size. */
function split(vector: Float64Array, count: number): Float64Array[] {
  const size = vector.length / count;
  return Array.from({ length: count }, (_, head) => vector.subarray(head * size, (head + 1) * size));
}

function concatenate(parts: readonly Float64Array[]): Float64Array {
  return Float64Array.from(parts.flatMap((part) => [...part]));
}

function add(x: Float64Array, y: Numbers): Float64Array {
  return x.map((value, i) => value + y[i]!);
}

/** x · y. */
export function dot(x: Numbers, y: Numbers): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return sum;
}
