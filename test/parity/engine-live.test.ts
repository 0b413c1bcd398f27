/**
 * One running batch for all calls: rows of calls that come at any time, each with options of its own, join it between two
 * steps, and none of that shows in a row's bits.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Runtime } from '../../src/engine/runtime.ts';
import type { Generated, GenerateOptions, GenerateRow, TokenEvent } from '../../src/engine/types.ts';
import { bitDifference } from '../helpers/numbers.ts';
import {
  anyInterventions,
  collect,
  openTinyModel,
  randomIds,
  randomVector,
  type TinyModel,
  tinyShape,
} from '../helpers/tiny-models.ts';

const { vocabSize, width, layers } = tinyShape;
let tiny: TinyModel;
beforeAll(async () => {
  tiny = await openTinyModel({ load: { threads: 1 } });
});
afterAll(() => tiny.close());

/** One call, and when it comes: after so many tokens of the first one. */
interface Arrival {
  readonly rows: readonly GenerateRow[];
  readonly options: GenerateOptions;
  readonly after: number;
  /** Aborted when it has had so many tokens. */
  readonly abortAt: number | null;
}

const anyOptions: fc.Arbitrary<GenerateOptions> = fc.record(
  {
    maxTokens: fc.integer({ min: 1, max: 24 }),
    temperature: fc.constantFrom(0, 0.7, 1, 1.5),
    topP: fc.constantFrom(0.8, 1),
    topK: fc.constantFrom(0, 7),
    repetitionPenalty: fc.constantFrom(1, 1.3),
    logprobs: fc.constantFrom(0, 3),
    seed: fc.nat(5),
    batchRows: fc.constantFrom(1, 2, 64),
    capture: fc.constantFrom(['response_mean', 'prompt_last'], ['prompt_mean'], []),
    project: fc.constantFrom(
      [{ layer: 1, vector: randomVector(width, 'one') }],
      [
        { layer: 1, vector: randomVector(width, 'two') },
        { layer: 3, vector: randomVector(width, 'three') },
      ],
    ),
    ignoreEos: fc.constant(true),
  },
  { requiredKeys: ['maxTokens'] },
);

const prompts = [3, 8, 11].map((length) => randomIds(length, vocabSize, 'prompt', length));
const anyRow = fc.record({
  ids: fc.oneof(
    fc.constantFrom(...prompts),
    fc.array(fc.nat(vocabSize - 1), { minLength: 1, maxLength: 40 }),
    // Long enough that beginnings are shared.
    fc.integer({ min: 300, max: 340 }).map((length) => randomIds(length, vocabSize, 'long')),
  ),
  interventions: anyInterventions({ layers, width }, 2),
});
const anyArrival: fc.Arbitrary<Arrival> = fc.record({
  rows: fc
    .array(anyRow, { minLength: 1, maxLength: 4 })
    .map((rows) => rows.map((row, i) => ({ ...row, key: `row ${i}` }))),
  options: anyOptions,
  after: fc.nat(30),
  abortAt: fc.option(fc.integer({ min: 1, max: 8 }), { freq: 4 }),
});

/** Runs all calls, each when the first has had so many tokens; null for those that were aborted. */
async function runAll(arrivals: readonly Arrival[]): Promise<(Generated[] | null)[]> {
  let tokens = 0;
  const waiting: { readonly after: number; readonly go: () => void }[] = [];
  const tick = (): void => {
    tokens++;
    for (const one of waiting) if (one.after === tokens) one.go();
  };
  const calls = arrivals.map(async ({ rows, options, after, abortAt }, i) => {
    if (i > 0 && after > 0) await new Promise<void>((go) => waiting.push({ after, go }));
    const controller = new AbortController();
    let own = 0;
    const onToken = (event: TokenEvent): void => {
      if (i === 0) tick();
      if (event.id !== null && ++own === abortAt) controller.abort();
    };
    try {
      return await collect(tiny.model.generate(rows, { ...options, onToken, signal: controller.signal }));
    } catch (error) {
      if (!controller.signal.aborted) throw error;
      return null;
    } finally {
      // Those that wait for more tokens than the first call has come now.
      if (i === 0) for (const one of waiting) one.go();
    }
  });
  return Promise.all(calls);
}

function difference(actual: Generated, solo: Generated): string | null {
  const { pooled, projections, ...rest } = actual;
  const { pooled: soloPooled, projections: soloProjections, ...soloRest } = solo;
  if (JSON.stringify(rest) !== JSON.stringify(soloRest))
    return `${JSON.stringify(rest)} instead of ${JSON.stringify(soloRest)}`;
  if ((projections === undefined) !== (soloProjections === undefined)) return 'projections are missing';
  if (projections !== undefined) {
    const found = bitDifference(projections, soloProjections);
    if (found !== null) return found;
  }
  const names = Object.keys(soloPooled) as (keyof Generated['pooled'])[];
  if (names.join() !== Object.keys(pooled).join()) return 'poolings are missing';
  return (
    names.map((name) => bitDifference(pooled[name], soloPooled[name])).find((one) => one !== null) ?? null
  );
}

describe('calls that come while others run', () => {
  it('give every row the bits of its solo run, whatever joins, leaves or is aborted', async () => {
    const property = fc.asyncProperty(
      fc.array(anyArrival, { minLength: 2, maxLength: 6 }),
      async (arrivals) => {
        const together = await runAll(arrivals);
        for (const [i, { rows, options }] of arrivals.entries()) {
          const found = together[i];
          if (found === null || found === undefined) continue;
          for (const [r, row] of rows.entries()) {
            const [solo] = await collect(tiny.model.generate([row], options));
            expect(difference({ ...found[r]!, index: 0 }, solo!)).toBeNull();
          }
        }
      },
    );
    await fc.assert(property, { numRuns: 25, seed: 20_261_126 });
  }, 240_000);

  it('share steps: two calls of one row each take hardly more steps than the longer one', async () => {
    const spy = vi.spyOn(Runtime.prototype, 'step');
    try {
      const rows = prompts.map((ids) => [{ ids }]);
      const options = { maxTokens: 30, ignoreEos: true };
      await Promise.all(rows.map((row) => collect(tiny.model.generate(row, options))));
      // Prompts: one step for whoever comes first, one for the rest; then one step a token for all.
      expect(spy.mock.calls.length).toBeLessThanOrEqual(2 + 30);
      const widest = Math.max(...spy.mock.calls.map(([step]) => step.rows.length));
      expect(widest).toBe(3);
    } finally {
      spy.mockRestore();
    }
  });

  it('get places in turn: a small call does not wait for a large one to begin all its rows', async () => {
    const many = Array.from({ length: 40 }, (_, i) => ({ ids: randomIds(5, vocabSize, i) }));
    const order: string[] = [];
    const options = { maxTokens: 20, ignoreEos: true, batchRows: 4 };
    const small: Promise<unknown>[] = [];
    const onToken = (): void => {
      if (small.length > 0) return;
      const call = collect(tiny.model.generate([{ ids: [1, 2, 3] }], { maxTokens: 5, ignoreEos: true }));
      small.push(call.then(() => order.push('small')));
    };
    await collect(tiny.model.generate(many, { ...options, onToken })).then(() => order.push('large'));
    await Promise.all(small);
    expect(order).toEqual(['small', 'large']);
  });

  it('do not end each other: one that listens badly fails alone', async () => {
    const bad = collect(
      tiny.model.generate([{ ids: [1, 2] }], {
        maxTokens: 9,
        ignoreEos: true,
        onToken: () => {
          throw new TypeError('a listener of the caller');
        },
      }),
    );
    const good = collect(tiny.model.generate([{ ids: [3, 4] }], { maxTokens: 9, ignoreEos: true }));
    await expect(bad).rejects.toThrow('a listener of the caller');
    expect((await good)[0]?.ids).toHaveLength(9);
  });

  it('hold back rows, and not memory, where results are not taken', async () => {
    const rows = Array.from({ length: 300 }, (_, i) => ({ ids: randomIds(4, vocabSize, i) }));
    let started = 0;
    const results = tiny.model.generate(rows, {
      maxTokens: 1,
      ignoreEos: true,
      batchRows: 16,
      onToken: () => started++,
    });
    await results[Symbol.asyncIterator]().next();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(started).toBeLessThan(120);
    let left = 0;
    for await (const _ of results) left++;
    expect(left).toBe(299);
    expect(started).toBe(300);
  });
});
