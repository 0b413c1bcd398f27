import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bitDifference, relativeError } from '../../test/helpers/numbers.ts';
import { type Random, randomStream } from '../util/random.ts';
import { LogitReader } from './logit-reader.ts';
import {
  largestLogits,
  type LogitSummary,
  mostLikely,
  type Odds,
  oddsOf,
  summarise,
} from './logit-summary.ts';
import { bestToken, greedy, sampleToken } from './sample.ts';

/** Logits `[rows, vocabulary]`, flat in the even rows and steep in the odd ones. */
function randomLogits(rows: number, vocabSize: number): Float32Array {
  const logits = new Float32Array(rows * vocabSize);
  for (let row = 0; row < rows; row++) {
    const random = randomStream('logits', row);
    const deviation = row % 2 === 0 ? 0.5 : 6;
    for (let i = 0; i < vocabSize; i++) logits[row * vocabSize + i] = deviation * random.normal();
  }
  return logits;
}

const fixed = (value: number): Random => ({ uniform: () => value, normal: () => 0 });
const rows = 17;

// A vocabulary of whole blocks, one that needs filling up, and one of Qwen's size.
describe.each([8192, 8200, 151_936])('logits of a vocabulary of %i, read by the runtime', (vocabSize) => {
  const logits = randomLogits(rows, vocabSize);
  const row = (i: number): Float32Array => logits.subarray(i * vocabSize, (i + 1) * vocabSize);
  let reader: LogitReader;
  let summaries: LogitSummary[];
  let odds: Odds[];
  beforeAll(async () => {
    reader = await LogitReader.create(vocabSize, 2);
    summaries = await reader.summaries(logits);
    odds = await reader.odds(
      logits,
      summaries,
      summaries.map(() => 0.8),
    );
  });
  afterAll(() => reader.close());

  it('have the maxima that a loop finds, and so the likeliest token', () => {
    for (const [i, summary] of summaries.entries()) {
      const expected = summarise(row(i));
      expect(bitDifference(summary.highest, expected.highest)).toBeNull();
      expect(bestToken(summary)).toBe(row(i).indexOf(Math.max(...expected.highest)));
      expect(largestLogits(summary, 40)).toEqual(largestLogits(expected, 40));
    }
  });

  it('have odds as near to exponentials as float32 can be', () => {
    for (const [i, { weights, masses }] of odds.entries()) {
      const exact = oddsOf(row(i), mostLikely(summarise(row(i))).logit, 0.8);
      // Exponents of up to 60 are rounded to float32 before the exponential is taken.
      expect(relativeError(weights.subarray(0, vocabSize), exact.weights)).toBeLessThan(1e-6);
      expect(relativeError(masses, exact.masses)).toBeLessThan(1e-6);
      expect(weights.subarray(vocabSize).every((weight) => weight === 0)).toBe(true);
    }
  });

  it('are the same to the bit for a row alone and beside others', async () => {
    for (const [first, count] of [
      [0, 1],
      [3, 1],
      [16, 1],
      [5, 2],
      [1, 16],
    ] as const) {
      const some = logits.subarray(first * vocabSize, (first + count) * vocabSize);
      const own = await reader.summaries(some);
      const ownOdds = await reader.odds(
        some,
        own,
        own.map(() => 0.8),
      );
      for (let i = 0; i < count; i++) {
        const there = first + i;
        expect(bitDifference(own[i]!.highest, summaries[there]!.highest)).toBeNull();
        expect(bitDifference(floats(ownOdds[i]!.weights), floats(odds[there]!.weights))).toBeNull();
        expect(bitDifference(floats(ownOdds[i]!.masses), floats(odds[there]!.masses))).toBeNull();
      }
    }
  });

  it.each([
    { topP: 0.9 },
    { topP: 0.3 },
    { topK: 50 },
    { topK: 200, topP: 0.5 },
    { minP: 0.02 },
    { topP: 0.95, minP: 0.01 },
  ])('keep the tokens that sorting all of them keeps, with %o', (filter) => {
    // Sorting a large vocabulary is slow: its steep row alone, which keeps few.
    for (const i of vocabSize > 10_000 ? [1] : [0, 1]) {
      const weights = odds[i]!.weights.subarray(0, vocabSize);
      const kept = sortedFilter(weights, filter);
      const drawn = Array.from({ length: 200 }, (_, n) =>
        sampleToken(summaries[i]!, odds[i]!, { ...greedy, temperature: 0.8, ...filter }, fixed(n / 200)),
      );
      expect(drawn.filter((id) => !kept.has(id))).toEqual([]);
      // The tokens of at least a hundredth of the mass come up in a sweep over the stream in steps of a two-hundredth.
      const mass = [...kept].reduce((sum, id) => sum + weights[id]!, 0);
      const heavy = [...kept].filter((id) => weights[id]! > mass / 100);
      expect(heavy.filter((id) => !drawn.includes(id))).toEqual([]);
    }
  });

  it('give the token of a place in the stream that running through all of them gives', () => {
    for (const i of [0, 1]) {
      const { weights } = oddsOf(row(i), mostLikely(summarise(row(i))).logit, 0.8);
      let reached = 0;
      const upTo = Float64Array.from(weights, (weight) => (reached += weight));
      for (let n = 0; n < 50; n++) {
        const id = sampleToken(summaries[i]!, odds[i]!, { ...greedy, temperature: 0.8 }, fixed(n / 50));
        expect(n / 50).toBeGreaterThan((upTo[id]! - weights[id]!) / reached - 1e-5);
        expect(n / 50).toBeLessThan(upTo[id]! / reached + 1e-5);
      }
    }
  });

  it.each([0, 5, 127, 128, 8191])('refuse a NaN at %i', async (at) => {
    for (const fill of [Number.NaN, 0]) {
      const broken = new Float32Array(vocabSize).fill(fill);
      broken[at] = Number.NaN;
      const own = await reader.summaries(broken);
      expect(() => bestToken(own[0]!)).toThrow(/expected finite logits/);
      const [bad] = await reader.odds(
        broken,
        own,
        own.map(() => 1),
      );
      const options = { ...greedy, temperature: 1 };
      expect(() => sampleToken(own[0]!, bad!, options, fixed(0.5))).toThrow(/expected finite logits/);
    }
  });
});

/** What the runtime gives is float32. */
function floats(values: Float32Array | Float64Array): Float32Array {
  expect(values).toBeInstanceOf(Float32Array);
  return values as Float32Array;
}

/** The tokens that the filters keep, by the plain rules. */
function sortedFilter(
  weights: Float32Array | Float64Array,
  { topK = 0, topP = 1, minP = 0 }: { topK?: number; topP?: number; minP?: number },
): Set<number> {
  let order = Array.from(weights.keys()).sort((a, b) => weights[b]! - weights[a]! || a - b);
  if (topK > 0) order = order.slice(0, topK);
  if (topP < 1) {
    const needed = topP * order.reduce((sum, id) => sum + weights[id]!, 0);
    let reached = 0;
    order = order.filter((id) => {
      const keep = reached < needed;
      reached += weights[id]!;
      return keep;
    });
  }
  return new Set(order.filter((id) => weights[id]! >= minP));
}
