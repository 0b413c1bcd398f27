import { type DropReason, type FilterCounts, dropReasons } from './filter.ts';

/** Why a pair or rollout was dropped, for people. */
export const reasonNames: Readonly<Record<DropReason, string>> = {
  partner_missing: 'no partner',
  not_scored: 'not scored',
  positive_incoherent: 'positive not coherent',
  negative_incoherent: 'negative not coherent',
  positive_below_threshold: 'positive scores too low',
  negative_above_threshold: 'negative scores too high',
};

/** What stays: `217 of 1000`, or by pole where each rollout stands for itself. */
export function describeKept({ mode, kept, pairs, poles }: FilterCounts): string {
  if (mode === 'paired') return `${kept} of ${pairs}`;
  const of = (pole: 'pos' | 'neg'): string => `${poles[pole].kept} of ${poles[pole].sampled}`;
  return `${of('pos')} positive, ${of('neg')} negative`;
}

/** What was dropped and why, the commonest reason first: `612 positive scores too low, 3 not scored`. */
export function describeDropped({ dropped }: FilterCounts): string {
  const given = dropReasons.filter((reason) => dropped[reason] > 0);
  const sorted = given.sort((a, b) => dropped[b] - dropped[a]);
  return sorted.map((reason) => `${dropped[reason]} ${reasonNames[reason]}`).join(', ') || 'none';
}

/** Rollouts without a trait score or a coherence, which take part in no mean: `0 of 2000 rollouts`. */
export function describeUnscored({ poles: { pos, neg } }: FilterCounts): string {
  const [trait, coherence] = [
    pos.withoutTrait + neg.withoutTrait,
    pos.withoutCoherence + neg.withoutCoherence,
  ];
  const counts =
    trait === 0 && coherence === 0 ? '0' : `${trait} for the trait and ${coherence} for coherence,`;
  return `${counts} of ${pos.sampled + neg.sampled} rollouts`;
}
