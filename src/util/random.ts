import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus';
import { createHash } from 'node:crypto';

/** A stream of random numbers that depends on its seed alone, never on what else runs. */
export interface Random {
  /** Uniform in [0, 1), with 53 random bits. */
  uniform(): number;
  /** Standard normal. */
  normal(): number;
}

/**
 * The stream named by `parts`: equal parts give equal streams, in any process and in any order of use.
 * The parts are hashed, so that neighbouring seeds (1, 2, 3) give unrelated streams.
 */
export function randomStream(...parts: readonly (string | number)[]): Random {
  const digest = createHash('sha256').update(JSON.stringify(parts)).digest();
  const word = (i: number): number => digest.readInt32LE(4 * i);
  // The generator's one forbidden state is all zeros, which SHA-256 is not known to reach.
  const generator = xoroshiro128plusFromState([word(0), word(1), word(2), word(3)]);
  const bits = (): number => generator.next() >>> 0;
  const uniform = (): number => {
    const high = bits() >>> 5;
    const low = bits() >>> 6;
    return (high * 67_108_864 + low) / 9_007_199_254_740_992;
  };
  const normal = (): number => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    return radius * Math.cos(2 * Math.PI * uniform());
  };
  return { uniform, normal };
}
