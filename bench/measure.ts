/** Alternating rounds and their statistics. */

import { setTimeout as sleep } from 'node:timers/promises';
import { medianSorted, quantileSorted } from 'simple-statistics';

/** One thing to time. */
export interface Variant {
  readonly name: string;
  /** Tokens that are run in the seconds which `run` gives. */
  readonly tokens: number;
  /**
   * Does the work once and checks that all of it was done.
   * @returns seconds: of the whole work, or of one step of it on average.
   */
  readonly run: () => Promise<number>;
}

/** What came of a variant: seconds by round, so that variants of one round can be paired. */
export interface Timed {
  readonly name: string;
  readonly tokens: number;
  readonly seconds: readonly number[];
}

export interface Summary {
  readonly median: number;
  /** First and third quartile: the spread that is printed. */
  readonly low: number;
  readonly high: number;
  /** The fastest round: what a busy machine still shows of a quiet one. */
  readonly best: number;
}

/** Threads of the variant before spin for some milliseconds before they sleep. */
const settleMs = 50;

/**
 * Runs every variant once a round, beginning with another one each round, after one round that does not count.
 * A drift of the machine (heat, a neighbour) then meets all variants alike.
 */
export async function alternate(
  variants: readonly Variant[],
  rounds: number,
  onRound: (round: number) => void,
): Promise<Timed[]> {
  const seconds = variants.map((): number[] => []);
  for (let round = 0; round <= rounds; round++) {
    onRound(round);
    for (let i = 0; i < variants.length; i++) {
      const turn = (round + i) % variants.length;
      await sleep(settleMs);
      const taken = await variants[turn]!.run();
      if (round > 0) seconds[turn]!.push(taken);
    }
  }
  return variants.map(({ name, tokens }, i) => ({ name, tokens, seconds: seconds[i]! }));
}

/** Seconds that `work` takes. */
export async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

export function summarise(values: readonly number[]): Summary {
  return { ...quartiles(values), best: Math.min(...values) };
}

/**
 * How many times the tokens of `base` `variant` runs in the same time: 1 is the same, below 1 slower. The median is
 * of the ratios of single rounds, `best` that of the two fastest rounds.
 */
export function speedRatio(variant: Timed, base: Timed): Summary {
  const weight = variant.tokens / base.tokens;
  return {
    ...quartiles(variant.seconds.map((seconds, round) => (weight * base.seconds[round]!) / seconds)),
    best: (weight * Math.min(...base.seconds)) / Math.min(...variant.seconds),
  };
}

/**
 * Stops a benchmark that does not measure what it says.
 * @throws Error naming what was counted.
 */
export function expectSame(what: string, found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`expected ${what} to be ${String(expected)}, got ${String(found)}`);
}

function quartiles(values: readonly number[]): Omit<Summary, 'best'> {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    median: medianSorted(sorted),
    low: quantileSorted(sorted, 0.25),
    high: quantileSorted(sorted, 0.75),
  };
}
