import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import type { LanguageModel } from '../../src/engine/model.ts';
import type {
  ForwardOptions,
  ForwardResult,
  ForwardRow,
  Generated,
  GenerateRow,
  Intervention,
  Pooled,
} from '../../src/engine/types.ts';
import { projections } from '../../src/model/weights.ts';
import { bitDifference } from '../helpers/numbers.ts';
import type { RandomShape } from '../helpers/random-model.ts';
import {
  anyInterventions,
  collect,
  openTinyModel,
  randomIds,
  randomVector,
  type TinyModel,
  tinyShape,
} from '../helpers/tiny-models.ts';

const seed = 20_250_730;
const everything: ForwardOptions = {
  tokens: true,
  logits: 'all',
  nll: true,
  pool: ['prompt_mean', 'prompt_last'],
};
const capture = ['response_mean', 'prompt_mean', 'prompt_last'] as const;

/** Models that take every path of the attention kernel: rotary inside and before it, windows, head norms. */
const models: readonly (readonly [string, Partial<RandomShape>])[] = [
  ['qwen2, heads of 16', {}],
  ['llama, heads of 8', { family: 'llama', headSize: 8, tied: false }],
  ['qwen3, heads of 32', { family: 'qwen3', headSize: 32, width: 40 }],
  ['mistral, window of 5', { family: 'mistral', slidingWindow: 5, kvHeads: 1 }],
  ['gemma2, window of 5', { family: 'gemma2', slidingWindow: 5 }],
  ['olmo2', { family: 'olmo2', tied: false }],
  ['phi3', { family: 'phi3', tied: false }],
  // So wide and long that the runtime may cut a product's sums, and share its columns among threads.
  ['qwen2, width 200', { width: 200, mlpWidth: 300 }],
];

/** What differs between two results in any bit; null where nothing does. */
function forwardDifference(actual: ForwardResult, expected: ForwardResult): string | null {
  return (
    pooledDifference(actual.pooled, expected.pooled) ??
    bitDifference(actual.tokens, expected.tokens) ??
    bitDifference(actual.logits, expected.logits) ??
    bitDifference(actual.nll, expected.nll)
  );
}

function generatedDifference(actual: Generated, expected: Generated): string | null {
  if (actual.ids.join() !== expected.ids.join())
    return `ids ${actual.ids.join()} instead of ${expected.ids.join()}`;
  if (actual.finishReason !== expected.finishReason) return `finish reason ${actual.finishReason}`;
  return pooledDifference(actual.pooled, expected.pooled);
}

function pooledDifference(actual: Pooled, expected: Pooled): string | null {
  const names = Object.keys(expected) as (keyof Pooled)[];
  if (Object.keys(actual).join() !== names.join()) return `poolings ${Object.keys(actual).join()}`;
  return (
    names.map((name) => bitDifference(actual[name], expected[name])).find((found) => found !== null) ?? null
  );
}

/** Each row alone in its call. */
async function forwardAlone(model: LanguageModel, rows: readonly ForwardRow[]): Promise<ForwardResult[]> {
  const results: ForwardResult[] = [];
  for (const row of rows) results.push((await collect(model.forward([row], everything)))[0]!);
  return results;
}

const { vocabSize, layers, width } = tinyShape;
const anyIds = (min: number, max: number): fc.Arbitrary<number[]> =>
  fc.array(fc.nat(vocabSize - 1), { minLength: min, maxLength: max });

describe.each(models)('%s: what a row gives', (_, shape) => {
  const size = { layers, width: shape.width ?? width };
  const anyForwardRow = fc
    .record({
      ids: anyIds(1, 24),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      interventions: anyInterventions(size, 3),
    })
    .map(({ at, ...row }) => ({ ...row, responseStart: 1 + Math.floor(at * (row.ids.length - 1)) }));
  const anyGenerateRow = fc.record({ ids: anyIds(1, 12), interventions: anyInterventions(size, 3) });

  let tiny: TinyModel;
  beforeAll(async () => {
    tiny = await openTinyModel({ shape, load: { threads: 2 } });
  });
  afterAll(() => tiny.close());

  it('is the same to the bit whatever rows share its batch', async () => {
    const property = fc.asyncProperty(
      fc.array(anyForwardRow, { minLength: 2, maxLength: 8 }),
      fc.constantFrom(1, 30, 2048),
      async (rows, batchTokens) => {
        const alone = await forwardAlone(tiny.model, rows);
        const together = await collect(tiny.model.forward(rows, { ...everything, batchTokens }));
        const differences = together.map((result, i) => forwardDifference(result, alone[i]!));
        expect(differences).toEqual(rows.map(() => null));
      },
    );
    await fc.assert(property, { numRuns: 15, seed });
  });

  it('is the same beside a row that is much longer', async () => {
    const rows = [1, 7, 33, 200, 500].map((length) => ({ ids: randomIds(length, vocabSize, length) }));
    const alone = await forwardAlone(tiny.model, rows);
    const together = await collect(tiny.model.forward(rows, { ...everything, batchTokens: 1e6 }));
    expect(together.map((result, i) => forwardDifference(result, alone[i]!))).toEqual(rows.map(() => null));
  });

  it('is the same text whatever rows it is generated beside, steered or not', async () => {
    const property = fc.asyncProperty(
      fc.array(anyGenerateRow, { minLength: 2, maxLength: 7 }),
      fc.constantFrom(0, 1),
      fc.constantFrom(1, 2, 3, 64),
      async (list, temperature, batchRows) => {
        const rows: GenerateRow[] = list.map((row, i) => ({ ...row, key: `row ${i}` }));
        const options = { maxTokens: 9, temperature, topP: 0.95, seed: 5, capture };
        const alone: Generated[] = [];
        for (const row of rows) alone.push((await collect(tiny.model.generate([row], options)))[0]!);
        const together = await collect(tiny.model.generate(rows, { ...options, batchRows }));
        const differences = together.map((result, i) => generatedDifference(result, alone[i]!));
        expect(differences).toEqual(rows.map(() => null));
      },
    );
    await fc.assert(property, { numRuns: 10, seed });
  });

  it('does not depend on the context that the model was loaded for', async () => {
    const rows = [1, 5, 17, 40].map((length) => ({ ids: randomIds(length, vocabSize, length) }));
    const options = { maxTokens: 8, ignoreEos: true, capture };
    const expected = await collect(tiny.model.forward(rows, everything));
    const texts = await collect(tiny.model.generate(rows, options));
    for (const context of [48, 257]) {
      const other = await loadModel(tiny.folder, { context, threads: 2 });
      const forward = await collect(other.forward(rows, everything));
      const generated = await collect(other.generate(rows, options));
      await other.close();
      expect(forward.map((result, i) => forwardDifference(result, expected[i]!))).toEqual(
        rows.map(() => null),
      );
      expect(generated.map((result, i) => generatedDifference(result, texts[i]!))).toEqual(
        rows.map(() => null),
      );
    }
  });
});

describe('a feature that is given nothing to do', () => {
  const rows: ForwardRow[] = [1, 6, 20].map((length) => ({ ids: randomIds(length, vocabSize, length) }));
  const withInterventions = (interventions: Intervention[]): ForwardRow[] =>
    rows.map((row) => ({ ...row, interventions }));
  const texts = { maxTokens: 6, ignoreEos: true, capture } as const;
  let tiny: TinyModel;
  let plain: ForwardResult[];
  let plainTexts: Generated[];
  beforeAll(async () => {
    tiny = await openTinyModel();
    plain = await collect(tiny.model.forward(rows, everything));
    plainTexts = await collect(tiny.model.generate(rows, texts));
  });
  afterAll(() => tiny.close());

  const same = async (
    changed: readonly ForwardRow[],
    options: ForwardOptions = {},
  ): Promise<(string | null)[]> => {
    const results = await collect(tiny.model.forward(changed, { ...everything, ...options }));
    const generated = await collect(
      tiny.model.generate(changed, {
        ...texts,
        ...(options.adapter === undefined ? {} : { adapter: options.adapter }),
      }),
    );
    return [
      ...results.map((result, i) => forwardDifference(result, plain[i]!)),
      ...generated.map((result, i) => generatedDifference(result, plainTexts[i]!)),
    ];
  };
  const nothing = Array.from({ length: 6 }, () => null);

  it('an empty list of interventions changes no bit', async () => {
    expect(await same(withInterventions([]))).toEqual(nothing);
  });

  it('a strength of 0 changes no bit', async () => {
    const vector = randomVector(width, 'zero');
    const interventions = [1, 2, 3].map((layer) => ({ layer, vector, coef: 0 }));
    expect(await same(withInterventions(interventions))).toEqual(nothing);
  });

  it('bounds that no projection reaches change no bit', async () => {
    const vector = randomVector(width, 'far');
    const interventions = [1, 2, 3].map((layer) => ({ layer, vector, min: -1e6, max: 1e6 }));
    expect(await same(withInterventions(interventions))).toEqual(nothing);
  });

  it('interventions on positions that a row does not have change no bit', async () => {
    const vector = randomVector(width, 'elsewhere');
    const interventions: Intervention[] = [{ layer: 2, vector, coef: 3, positions: 'response' }];
    const changed = rows.map((row) => ({ ...row, responseStart: row.ids.length, interventions }));
    const results = await collect(tiny.model.forward(changed, { tokens: true }));
    const before = (tokens: Float32Array | undefined): Float32Array | undefined =>
      tokens?.slice(0, -4 * width);
    const differences = results.map((result, i) =>
      bitDifference(before(result.tokens), before(plain[i]!.tokens)),
    );
    expect(differences).toEqual([null, null, null]);
  });

  it('a call after one that needed more room gives the bits of before', async () => {
    const vector = randomVector(width, 'deep');
    const deep = [1, 2, 3, 4].map((n) => ({ layer: 1, vector: vector.map((x, i) => x + n * i), min: n }));
    await collect(tiny.model.forward(withInterventions(deep), { tokens: true }));
    expect(await same(rows)).toEqual(nothing);
  });

  it('an adapter without matrices, or with zeros in them, changes no bit', async () => {
    const { blocks } = tiny.model.checkpoint.weights;
    const empty = { name: 'empty', sha256: '', blocks: blocks.map(() => ({})) };
    const zeros = {
      name: 'zeros',
      sha256: '',
      blocks: blocks.map((block) =>
        Object.fromEntries(
          projections.map((name) => {
            const [out, input] = block.projections[name].weight.shape as [number, number];
            return [name, { rank: 2, a: randomVector(2 * input, name), b: new Float32Array(2 * out) }];
          }),
        ),
      ),
    };
    expect(await same(rows, { adapter: empty })).toEqual(nothing);
    expect(await same(rows, { adapter: zeros })).toEqual(nothing);
    expect(await same(rows)).toEqual(nothing);
  });
});
