import { EngineError } from '../errors.ts';
import type { Random } from '../util/random.ts';
import { largestLogits, type LogitSummary, mostLikely, type Odds, summaryBlock } from './logit-summary.ts';

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

/**
 * Draws a token by its odds, which are those of the summarised logits; filters act in the order of Hugging Face: top-k,
 * top-p, min-p, after penalty and temperature. Sums run in a fixed order in Float64, so the same odds and the same place
 * in the random stream give the same token anywhere. Ties go to the smaller id.
 * @throws EngineError where the logits are not numbers.
 */
export function sampleToken(
  summary: LogitSummary,
  odds: Odds,
  options: SamplingOptions,
  random: Random,
): number {
  // A NaN anywhere makes one of the total.
  const total = sumOf(odds.masses);
  if (!Number.isFinite(total)) throw notFinite(total);
  const candidates = filterCandidates(summary, odds, options, total);
  const place = random.uniform();
  if (candidates !== null) return drawAmong(odds.weights, candidates, place);
  const { block, place: inBlock } = findBlock(odds.masses, place * total);
  return drawAmong(odds.weights, idsOfBlock(block, summary.logits.length), inBlock);
}

/**
 * The most likely token, the first of equals.
 * @throws EngineError where its logit is not a number.
 */
export function bestToken(summary: LogitSummary): number {
  const { id, logit } = mostLikely(summary);
  if (!Number.isFinite(logit)) throw notFinite(logit);
  return id;
}

/** Applies the repetition penalty to `logits` [vocabulary] in place; gives the function that takes it back. */
export function penalise(logits: Float32Array, penalty: number, seen: Iterable<number>): () => void {
  const before = new Map<number, number>();
  for (const id of seen) {
    if (before.has(id)) continue;
    const logit = logits[id] as number;
    before.set(id, logit);
    logits[id] = logit > 0 ? logit / penalty : logit * penalty;
  }
  return () => {
    for (const [id, logit] of before) logits[id] = logit;
  };
}

/** −log p of `id` under `logits` [vocabulary], in nats. */
export function negativeLogLikelihood(logits: Float32Array, id: number): number {
  return logPartition(logits) - (logits[id] as number);
}

/** log Σ exp(logit), in Float64. */
export function logPartition(logits: Float32Array): number {
  let highest = -Infinity;
  for (const logit of logits) if (logit > highest) highest = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - highest);
  return highest + Math.log(sum);
}

function notFinite(got: number): EngineError {
  return new EngineError(
    `expected finite logits, got ${got}; an intervention is too strong for the model, or its weights are damaged`,
  );
}

/** Ids that stay; null where all do. */
function filterCandidates(
  summary: LogitSummary,
  odds: Odds,
  { topK, topP, minP }: SamplingOptions,
  total: number,
): ArrayLike<number> | null {
  const { weights } = odds;
  let candidates: ArrayLike<number> | null = null;
  if (topK > 0 && topK < summary.logits.length) candidates = largestLogits(summary, topK);
  if (topP < 1) {
    candidates = candidates === null ? nucleus(odds, topP, total) : nucleusWithin(weights, candidates, topP);
  }
  if (minP === 0) return candidates;
  if (candidates === null) return idsFrom(odds, minP);
  return Array.from(candidates).filter((id) => (weights[id] as number) >= minP);
}

/** Ids, in order, of the tokens whose weight is at least `least`, which is above 0. */
function idsFrom({ weights, masses }: Odds, least: number): Int32Array {
  const ids = new Int32Array(weights.length);
  let count = 0;
  for (let block = 0; block < masses.length; block++) {
    // Rounded or not, a sum of weights is no less than each of them.
    if ((masses[block] as number) < least) continue;
    const end = Math.min((block + 1) * summaryBlock, weights.length);
    for (let id = block * summaryBlock; id < end; id++)
      if ((weights[id] as number) >= least) ids[count++] = id;
  }
  return ids.subarray(0, count);
}

/** The smallest set of heaviest tokens whose share of all mass reaches `topP`. */
function nucleus(odds: Odds, topP: number, total: number): ArrayLike<number> {
  const { weights } = odds;
  // All tokens below this share together hold less than 1 − topP, so none of them can be needed.
  const negligible = Math.max((total * (1 - topP)) / weights.length, Number.MIN_VALUE);
  const { sure, rest, missing } = splitByWeight(weights, idsFrom(odds, negligible), topP * total);
  rest.sort((a, b) => (weights[b] as number) - (weights[a] as number) || a - b);
  const border = shortestBeginning(weights, rest, missing);
  const ids = new Int32Array(sure.length + border.length);
  ids.set(sure);
  ids.set(border, sure.length);
  return ids;
}

function nucleusWithin(weights: Odds['weights'], order: ArrayLike<number>, topP: number): ArrayLike<number> {
  let total = 0;
  for (let i = 0; i < order.length; i++) total += weights[order[i] as number] as number;
  return shortestBeginning(weights, Array.from(order), topP * total);
}

/** The shortest beginning of `order` whose mass reaches `needed`. */
function shortestBeginning(weights: Odds['weights'], order: readonly number[], needed: number): number[] {
  let reached = 0;
  const last = order.findIndex((id) => {
    reached += weights[id] as number;
    return reached >= needed;
  });
  return order.slice(0, last < 0 ? order.length : last + 1);
}

/** Bits of a float32 that `levelOf` leaves out: 256 levels remain between a weight and its double. */
const droppedBits = 15;
const asFloat = new Float32Array(1);
const asBits = new Int32Array(asFloat.buffer);

/** A whole number that grows with the weight, and never falls; that of 1, the largest weight, is the last. */
function levelOf(weight: number): number {
  asFloat[0] = weight;
  return (asBits[0] as number) >> droppedBits;
}
const levels = levelOf(1) + 1;

/**
 * Tells tokens that a set of mass `needed` of the heaviest must hold from those among which its border lies, which
 * are few, without sorting all.
 */
function splitByWeight(
  weights: Odds['weights'],
  ids: Int32Array,
  needed: number,
): { readonly sure: Int32Array; readonly rest: number[]; readonly missing: number } {
  const mass = new Float64Array(levels);
  for (const id of ids) {
    const level = levelOf(weights[id] as number);
    mass[level] = (mass[level] as number) + (weights[id] as number);
  }
  let border = levels - 1;
  let missing = needed;
  while (border > 0 && missing > (mass[border] as number)) missing -= mass[border--] as number;
  const sure = new Int32Array(ids.length);
  const rest: number[] = [];
  let count = 0;
  for (const id of ids) {
    const level = levelOf(weights[id] as number);
    if (level > border) sure[count++] = id;
    else if (level === border) rest.push(id);
  }
  return { sure: sure.subarray(0, count), rest, missing };
}

function sumOf(masses: Odds['masses']): number {
  let total = 0;
  for (const mass of masses) total += mass;
  return total;
}

/** The block in which the point `at` of all mass lies, and how far within it, as a share. */
function findBlock(masses: Odds['masses'], at: number): { readonly block: number; readonly place: number } {
  let left = at;
  let block = -1;
  for (let i = 0; i < masses.length; i++) {
    const mass = masses[i] as number;
    if (mass === 0) continue;
    block = i;
    if (left < mass) return { block, place: left / mass };
    left -= mass;
  }
  return { block, place: 1 };
}

function idsOfBlock(block: number, vocabSize: number): ArrayLike<number> {
  const first = block * summaryBlock;
  return Array.from({ length: Math.min(summaryBlock, vocabSize - first) }, (_, i) => first + i);
}

/** The candidate at `place`, a share of their mass; never one of no weight. */
function drawAmong(weights: Odds['weights'], candidates: ArrayLike<number>, place: number): number {
  let total = 0;
  for (let i = 0; i < candidates.length; i++) total += weights[candidates[i] as number] as number;
  let left = place * total;
  let chosen = candidates[0] as number;
  for (let i = 0; i < candidates.length; i++) {
    const id = candidates[i] as number;
    const weight = weights[id] as number;
    if (weight === 0) continue;
    chosen = id;
    left -= weight;
    if (left < 0) break;
  }
  return chosen;
}
