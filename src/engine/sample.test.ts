import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Random, randomStream } from '../util/random.ts';
import { argmax, negativeLogLikelihood, sampleToken } from './sample.ts';

const logits = Float32Array.of(0, 2, 1, -1);
const fixed = (value: number): Random => ({ uniform: () => value, normal: () => 0 });

describe('sampleToken', () => {
  it('takes the most likely token at temperature 0, the first of equals', () => {
    expect(sampleToken(logits, { temperature: 0, topP: 1 }, fixed(0.99))).toBe(1);
    expect(argmax(Float32Array.of(3, 5, 5))).toBe(1);
  });

  it('draws in proportion to the softmax', () => {
    const random = randomStream('test');
    const counts = [0, 0, 0, 0];
    const n = 20_000;
    for (let i = 0; i < n; i++) {
      const id = sampleToken(logits, { temperature: 2, topP: 1 }, random);
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
      for (let i = 0; i < 100; i++) ids.add(sampleToken(shuffled, { temperature: 1, topP }, fixed(i / 100)));
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
        const id = sampleToken(Float32Array.from(values), { temperature: 1, topP }, fixed(u));
        expect(values[id]).toBeGreaterThan(-Infinity);
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
    expect(() => sampleToken(broken, { temperature: 0, topP: 1 }, fixed(0))).toThrow(
      /expected finite logits/,
    );
    expect(() => sampleToken(broken, { temperature: 1, topP: 0.5 }, fixed(0))).toThrow(/too strong/);
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
