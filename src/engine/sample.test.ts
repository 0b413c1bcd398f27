import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Random, randomStream } from '../util/random.ts';
import { largestLogits, mostLikely, oddsOf, summarise } from './logit-summary.ts';
import {
  bestToken,
  greedy,
  negativeLogLikelihood,
  penalise,
  sampleToken,
  type SamplingOptions,
} from './sample.ts';

const logits = Float32Array.of(0, 2, 1, -1);
const using = (options: Partial<SamplingOptions>): SamplingOptions => ({ ...greedy, ...options });
const fixed = (value: number): Random => ({ uniform: () => value, normal: () => 0 });

/** A token of these logits, read in this thread. */
function draw(values: Float32Array, options: SamplingOptions, random: Random): number {
  const summary = summarise(values);
  if (options.temperature === 0) return bestToken(summary);
  const odds = oddsOf(values, mostLikely(summary).logit, options.temperature);
  return sampleToken(summary, odds, options, random);
}

describe('sampleToken', () => {
  it('takes the most likely token at temperature 0, the first of equals', () => {
    expect(draw(logits, using({ temperature: 0, topP: 1 }), fixed(0.99))).toBe(1);
    expect(draw(Float32Array.of(3, 5, 5), greedy, fixed(0))).toBe(1);
  });

  it('draws in proportion to the softmax', () => {
    const random = randomStream('test');
    const counts = [0, 0, 0, 0];
    const n = 20_000;
    for (let i = 0; i < n; i++) {
      const id = draw(logits, using({ temperature: 2, topP: 1 }), random);
      counts[id] = (counts[id] as number) + 1;
    }
    const weights = [...logits].map((value) => Math.exp(value / 2));
    const total = weights.reduce((a, b) => a + b, 0);
    counts.forEach((count, id) => {
      const p = (weights[id] as number) / total;
      // Five standard errors of a binomial share.
      expect(Math.abs(count / n - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / n));
    });
  });

  it('keeps the smallest set that reaches top-p', () => {
    const p = [0.5, 0.3, 0.15, 0.05];
    const shuffled = Float32Array.of(...[2, 0, 3, 1].map((i) => Math.log(p[i] as number)));
    const seen = (topP: number): Set<number> => {
      const ids = new Set<number>();
      for (let i = 0; i < 100; i++) ids.add(draw(shuffled, using({ temperature: 1, topP }), fixed(i / 100)));
      return ids;
    };
    expect(seen(0.4)).toEqual(new Set([1]));
    expect(seen(0.7)).toEqual(new Set([1, 3]));
    expect(seen(0.9)).toEqual(new Set([1, 3, 0]));
    expect(seen(1)).toEqual(new Set([0, 1, 2, 3]));
  });

  it('never draws a token of no weight, at any point of the stream', () => {
    const some = fc.array(fc.oneof(fc.constant(-Infinity), fc.float({ min: -5, max: 5, noNaN: true })), {
      minLength: 1,
      maxLength: 20,
    });
    const usable = some.filter((values) => values.some((value) => value > -Infinity));
    const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(usable, unit, fc.double({ min: 0.05, max: 1, noNaN: true }), (values, u, topP) => {
        const id = draw(Float32Array.from(values), using({ temperature: 1, topP }), fixed(u));
        expect(values[id]).toBeGreaterThan(-Infinity);
      }),
    );
  });
});

describe('filters', () => {
  const p = [0.05, 0.5, 0.15, 0.3];
  const logs = Float32Array.from(p, Math.log);
  const seen = (options: Partial<SamplingOptions>): number[] => {
    const ids = new Set<number>();
    for (let i = 0; i < 200; i++) {
      ids.add(draw(logs, using({ temperature: 1, ...options }), fixed(i / 200)));
    }
    return [...ids].sort((a, b) => a - b);
  };

  it('top-k keeps the most likely tokens', () => {
    expect(seen({ topK: 1 })).toEqual([1]);
    expect(seen({ topK: 2 })).toEqual([1, 3]);
    expect(seen({ topK: 100 })).toEqual([0, 1, 2, 3]);
  });

  it('top-p counts the mass that top-k has left', () => {
    // Of 0.5 and 0.3, the first alone holds 62.5 %.
    expect(seen({ topK: 2, topP: 0.62 })).toEqual([1]);
    expect(seen({ topK: 2, topP: 0.63 })).toEqual([1, 3]);
  });

  it('min-p keeps tokens by their share of the most likely one', () => {
    expect(seen({ minP: 0.61 })).toEqual([1]);
    expect(seen({ minP: 0.29 })).toEqual([1, 2, 3]);
  });

  it('the repetition penalty acts on tokens that have occurred, once, until it is taken back', () => {
    const best = (values: Float32Array, tokens: readonly number[]): number => {
      const before = values.slice();
      const undo = penalise(values, 1.2, tokens);
      const id = bestToken(summarise(values));
      undo();
      expect(values).toEqual(before);
      return id;
    };
    expect(best(Float32Array.of(2, 1.9, -1), [0, 0])).toBe(1);
    expect(best(Float32Array.of(2, 1.9, -1), [0, 1])).toBe(0);
    expect(best(Float32Array.of(-1, -1.1), [0])).toBe(1);
  });

  it('top-k agrees with sorting, ties and all', () => {
    const some = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 700 });
    fc.assert(
      fc.property(some, fc.integer({ min: 0, max: 40 }), (values, top) => {
        const expected = values
          .map((value, id) => ({ value, id }))
          .sort((a, b) => b.value - a.value || a.id - b.id)
          .slice(0, top)
          .map(({ id }) => id);
        expect(largestLogits(summarise(Float32Array.from(values)), top)).toEqual(expected);
      }),
    );
  });
});

describe('sampleToken on broken logits', () => {
  it.each([
    ['NaN', Float32Array.of(0, Number.NaN, 1)],
    ['infinity', Float32Array.of(0, Infinity, 1)],
    ['nothing but minus infinity', Float32Array.of(-Infinity, -Infinity)],
  ])('refuses %s', (_, broken) => {
    expect(() => draw(broken, using({ temperature: 0, topP: 1 }), fixed(0))).toThrow(
      /expected finite logits/,
    );
    expect(() => draw(broken, using({ temperature: 1, topP: 0.5 }), fixed(0))).toThrow(/too strong/);
  });
});

describe('negativeLogLikelihood', () => {
  it('is minus the log of the softmax', () => {
    const total = [...logits].reduce((sum, value) => sum + Math.exp(value), 0);
    expect(negativeLogLikelihood(logits, 2)).toBeCloseTo(-Math.log(Math.exp(1) / total), 12);
  });

  it('stays finite for logits that overflow exp', () => {
    expect(negativeLogLikelihood(Float32Array.of(1000, 0), 1)).toBeCloseTo(1000, 5);
  });
});
