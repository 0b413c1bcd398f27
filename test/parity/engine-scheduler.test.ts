/**
 * The scheduler: how many steps it takes, counted, and that none of what it does shows in a row's bits. A step is one run of
 * the model's session; a first prompt or a piece of one has several positions a row, a decoding step has one.
 */
import fc from 'fast-check';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  type MockInstance,
  vi,
} from 'vitest';
import { Runtime, type Step } from '../../src/engine/runtime.ts';
import type { Generated, GenerateOptions, GenerateRow } from '../../src/engine/types.ts';
import { bitDifference, relativeError } from '../helpers/numbers.ts';
import {
  anyInterventions,
  collect,
  openTinyModel,
  randomIds,
  type TinyModel,
  tinyShape,
} from '../helpers/tiny-models.ts';

const { vocabSize } = tinyShape;

describe('steps', () => {
  let tiny: TinyModel;
  beforeAll(async () => {
    tiny = await openTinyModel({ shape: { maxPositions: 2048 } });
  });
  afterAll(() => tiny.close());

  let spy: MockInstance<Runtime['step']>;
  beforeEach(() => {
    spy = vi.spyOn(Runtime.prototype, 'step');
  });
  afterEach(() => {
    spy.mockRestore();
  });
  const steps = (): Step[] => spy.mock.calls.map(([step]) => step);
  const isDecoding = (step: Step): boolean =>
    (step.rows[0]!.tokens[0]?.index ?? 0) > 0 && step.positions === 1;
  const decodingSizes = (): number[] =>
    steps()
      .filter(isDecoding)
      .map((step) => step.rows.length);
  /** Tokens that were run as prompts, padding not counted. */
  const promptTokens = (): number =>
    steps()
      .filter((step) => !isDecoding(step))
      .reduce((sum, step) => sum + step.rows.reduce((own, row) => own + row.tokens.length, 0), 0);

  it('are as full as there are rows, however unequal their lengths', async () => {
    // At this temperature a row meets the end token sooner or later, or reaches the limit.
    const rows = Array.from({ length: 40 }, (_, i) => ({ ids: randomIds(3 + (i % 5), vocabSize, i) }));
    const options = { maxTokens: 120, temperature: 3, seed: 2, batchRows: 8 };
    const results = await collect(tiny.model.generate(rows, options));
    const lengths = results.map((row) => row.ids.length);
    expect(Math.max(...lengths)).toBeGreaterThan(4 * Math.min(...lengths) + 40);

    const sizes = decodingSizes();
    // Full to the last place, until fewer rows are left than there are places.
    const draining = sizes.findIndex((size) => size < 8);
    expect(draining).toBeGreaterThan(sizes.length / 2);
    expect(sizes.slice(draining)).toEqual(sizes.slice(draining).sort((a, b) => b - a));
    // Each row is fed its tokens but the last, and the one before an end token.
    const fed = results.reduce(
      (sum, row) => sum + row.ids.length - (row.finishReason === 'length' ? 1 : 0),
      0,
    );
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(fed);
    // In groups that wait for the longest row of each, the same rows would take far more.
    const inGroups = [0, 8, 16, 24, 32].reduce((sum, at) => sum + Math.max(...lengths.slice(at, at + 8)), 0);
    expect(sizes.length).toBeLessThan(0.75 * inGroups);
  });

  it('lose at most an eighth of many places, so that prompts are run in groups', async () => {
    const rows = Array.from({ length: 200 }, (_, i) => ({ ids: randomIds(4, vocabSize, i) }));
    const options = { maxTokens: 60, temperature: 3, seed: 4, batchRows: 32 };
    await collect(tiny.model.generate(rows, options));
    const sizes = decodingSizes();
    const all = steps();
    const lastJoin = all.findLastIndex((step) => !isDecoding(step));
    const before = all.slice(0, lastJoin).filter(isDecoding);
    expect(Math.min(...before.map((step) => step.rows.length))).toBeGreaterThan(32 - 32 / 8);
    expect(before.length).toBeGreaterThan(sizes.length / 3);
  });

  /** Runs so many rows in one call, and beside them calls of one row, one more after each step; how long each waited. */
  async function arrivals(running: number, count: number): Promise<number[]> {
    const options = { maxTokens: 40, ignoreEos: true };
    const waits: number[] = [];
    const calls: Promise<Generated[]>[] = [];
    const join = (): void => {
      const came = decodingSizes().length;
      const at = calls.length;
      const onToken = (): void => void (waits[at] ??= decodingSizes().length - came);
      const row = { ids: randomIds(9, vocabSize, 'single', at) };
      calls.push(collect(tiny.model.generate([row], { ...options, onToken })));
    };
    const rows = Array.from({ length: running }, (_, i) => ({ ids: randomIds(5, vocabSize, i) }));
    const onToken = ({ index }: { readonly index: number }): void => {
      if (index === 0 && calls.length < count) join();
    };
    await collect(tiny.model.generate(rows, { ...options, onToken }));
    await Promise.all(calls);
    return waits;
  }

  it('of prompts hold rows of many calls that come one by one, none of which waits for long', async () => {
    const waits = await arrivals(24, 20);
    const prompts = steps().filter((step) => !isDecoding(step));
    const sizes = prompts.slice(1).map((step) => step.rows.length);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(20);
    // An eighth of those that run, or what four steps bring.
    expect(Math.min(...sizes)).toBeGreaterThanOrEqual(3);
    expect(waits).toHaveLength(20);
    expect(Math.max(...waits)).toBeLessThanOrEqual(4);
  });

  it('of a prompt come at once beside few rows', async () => {
    expect(await arrivals(8, 1)).toEqual([0]);
  });

  it('of prompts come when an eighth of those that run is there to join, or has not come in four steps', async () => {
    // The first one waits for the second; nobody comes for the third to wait for.
    expect(await arrivals(9, 3)).toEqual([1, 0, 4]);
  });

  it('run a prompt once for all of its samples', async () => {
    const prompts = [randomIds(21, vocabSize, 'a'), randomIds(34, vocabSize, 'b')];
    const rows = prompts.flatMap((ids) =>
      Array.from({ length: 10 }, (_, i) => ({ ids, key: `${ids[0]} ${i}` })),
    );
    await collect(tiny.model.generate(rows, { maxTokens: 3, temperature: 1, ignoreEos: true }));
    expect(promptTokens()).toBe(21 + 34);
    expect(decodingSizes()).toEqual([20, 20]);
  });

  it('run a long beginning that prompts have in common once', async () => {
    const common = randomIds(300, vocabSize, 'common');
    const endings = [10, 21, 32, 43];
    const rows = endings.map((length) => ({
      ids: [...common, ...randomIds(length, vocabSize, 'own', length)],
    }));
    await collect(tiny.model.generate(rows, { maxTokens: 2, ignoreEos: true }));
    // What follows a shared beginning is made even in length.
    const most = 300 + endings.reduce((sum, length) => sum + length + 1, 0);
    expect(promptTokens()).toBeGreaterThanOrEqual(300 + 106);
    expect(promptTokens()).toBeLessThanOrEqual(most);
  });

  it('of a single pass hold rows of like length, the longest first', async () => {
    const lengths = Array.from({ length: 60 }, (_, i) => 1 + ((i * 37) % 97));
    const rows = lengths.map((length) => ({ ids: randomIds(length, vocabSize, length) }));
    await collect(tiny.model.forward(rows, { pool: ['prompt_mean'], batchTokens: 400 }));
    const padded = steps().reduce((sum, step) => sum + step.rows.length * step.positions, 0);
    const total = lengths.reduce((sum, length) => sum + length, 0);
    expect(padded / total).toBeLessThan(1.15);
    const longest = steps().map((step) => Math.max(...step.rows.map((row) => row.tokens.length)));
    expect(longest).toEqual(longest.toSorted((a, b) => b - a));
    expect(Math.max(...steps().map((step) => step.rows.length * step.positions))).toBeLessThanOrEqual(400);
  });

  it('of prompts hold rows of like length, capped by batch tokens', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => ({
      ids: randomIds(2 + ((i * 23) % 61), vocabSize, i),
    }));
    await collect(tiny.model.generate(rows, { maxTokens: 1, ignoreEos: true, batchTokens: 256 }));
    const total = rows.reduce((sum, row) => sum + row.ids.length, 0);
    const padded = steps().reduce((sum, step) => sum + step.rows.length * step.positions, 0);
    expect(padded / total).toBeLessThan(1.25);
    expect(Math.max(...steps().map((step) => step.rows.length * step.positions))).toBeLessThanOrEqual(256);
  });

  it('of prompts hold rows of like length, whoever comes first', async () => {
    const lengths = [40, 4, 40, 4, 40, 4, 40, 4];
    const calls = lengths.map((length, i) => {
      const row = { ids: randomIds(length, vocabSize, i) };
      return collect(tiny.model.generate([row], { maxTokens: 2, ignoreEos: true }));
    });
    await Promise.all(calls);
    const prompts = steps().filter((step) => !isDecoding(step));
    const sizes = prompts.map((step) => step.rows.map((row) => row.tokens.length));
    expect(sizes).toEqual([
      [40, 40, 40, 40],
      [4, 4, 4, 4],
    ]);
  });

  it('hold fewer rows where the memory for their keys and values ends', async () => {
    const rows = Array.from({ length: 6 }, (_, i) => ({ ids: randomIds(9, vocabSize, i) }));
    const options = { maxTokens: 4, ignoreEos: true };
    const all = await collect(tiny.model.generate(rows, options));
    // 14 positions of keys and values of 3 blocks with 2 heads of 16, and the logits.
    const perRow = 2 * 4 * 3 * 2 * 16 * 14 + 4 * vocabSize;
    spy.mockClear();
    const few = await collect(
      tiny.model.generate(rows, { ...options, cacheBytes: 2 * perRow, batchRows: 5 }),
    );
    expect(Math.max(...decodingSizes())).toBe(2);
    expect(few).toEqual(all);
  });
});

/** How a row of a call runs, and where it is cancelled, if at all. */
interface Course {
  readonly row: GenerateRow;
  /** Cancelled when it has so many tokens. */
  readonly cancelAt: number | null;
}

const capture = ['response_mean', 'prompt_last'] as const;

/** Runs courses in one call; a cancelled row stops between two steps. */
async function runCourses(
  { model }: TinyModel,
  courses: readonly Course[],
  options: GenerateOptions,
): Promise<Generated[]> {
  const controllers = courses.map(() => new AbortController());
  const counts = courses.map(() => 0);
  const rows = courses.map(({ row }, i) => ({ ...row, signal: controllers[i]!.signal }));
  return collect(
    model.generate(rows, {
      ...options,
      onToken: ({ index, id }) => {
        if (id === null) return;
        counts[index]!++;
        if (counts[index] === courses[index]!.cancelAt) controllers[index]!.abort();
      },
    }),
  );
}

/** What of a row differs from its solo run; a cancelled one is a beginning of it. */
function difference(actual: Generated, solo: Generated, { cancelAt }: Course): string | null {
  const isCut = cancelAt !== null && actual.finishReason === 'cancelled';
  const expected = isCut ? solo.ids.slice(0, cancelAt) : solo.ids;
  if (actual.ids.join() !== expected.join()) return `ids ${actual.ids.join()} instead of ${expected.join()}`;
  if (!isCut && actual.finishReason !== solo.finishReason) return `finish reason ${actual.finishReason}`;
  for (const pooling of isCut ? (['prompt_last'] as const) : capture) {
    // A row that ends at once has no tokens to pool.
    if (actual.pooled[pooling] === undefined && solo.pooled[pooling] === undefined) continue;
    const found = bitDifference(actual.pooled[pooling], solo.pooled[pooling]);
    if (found !== null) return found;
  }
  return null;
}

describe.each([
  ['fp32', {}],
  ['int8 in blocks of 32', { dtype: 'int8' }],
  ['int8 in blocks of 128', { dtype: 'int8', blockSize: 128 }],
  ['int4 in blocks of 32', { dtype: 'int4' }],
  ['int4 in blocks of 128', { dtype: 'int4', blockSize: 128 }],
] as const)('rows in %s', (_, load) => {
  let tiny: TinyModel;
  beforeAll(async () => {
    // Wide enough that a row of weights has more than one block of 128.
    tiny = await openTinyModel({
      shape: { width: 160, mlpWidth: 144, layers: 2 },
      load: { ...load, threads: 2 },
    });
  });
  afterAll(() => tiny.close());

  it('have the bits of their solo run, whenever they join, leave or are cancelled, and whatever else runs', async () => {
    const prompts = Array.from({ length: 4 }, (_, i) => randomIds(1 + 4 * i, vocabSize, 'prompt', i));
    const anyCourse = fc.record({
      // Few prompts, so that some rows share one, and many lengths.
      ids: fc.oneof(
        fc.constantFrom(...prompts),
        fc.array(fc.nat(vocabSize - 1), { minLength: 1, maxLength: 14 }),
      ),
      interventions: anyInterventions({ layers: 2, width: 160 }, 2),
      cancelAt: fc.option(fc.integer({ min: 1, max: 9 }), { freq: 3 }),
    });
    const property = fc.asyncProperty(
      fc.array(anyCourse, { minLength: 2, maxLength: 9 }),
      fc.constantFrom(0, 1.5),
      fc.constantFrom(1, 2, 3, 64),
      fc.constantFrom(20, 2048),
      fc.boolean(),
      async (list, temperature, batchRows, batchTokens, twice) => {
        const courses = list.map(({ ids, interventions, cancelAt }, i) => ({
          row: { ids, interventions, key: `row ${i}` },
          cancelAt,
        }));
        const options = { maxTokens: 10, temperature, topK: 20, seed: 5, capture };
        const solo: Generated[] = [];
        for (const { row } of courses) solo.push((await collect(tiny.model.generate([row], options)))[0]!);
        const shared = { ...options, batchRows, batchTokens };
        // A second call beside the first, in the opposite order.
        const backwards = courses.toReversed();
        const [there, back] = await Promise.all([
          runCourses(tiny, courses, shared),
          twice ? runCourses(tiny, backwards, shared) : [],
        ]);
        expect(there.map((row, i) => difference(row, solo[i]!, courses[i]!))).toEqual(
          courses.map(() => null),
        );
        expect(back.map((row, i) => difference(row, solo.at(-1 - i)!, backwards[i]!))).toEqual(
          back.map(() => null),
        );
      },
    );
    await fc.assert(property, { numRuns: 12, seed: 20_251_125 });
  });
});

describe('rows over a large vocabulary', () => {
  // Read by the runtime, sixteen rows at a time, the last block of logits not full.
  const vocabSize = 8200;
  let tiny: TinyModel;
  beforeAll(async () => {
    tiny = await openTinyModel({ shape: { vocabSize, layers: 1 }, load: { threads: 2 } });
  });
  afterAll(() => tiny.close());

  it.each([
    { temperature: 0 },
    { temperature: 1 },
    { temperature: 0.7, topP: 0.9 },
    { temperature: 1, topK: 40, minP: 0.05, repetitionPenalty: 1.3 },
  ])('have the tokens and log-probabilities of their solo run with %o', async (sampling) => {
    const rows = Array.from({ length: 19 }, (_, i) => ({
      ids: randomIds(1 + (i % 4), vocabSize, i),
      key: `row ${i}`,
    }));
    const options = { maxTokens: 5, ignoreEos: true, seed: 8, logprobs: 2, ...sampling };
    const together = await collect(tiny.model.generate(rows, options));
    for (const [i, row] of rows.entries()) {
      const [solo] = await collect(tiny.model.generate([row], options));
      expect({ ...together[i], index: 0 }).toEqual(solo);
      const text = { ids: [...row.ids, ...together[i]!.ids], responseStart: row.ids.length };
      const [pass] = await collect(tiny.model.forward([text], { nll: true }));
      const reported = together[i]!.logprobs!.map(({ logprob }) => -logprob);
      expect(relativeError(reported, pass!.nll!.slice(row.ids.length))).toBeLessThan(1e-5);
    }
  });
});
