import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import type { ForwardResult, Generated, GenerateRow, Intervention, Probe } from '../../src/engine/types.ts';
import { referenceForward } from '../../src/engine/reference.ts';
import { dot } from '../../src/util/vectors.ts';
import { bitDifference, relativeError } from '../helpers/numbers.ts';
import {
  anyInterventions,
  collect,
  openTinyModel,
  randomIds,
  randomVector,
  type TinyModel,
} from '../helpers/tiny-models.ts';

const seed = 20_261_126;
let tiny: TinyModel;
beforeAll(async () => {
  tiny = await openTinyModel({ load: { threads: 2 } });
});
afterAll(() => tiny.close());

const width = 24;
const [layers, vocabSize] = [3, 53];
const probe = (layer: number, ...name: (string | number)[]): Probe => ({
  layer,
  vector: randomVector(width, layer, ...name),
});

/** The same from every token's residuals. */
function byHand({ tokens }: ForwardResult, probes: readonly Probe[]): number[] {
  const size = (layers + 1) * width;
  return Array.from({ length: tokens!.length / size }, (_, i) =>
    probes.map(({ layer, vector }) => {
      const at = i * size + layer * width;
      return dot(tokens!.subarray(at, at + width), vector) / Math.sqrt(dot(vector, vector));
    }),
  ).flat();
}

const anyProbes = fc.array(
  fc.record({ layer: fc.nat(layers), vector: fc.nat(5).map((n) => randomVector(width, 'probe', n)) }),
  { minLength: 1, maxLength: 6 },
);
const anyIds = fc.array(fc.nat(vocabSize - 1), { minLength: 1, maxLength: 20 });

describe('projections of given text', () => {
  it('are those of the residuals after the interventions, at any layer', async () => {
    const many = Array.from({ length: 30 }, (_, i) => probe(i < 12 ? 2 : i % 4, i));
    const interventions: Intervention[] = [{ layer: 2, vector: randomVector(width, 'steer'), coef: 1.5 }];
    const rows = [9, 4].map((length) => ({ ids: randomIds(length, vocabSize, length), interventions }));
    for (const result of await collect(tiny.model.forward(rows, { project: many, tokens: true }))) {
      expect(result.projections).toHaveLength(rows[result.index]!.ids.length * many.length);
      expect(relativeError(result.projections, byHand(result, many))).toBeLessThan(1e-5);
    }
  });

  it('are the same to the bit whatever rows share the batch, and change nothing else', async () => {
    const property = fc.asyncProperty(
      fc.array(fc.record({ ids: anyIds, interventions: anyInterventions({ layers, width }, 3) }), {
        minLength: 2,
        maxLength: 6,
      }),
      anyProbes,
      async (rows, project) => {
        const together = await collect(tiny.model.forward(rows, { project, logits: 'all' }));
        for (const [i, row] of rows.entries()) {
          const [alone] = await collect(tiny.model.forward([row], { project }));
          const [without] = await collect(tiny.model.forward([row], { logits: 'all' }));
          expect(bitDifference(together[i]!.projections, alone!.projections)).toBeNull();
          expect(bitDifference(together[i]!.logits, without!.logits)).toBeNull();
        }
      },
    );
    await fc.assert(property, { numRuns: 25, seed });
  });

  it('refuse a direction of another model', async () => {
    const run = (wrong: Probe): Promise<unknown> =>
      collect(tiny.model.forward([{ ids: [1] }], { project: [wrong] }));
    await expect(run({ layer: 9, vector: randomVector(width) })).rejects.toThrow(
      'probe 1: expected a layer from 0 to 3',
    );
    await expect(run({ layer: 1, vector: [1, 2] })).rejects.toThrow("the model's width 24, got 2 numbers");
    await expect(run({ layer: 1, vector: new Float32Array(width) })).rejects.toThrow('not all zeros');
    const project = Array.from({ length: 17 }, (_, i) => probe(2, i));
    await expect(collect(tiny.model.forward([{ ids: [1] }], { project }))).rejects.toThrow(
      'at most 16 directions',
    );
  });
});

const sampling = { maxTokens: 12, temperature: 1.5, seed: 7, ignoreEos: true } as const;

describe('projections of a reply', () => {
  it('begin with the last prompt token and are those of a pass over the whole', async () => {
    const project = [probe(0, 'a'), probe(2, 'b'), probe(3, 'c')];
    const ids = randomIds(7, vocabSize, 'prompt');
    const events: number[][] = [];
    const options = { ...sampling, project, onToken: onProjections(events) };
    const [reply] = await collect(tiny.model.generate([{ ids }], options));
    const [pass] = await collect(tiny.model.forward([{ ids: [...ids, ...reply!.ids] }], { project }));
    const expected = pass!.projections!.subarray((ids.length - 1) * project.length);
    expect(reply!.projections).toHaveLength((1 + reply!.ids.length) * project.length);
    expect(relativeError(reply!.projections, expected)).toBeLessThan(1e-4);
    // A token comes with the state that it was drawn from.
    expect(events.flat()).toEqual([...reply!.projections!.subarray(0, reply!.ids.length * project.length)]);
  });
});

function onProjections(events: number[][]) {
  return ({ projections }: { readonly projections?: Float32Array }): void => {
    if (projections !== undefined) events.push([...projections]);
  };
}

async function replies(rows: readonly GenerateRow[], project?: readonly Probe[]): Promise<Generated[]> {
  return collect(tiny.model.generate(rows, { ...sampling, ...(project && { project }) }));
}

describe('interventions under a condition', () => {
  const [steer, look] = [randomVector(width, 'steer'), probe(2, 'look')];
  const ids = randomIds(6, vocabSize, 'prompt');
  const key = 'one';

  it('are those without a condition on the reply, where it always holds', async () => {
    const when = { ...look, above: -1e9 };
    const [conditional] = await replies([
      { ids, key, interventions: [{ layer: 1, vector: steer, coef: 3, when }] },
    ]);
    // Only the reply's tokens are steered: the last prompt token decides, and is not steered itself.
    const given = { ids: [...ids, ...conditional!.ids], responseStart: ids.length + 1 };
    const [pass] = await collect(
      tiny.model.forward(
        [{ ...given, interventions: [{ layer: 1, vector: steer, coef: 3, positions: 'response' }] }],
        { project: [look] },
      ),
    );
    const [watched] = await replies(
      [{ ids, key, interventions: [{ layer: 1, vector: steer, coef: 3, when }] }],
      [look],
    );
    expect(watched!.ids).toEqual(conditional!.ids);
    expect(relativeError(watched!.projections, pass!.projections!.subarray(ids.length - 1))).toBeLessThan(
      1e-4,
    );
  });

  it('are nothing at all, to the bit, where it never holds', async () => {
    const when = { ...look, above: 1e9 };
    const [conditional] = await replies(
      [{ ids, key, interventions: [{ layer: 1, vector: steer, coef: 3, when }] }],
      [look],
    );
    const [plain] = await replies([{ ids, key }], [look]);
    expect(conditional!.ids).toEqual(plain!.ids);
    expect(bitDifference(conditional!.projections, plain!.projections)).toBeNull();
  });

  it('begin with the token after the one that decided', async () => {
    const [plain] = await replies([{ ids, key }], [look]);
    const seen = [...plain!.projections!];
    // The highest projection of the first tokens is the only one above the threshold.
    const decider = seen.slice(0, 6).indexOf(Math.max(...seen.slice(0, 6)));
    const second = Math.max(...seen.slice(0, 6).filter((_, i) => i !== decider));
    const when = { ...look, above: (seen[decider]! + second) / 2 };
    const [steered] = await replies(
      [{ ids, key, interventions: [{ layer: 2, vector: look.vector, coef: 40, when }] }],
      [look],
    );
    const differs = [...steered!.projections!].findIndex((value, i) => value !== seen[i]);
    expect(differs).toBe(decider + 1);
  });

  it('leave a row its bits in a batch of rows that are steered otherwise', async () => {
    const anyRow = fc.record({
      ids: anyIds,
      threshold: fc.integer({ min: -8, max: 8 }),
      coef: fc.constantFrom(0, 1, -4),
      keepNorm: fc.boolean(),
      kind: fc.constantFrom('none', 'plain', 'conditional'),
    });
    const property = fc.asyncProperty(fc.array(anyRow, { minLength: 2, maxLength: 6 }), async (specs) => {
      const rows = specs.map(({ ids: prompt, threshold, coef, keepNorm, kind }, i): GenerateRow => {
        const when = { ...look, above: threshold / 4 };
        const one: Intervention = {
          layer: 2,
          vector: steer,
          coef,
          positions: 'response',
          ...(keepNorm && { keepNorm }),
          ...(kind === 'conditional' && { when }),
        };
        return { ids: prompt, key: `row ${i}`, ...(kind !== 'none' && { interventions: [one] }) };
      });
      const together = await replies(rows, [look]);
      for (const [i, row] of rows.entries()) {
        const [alone] = await replies([row], [look]);
        expect(together[i]!.ids).toEqual(alone!.ids);
        expect(bitDifference(together[i]!.projections, alone!.projections)).toBeNull();
        if (specs[i]!.coef !== 0) continue;
        const [unsteered] = await replies([{ ids: row.ids, key: row.key! }], [look]);
        expect(together[i]!.ids).toEqual(unsteered!.ids);
        expect(bitDifference(together[i]!.projections, unsteered!.projections)).toBeNull();
      }
    });
    await fc.assert(property, { numRuns: 10, seed });
  });

  it('are refused where all tokens are run at once', async () => {
    const when = { ...look, above: 0 };
    const run = collect(
      tiny.model.forward([{ ids, interventions: [{ layer: 1, vector: steer, coef: 1, when }] }]),
    );
    await expect(run).rejects.toThrow(UsageError);
    await expect(run).rejects.toThrow('decided token by token');
  });

  it.each([
    [{ ...look }, 'expected "above", "below", or both'],
    [{ ...look, above: 2, below: 1 }, 'got above 2 and below 1'],
    [{ layer: 7, vector: steer, above: 0 }, 'intervention 1, condition: expected a layer'],
  ])('are refused with a condition that says nothing: %#', async (when, sentence) => {
    await expect(
      replies([{ ids, interventions: [{ layer: 1, vector: steer, coef: 1, when }] }]),
    ).rejects.toThrow(sentence);
  });
});

describe('an addition that keeps the norm', () => {
  it('turns the residual and leaves its length', async () => {
    const row = { ids: randomIds(8, vocabSize, 'x') };
    const vector = randomVector(width, 'steer');
    const steered = { ...row, interventions: [{ layer: 3, vector, coef: 2, keepNorm: true }] as const };
    const [before, after] = await collect(tiny.model.forward([row, steered], { tokens: true }));
    const at = (result: ForwardResult | undefined, i: number): Float32Array =>
      result!.tokens!.subarray((i * 4 + 3) * width, (i * 4 + 4) * width);
    for (let i = 0; i < row.ids.length; i++) {
      const [h, turned] = [at(before, i), at(after, i)];
      expect(dot(turned, turned)).toBeCloseTo(dot(h, h), 4);
      expect(dot(turned, vector)).toBeGreaterThan(dot(h, vector));
    }
  });
});

describe('earlier replies', () => {
  const vector = randomVector(width, 'steer');
  const interventions: Intervention[] = [{ layer: 1, vector, coef: 2, positions: 'response' }];
  const ids = randomIds(16, vocabSize, 'talk');
  const look = probe(3, 'look');

  it('are read unsteered unless asked for, and as a kept cache has them where asked for', async () => {
    const steeredReplies = [{ start: 4, end: 9 }];
    const [clean, kept] = await replies(
      [
        { ids, interventions },
        { ids, key: 'kept', interventions, steeredReplies },
      ],
      [look],
    );
    const [alone] = await replies([{ ids, key: 'kept', interventions, steeredReplies }], [look]);
    expect(bitDifference(kept!.projections, alone!.projections)).toBeNull();
    expect(kept!.projections![0]).not.toBe(clean!.projections![0]);
    // By the reference: from the token that leads into the earlier reply to its end, and at the last of the prompt.
    const byMask = referenceAt(ids, interventions, [4, 5, 6, 7, 8, 15], look);
    expect(kept!.projections![0]).toBeCloseTo(byMask, 4);
  });

  it('are refused outside the prompt', async () => {
    await expect(replies([{ ids, interventions, steeredReplies: [{ start: 4, end: 99 }] }])).rejects.toThrow(
      'row 1: expected earlier replies within the prompt of 16 tokens, got 4 to 99',
    );
  });
});

/** The last token's projection with the edits at token 3 and at `places` behind it, by the reference. */
function referenceAt(
  ids: readonly number[],
  interventions: readonly Intervention[],
  places: readonly number[],
  { layer, vector }: Probe,
): number {
  const row = {
    ids,
    responseStart: 4,
    interventions: interventions.map((one) => ({ ...one, positions: 'boundary' as const })),
  };
  // `boundary` acts at the last prompt token, here token 3, and asks of every token behind it, in order, whether it ends a sentence.
  let at = row.responseStart;
  const { tokens } = referenceForward(tiny.config, tiny.weights, row, {
    endsSentence: () => places.includes(at++),
  });
  const start = ((ids.length - 1) * (layers + 1) + layer) * width;
  return dot(tokens.subarray(start, start + width), vector) / Math.sqrt(dot(vector, vector));
}
