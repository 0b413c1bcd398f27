/** Alternating rounds and their statistics. */

import { medianSorted, quantileSorted } from 'simple-statistics';
import type { Part, Variant } from './part.ts';

/**
 * Seconds of every round, by variant; index = round, so that variants of one round can be paired. Of one that is not run again,
 * those of the first.
 */
export type Timings = ReadonlyMap<string, readonly number[]>;

export interface Summary {
  readonly median: number;
  /** First and third quartile: the spread that is printed. */
  readonly low: number;
  readonly high: number;
  /** The fastest round: what a busy machine still shows of a quiet one. */
  readonly best: number;
}

/** So many times as slow as a rival, a variant is not run again: of rivals only the fastest is compared with. */
const hopeless = 3;

/**
 * Runs every variant once a round, beginning with another one each round, after one round that does not count.
 * A drift of the machine (heat, a neighbour) then meets all variants alike. Of a variant that is far slower than another
 * one beside which it is compared (PyTorch in bfloat16 on a processor without it) the first round is all there is.
 */
export async function alternate(
  { variants, comparisons }: Part,
  rounds: number,
  onRound: (round: number) => void,
): Promise<Timings> {
  const runOnce = async ({ run }: Variant): Promise<number> => {
    const started = performance.now();
    return (await run()) ?? (performance.now() - started) / 1000;
  };
  const first = new Map<string, number>();
  onRound(0);
  for (const variant of variants) first.set(variant.name, await runOnce(variant));
  const slow = new Set(
    comparisons.flatMap(({ against }) => {
      const least = Math.min(...against.map((name) => first.get(name)!));
      return against.filter((name) => first.get(name)! > hopeless * least);
    }),
  );
  const seconds = new Map(variants.map(({ name }) => [name, slow.has(name) ? [first.get(name)!] : []]));
  const going = variants.filter(({ name }) => !slow.has(name));
  for (let round = 1; round <= rounds; round++) {
    onRound(round);
    for (let i = 0; i < going.length; i++) {
      const variant = going[(round + i) % going.length]!;
      seconds.get(variant.name)!.push(await runOnce(variant));
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
