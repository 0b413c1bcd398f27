import { EngineError } from '../errors.ts';
import type { Random } from '../util/random.ts';

export interface SamplingOptions {
  /** 0 takes the most likely token. */
  readonly temperature: number;
  /** Probability that the kept tokens must reach; 1 keeps all. */
  readonly topP: number;
}

/**
 * Draws a token from `logits` [vocabulary]. Sums run in token order in Float64, so the same logits and the
 * same place in the random stream give the same token anywhere. Ties go to the smaller id.
 * @throws EngineError where the logits are not numbers.
 */
export function sampleToken(logits: Float32Array, options: SamplingOptions, random: Random): number {
  const best = argmax(logits);
  if (!Number.isFinite(logits[best])) {
    throw new EngineError(
      `expected finite logits, got ${logits[best]}; an intervention is too strong for the model, or its weights are damaged`,
    );
  }
  if (options.temperature === 0) return best;
  const weights = softmaxWeights(logits, logits[best] as number, options.temperature);
  const candidates = options.topP < 1 ? nucleus(weights, options.topP) : null;
  let total = 0;
  forEachCandidate(weights, candidates, (_, weight) => {
    total += weight;
  });
  let left = random.uniform() * total;
  let chosen = -1;
  forEachCandidate(weights, candidates, (id, weight) => {
    if (weight === 0) return true;
    chosen = id;
    left -= weight;
    return left >= 0;
  });
  return chosen;
}

/** Index of the largest value, the first of equals; of a NaN where there is one. */
export function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (Number.isNaN(value)) return i;
    if (value > (values[best] as number)) best = i;
  }
  return best;
}

/** −log p of `id` under `logits` [vocabulary], in nats. */
export function negativeLogLikelihood(logits: Float32Array, id: number): number {
  const largest = logits[argmax(logits)] as number;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  return Math.log(sum) - ((logits[id] as number) - largest);
}

/** exp((logit − largest) / temperature): probabilities but for their common factor. */
function softmaxWeights(logits: Float32Array, largest: number, temperature: number): Float64Array {
  const weights = new Float64Array(logits.length);
  for (let i = 0; i < logits.length; i++) {
    weights[i] = Math.exp(((logits[i] as number) - largest) / temperature);
  }
  return weights;
}

/** Ids of the smallest set of tokens, most likely first, whose share of the mass reaches `topP`. */
function nucleus(weights: Float64Array, topP: number): number[] {
  let total = 0;
  for (const weight of weights) total += weight;
  // All tokens below this share together hold less than 1 − topP, so none of them can be needed.
  const negligible = (total * (1 - topP)) / weights.length;
  const order: number[] = [];
  weights.forEach((weight, id) => {
    if (weight >= negligible) order.push(id);
  });
  order.sort((a, b) => (weights[b] as number) - (weights[a] as number) || a - b);
  let reached = 0;
  const last = order.findIndex((id) => {
    reached += weights[id] as number;
    return reached >= topP * total;
  });
  return order.slice(0, last < 0 ? order.length : last + 1);
}

/** Calls `visit` in order until it returns false. */
function forEachCandidate(
  weights: Float64Array,
  candidates: readonly number[] | null,
  visit: (id: number, weight: number) => boolean | void,
): void {
  const count = candidates?.length ?? weights.length;
  for (let i = 0; i < count; i++) {
    const id = candidates === null ? i : (candidates[i] as number);
    if (visit(id, weights[id] as number) === false) return;
  }
}
