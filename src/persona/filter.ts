import type { Scores } from '../store/rollout-schema.ts';

/** The scores of one rollout of a pair; a missing partner is `undefined`. */
export interface ScoredPair {
  /** What the two rollouts have in common, such as `instruction/question/sample`. */
  readonly key: string;
  readonly positive: Scores | undefined;
  readonly negative: Scores | undefined;
}

/** Why a pair was dropped; a pair counts under the first that applies. */
export const dropReasons = [
  'partner_missing',
  'not_scored',
  'positive_incoherent',
  'negative_incoherent',
  'positive_below_threshold',
  'negative_above_threshold',
] as const;
export type DropReason = (typeof dropReasons)[number];

export interface FilterCounts {
  readonly pairs: number;
  readonly kept: number;
  readonly dropped: Readonly<Record<DropReason, number>>;
}

export interface FilterResult {
  /** Keys of the pairs that stay, in the order given. */
  readonly kept: readonly string[];
  readonly counts: FilterCounts;
}

/**
 * The paired filter of the paper's code: a pair stays if its positive rollout scores at least `threshold` for the
 * trait, its negative one less than 100 − `threshold`, and both at least `threshold` for coherence. A rollout
 * without a score fails, and one that fails drops its partner.
 */
export function filterPairs(pairs: readonly ScoredPair[], threshold: number): FilterResult {
  const dropped: Record<DropReason, number> = {
    partner_missing: 0,
    not_scored: 0,
    positive_incoherent: 0,
    negative_incoherent: 0,
    positive_below_threshold: 0,
    negative_above_threshold: 0,
  };
  const kept: string[] = [];
  for (const pair of pairs) {
    const reason = dropReason(pair, threshold);
    if (reason === null) kept.push(pair.key);
    else dropped[reason]++;
  }
  return { kept, counts: { pairs: pairs.length, kept: kept.length, dropped } };
}

function dropReason({ positive, negative }: ScoredPair, threshold: number): DropReason | null {
  if (positive === undefined || negative === undefined) return 'partner_missing';
  if (positive.trait === null || positive.coherence === null) return 'not_scored';
  if (negative.trait === null || negative.coherence === null) return 'not_scored';
  if (positive.coherence < threshold) return 'positive_incoherent';
  if (negative.coherence < threshold) return 'negative_incoherent';
  if (positive.trait < threshold) return 'positive_below_threshold';
  if (negative.trait >= 100 - threshold) return 'negative_above_threshold';
  return null;
}
