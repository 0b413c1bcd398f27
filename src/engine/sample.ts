import { EngineError } from '../errors.ts';
import type { Random } from '../util/random.ts';

export interface SamplingOptions {
  /** 0 takes the most likely token. */
  readonly temperature: number;
  /** Keep this many of the most likely tokens; 0 keeps all. */
  readonly topK: number;
  /** Keep the smallest set of what is left whose share of the mass reaches this; 1 keeps all. */
  readonly topP: number;
  /** Keep tokens at least this many times as likely as the most likely one; 0 keeps all. */
  readonly minP: number;
  /** Divides the positive logits of tokens that have occurred, and multiplies the negative ones; 1 changes none. */
  readonly repetitionPenalty: number;
}

/** Takes the most likely token. */
export const greedy: SamplingOptions = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 };

/** A token with the natural logarithm of its probability under the model, before any sampling option. */
export interface TokenLogprob {
  readonly id: number;
  readonly logprob: number;
}

/**
 * Draws a token from `logits` [vocabulary]; filters act in the order of Hugging Face: penalty, temperature, top-k, top-p,
 * min-p. Sums run in token order in Float64, so the same logits and the same place in the random stream give the
 * same token anywhere. Ties go to the smaller id.
 * @param seen tokens that have occurred, for the penalty
 * @throws EngineError where the logits are not numbers.
 */
export function sampleToken(
  logits: Float32Array,
  options: SamplingOptions,
  random: Random,
  seen: Iterable<number> = [],
): number {
  const penalised = penalise(logits, options.repetitionPenalty, seen);
  const best = argmax(penalised);
  if (!Number.isFinite(penalised[best])) {
    throw new EngineError(
      `expected finite logits, got ${penalised[best]}; an intervention is too strong for the model, or its weights are damaged`,
    );
  }
  if (options.temperature === 0) return best;
  const weights = softmaxWeights(penalised, penalised[best] as number, options.temperature);
  const candidates = filterCandidates(weights, options);
  let total = 0;
  forEachCandidate(weights, candidates, (_, weight) => {
    total += weight;
  });
  let left = random.uniform() * total;
  let chosen = best;
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
  return logNormaliser(logits) - (logits[id] as number);
}

/** Log-probabilities of `ids` and, apart, of the `top` most likely tokens, most likely first. */
export function logprobsOf(
  logits: Float32Array,
  id: number,
  top: number,
): { readonly chosen: TokenLogprob; readonly top: readonly TokenLogprob[] } {
  const normaliser = logNormaliser(logits);
  const toLogprob = (token: number): TokenLogprob => ({
    id: token,
    logprob: (logits[token] as number) - normaliser,
  });
  return { chosen: toLogprob(id), top: largest(logits, top).map(toLogprob) };
}

/** log Σ exp(logit), in Float64. */
function logNormaliser(logits: Float32Array): number {
  const highest = logits[argmax(logits)] as number;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - highest);
  return highest + Math.log(sum);
}

function penalise(logits: Float32Array, penalty: number, seen: Iterable<number>): Float32Array {
  if (penalty === 1) return logits;
  const penalised = logits.slice();
  for (const id of new Set(seen)) {
    const logit = logits[id] as number;
    penalised[id] = logit > 0 ? logit / penalty : logit * penalty;
  }
  return penalised;
}

/** exp((logit − largest) / temperature): probabilities but for their common factor, the largest being 1. */
function softmaxWeights(logits: Float32Array, highest: number, temperature: number): Float64Array {
  const weights = new Float64Array(logits.length);
  for (let i = 0; i < logits.length; i++) {
    weights[i] = Math.exp(((logits[i] as number) - highest) / temperature);
  }
  return weights;
}

/** Ids that stay, most likely first; null where all do. */
function filterCandidates(weights: Float64Array, { topK, topP, minP }: SamplingOptions): number[] | null {
  let candidates: number[] | null = null;
  if (topK > 0 && topK < weights.length) candidates = largest(weights, topK);
  if (topP < 1) candidates = nucleus(weights, candidates ?? mostLikely(weights, topP), topP, candidates);
  if (minP > 0) candidates = (candidates ?? allIds(weights)).filter((id) => (weights[id] as number) >= minP);
  return candidates;
}

function allIds(weights: Float64Array): number[] {
  return Array.from(weights, (_, id) => id);
}

/** Ids in falling order of weight, without those that no nucleus of mass `topP` can need. */
function mostLikely(weights: Float64Array, topP: number): number[] {
  // All tokens below this share together hold less than 1 − topP, so none of them can be needed.
  const negligible = (sumOf(weights, null) * (1 - topP)) / weights.length;
  return allIds(weights)
    .filter((id) => (weights[id] as number) >= negligible)
    .sort((a, b) => (weights[b] as number) - (weights[a] as number) || a - b);
}

/** The shortest beginning of `order` whose share of the mass of `within` (null: of all) reaches `topP`. */
function nucleus(
  weights: Float64Array,
  order: readonly number[],
  topP: number,
  within: readonly number[] | null,
): number[] {
  const needed = topP * sumOf(weights, within);
  let reached = 0;
  const last = order.findIndex((id) => {
    reached += weights[id] as number;
    return reached >= needed;
  });
  return order.slice(0, last < 0 ? order.length : last + 1);
}

function sumOf(weights: Float64Array, ids: readonly number[] | null): number {
  let total = 0;
  forEachCandidate(weights, ids, (_, weight) => {
    total += weight;
  });
  return total;
}

/** Indices of the `count` largest values, largest first; of equals the first. One pass, and little sorting. */
function largest(values: Float32Array | Float64Array, count: number): number[] {
  if (count <= 0) return [];
  const byValue = (a: number, b: number): number => (values[b] as number) - (values[a] as number) || a - b;
  let kept: number[] = [];
  let threshold = -Infinity;
  for (let i = 0; i < values.length; i++) {
    if (kept.length >= count && (values[i] as number) <= threshold) continue;
    kept.push(i);
    if (kept.length < 2 * count + 16) continue;
    kept = kept.sort(byValue).slice(0, count);
    threshold = values[kept.at(-1) as number] as number;
  }
  return kept.sort(byValue).slice(0, count);
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
