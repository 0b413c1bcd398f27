import type { Scores } from '../store/rollout-schema.ts';
import type { ScoredPair } from './filter.ts';

/** Pairs rollouts by what their keys have in common behind `pos/` and `neg/`, never by their order. */
export function pairByKey(
  keys: readonly string[],
  scoresOf: (key: string) => Scores | undefined,
): ScoredPair[] {
  const common = new Set(keys.map((key) => key.slice(key.indexOf('/') + 1)));
  return [...common].map((key) => ({
    key,
    positive: scoresOf(`pos/${key}`),
    negative: scoresOf(`neg/${key}`),
  }));
}
