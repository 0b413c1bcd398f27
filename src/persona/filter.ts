import type { Scores } from '../store/rollout-schema.ts';
import { type Pole, poles } from './poles.ts';

/**
 * `paired` is the authors' rule: one rollout that fails drops its partner too. `independent` lets every rollout stand
 * for itself, which keeps more of them where one pole often fails.
 */
export const filterModes = ['paired', 'independent'] as const;
export type FilterMode = (typeof filterModes)[number];

export interface FilterRule {
  readonly mode: FilterMode;
  /** A positive rollout stays from this trait score on, a negative one below 100 minus it. */
  readonly threshold: number;
  /** Both stay from this coherence on. */
  readonly coherence: number;
}

/** The scores of one rollout of a pair; a missing partner is `undefined`. */
export interface ScoredPair {
  /** What the two rollouts have in common, such as `instruction/question/sample`. */
  readonly key: string;
  readonly positive: Scores | undefined;
  readonly negative: Scores | undefined;
}

/** Why a pair or rollout was dropped; it counts under the first that applies. */
export const dropReasons = [
  'partner_missing',
  'not_scored',
  'positive_incoherent',
  'negative_incoherent',
  'positive_below_threshold',
  'negative_above_threshold',
] as const;
export type DropReason = (typeof dropReasons)[number];

/** The rollouts of one pole. */
export interface PoleCounts {
  readonly sampled: number;
  readonly kept: number;
  /** Rollouts that the judge gave no trait score, and those that it gave no coherence: refusals, most often. */
  readonly withoutTrait: number;
  readonly withoutCoherence: number;
}

export interface FilterCounts {
  readonly mode: FilterMode;
  readonly pairs: number;
  /** Pairs that stay; of independent poles, the smaller number of rollouts that stay. */
  readonly kept: number;
  readonly poles: Readonly<Record<Pole, PoleCounts>>;
  /** Pairs where they are filtered as such, else rollouts. */
  readonly dropped: Readonly<Record<DropReason, number>>;
}

export interface FilterResult {
  /** Keys of the pairs whose rollout of this pole stays, in the order given. */
  readonly kept: Readonly<Record<Pole, readonly string[]>>;
  readonly counts: FilterCounts;
}

/**
 * Chooses the rollouts that a vector is made of. A rollout without a score fails, as a comparison with NaN does in
 * the paper's code.
 */
export function filterPairs(pairs: readonly ScoredPair[], rule: FilterRule): FilterResult {
  const dropped: Record<DropReason, number> = {
    partner_missing: 0,
    not_scored: 0,
    positive_incoherent: 0,
    negative_incoherent: 0,
    positive_below_threshold: 0,
    negative_above_threshold: 0,
  };
  const kept: Record<Pole, string[]> = { pos: [], neg: [] };
  for (const pair of pairs) {
    for (const group of groupsOf(pair, rule.mode)) {
      const reason = dropReason(group, rule);
      if (reason !== null) dropped[reason]++;
      else for (const { pole } of group) kept[pole].push(pair.key);
    }
  }
  const count = (pole: Pole): PoleCounts => countPole(pairs, pole, kept[pole].length);
  const smaller = Math.min(kept.pos.length, kept.neg.length);
  const counts = { mode: rule.mode, pairs: pairs.length, kept: smaller, dropped };
  return { kept, counts: { ...counts, poles: { pos: count('pos'), neg: count('neg') } } };
}

interface Side {
  readonly pole: Pole;
  readonly scores: Scores | undefined;
}

function scoresOf(pair: ScoredPair, pole: Pole): Scores | undefined {
  return pole === 'pos' ? pair.positive : pair.negative;
}

/** What stays or falls together. */
function groupsOf(pair: ScoredPair, mode: FilterMode): readonly (readonly Side[])[] {
  const sides = poles.map((pole): Side => ({ pole, scores: scoresOf(pair, pole) }));
  if (mode === 'paired') return [sides];
  return sides.filter(({ scores }) => scores !== undefined).map((side) => [side]);
}

function dropReason(group: readonly Side[], rule: FilterRule): DropReason | null {
  if (group.some(({ scores }) => scores === undefined)) return 'partner_missing';
  const given = group as readonly { readonly pole: Pole; readonly scores: Scores }[];
  if (given.some(({ scores }) => scores.trait === null || scores.coherence === null)) return 'not_scored';
  for (const { pole, scores } of given) {
    if (scores.coherence! < rule.coherence)
      return pole === 'pos' ? 'positive_incoherent' : 'negative_incoherent';
  }
  for (const { pole, scores } of given) {
    if (pole === 'pos' && scores.trait! < rule.threshold) return 'positive_below_threshold';
    if (pole === 'neg' && scores.trait! >= 100 - rule.threshold) return 'negative_above_threshold';
  }
  return null;
}

function countPole(pairs: readonly ScoredPair[], pole: Pole, kept: number): PoleCounts {
  const sampled = pairs.flatMap((pair) => scoresOf(pair, pole) ?? []);
  return {
    sampled: sampled.length,
    kept,
    withoutTrait: sampled.filter(({ trait }) => trait === null).length,
    withoutCoherence: sampled.filter(({ coherence }) => coherence === null).length,
  };
}
