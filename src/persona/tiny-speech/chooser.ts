import { randomStream } from '../../util/random.ts';

/** Random choices out of one seeded stream. */
export interface Chooser {
  /** True with probability `p`. */
  chance(p: number): boolean;
  /** A whole number from 0 to `n` − 1. */
  below(n: number): number;
  from<T>(list: readonly T[]): T;
  /** `count` different ones, in random order. */
  several<T>(list: readonly T[], count: number): T[];
  /** A key, with probability in proportion to its weight. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K;
}

/** The choices that `parts` name: equal parts give equal choices. */
export function chooser(...parts: readonly (string | number)[]): Chooser {
  const stream = randomStream('persona-tiny', ...parts);
  const uniform = (): number => stream.uniform();
  const below = (n: number): number => Math.floor(uniform() * n);
  return {
    chance: (p) => uniform() < p,
    below,
    from: <T>(list: readonly T[]): T => list[below(list.length)]!,
    several: <T>(list: readonly T[], count: number): T[] => {
      const left = [...list];
      return Array.from(
        { length: Math.min(count, left.length) },
        () => left.splice(below(left.length), 1)[0]!,
      );
    },
    weighted: <K extends string>(weights: Readonly<Record<K, number>>): K => {
      const keys = Object.keys(weights) as K[];
      let left = uniform() * keys.reduce((sum, key) => sum + weights[key], 0);
      return keys.find((key) => (left -= weights[key]) < 0) ?? keys.at(-1)!;
    },
  };
}
