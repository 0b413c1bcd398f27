/** Alternating rounds and their statistics. */

import { medianSorted, quantileSorted } from 'simple-statistics';
import type { Part } from './part.ts';

/** Seconds of every round, by variant; index = round, so that variants of one round can be paired. */
export type Timings = ReadonlyMap<string, readonly number[]>;

export interface Summary {
  readonly median: number;
  /** First and third quartile: the spread that is printed. */
  readonly low: number;
  readonly high: number;
  /** The fastest round: what a busy machine still shows of a quiet one. */
  readonly best: number;
}

/**
 * Runs every variant once a round, beginning with another one each round, after rounds that do not count (0 and below).
 * A drift of the machine (heat, a neighbour) then meets all variants alike.
 */
export async function alternate(
  { variants, warmUps = 1 }: Part,
  rounds: number,
  onRound: (round: number) => void,
): Promise<Timings> {
  const seconds = new Map<string, number[]>(variants.map(({ name }) => [name, []]));
  for (let round = 1 - warmUps; round <= rounds; round++) {
    onRound(round);
    for (let i = 0; i < variants.length; i++) {
      const { name, run } = variants[(round + warmUps + i) % variants.length]!;
      const started = performance.now();
      const taken = (await run()) ?? (performance.now() - started) / 1000;
      if (round > 0) seconds.get(name)!.push(taken);
    }
  }
  return seconds;
}

/** Seconds of one variant. */
export function summarise(seconds: readonly number[]): Summary {
  return { ...quartiles(seconds), best: Math.min(...seconds) };
}

/**
 * How many times as fast `variant` is as the fastest of `against` (by its median): 1 is the same, below 1 slower. Variants
 * that do unequal numbers of tokens are compared by their rates. The median is of the ratios of single rounds, `best` that
 * of the two fastest rounds.
 */
export function speedRatio(
  timings: Timings,
  variant: string,
  against: readonly string[],
  tokens: (name: string) => number,
): Summary {
  const perToken = (name: string): number[] => timings.get(name)!.map((seconds) => seconds / tokens(name));
  const ours = perToken(variant);
  const theirs = against.map(perToken).reduce((a, b) => (quartiles(b).median < quartiles(a).median ? b : a));
  return {
    ...quartiles(ours.map((seconds, round) => theirs[round]! / seconds)),
    best: Math.min(...theirs) / Math.min(...ours),
  };
}

function quartiles(values: readonly number[]): Omit<Summary, 'best'> {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    median: medianSorted(sorted),
    low: quantileSorted(sorted, 0.25),
    high: quantileSorted(sorted, 0.75),
  };
}
