/** The shape of every part of the benchmark: variants that do equal work, and which of them are compared. */

/** One thing to time. */
export interface Variant {
  readonly name: string;
  /** Tokens of one run. */
  readonly tokens: number;
  /** Of the products of one run; a multiplication and its addition are two. */
  readonly operations: number;
  /** Runs it once; gives the seconds where only a part of the run is meant. */
  readonly run: () => Promise<number | undefined>;
}

/** How many times as fast one variant is as another. */
export interface Comparison {
  readonly label: string;
  readonly variant: string;
  /** Of several, the fastest by its median. */
  readonly against: readonly string[];
  /** At least this, where there is a target. */
  readonly target?: number;
}

/** Variants that are run in the same rounds. */
export interface Part {
  readonly title: string;
  /** What `tokens` of its variants counts instead, in the plural. */
  readonly unit?: string;
  /** Rounds before those that count; default 1. */
  readonly warmUps?: number;
  readonly variants: readonly Variant[];
  readonly comparisons: readonly Comparison[];
}

/** Names that parts share. */
export const productsName = 'matrix products alone';

/** Token ids of a row; the script beside which PyTorch is timed spells the same. */
export function rowIds(length: number, vocabSize: number, offset = 0): number[] {
  return Array.from({ length }, (_, i) => (i * 7919 + offset) % vocabSize);
}

/** Wraps what is timed as a whole. */
export function whole(run: () => Promise<void>): Variant['run'] {
  return async () => {
    await run();
    return undefined;
  };
}
