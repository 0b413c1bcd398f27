import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LoadOptions } from '../../src/engine/model.ts';
import type { GenerateRow, Probe } from '../../src/engine/types.ts';
import { bitDifference } from '../helpers/numbers.ts';
import { collect, openTinyModel, randomIds, randomVector } from '../helpers/tiny-models.ts';

const [vocabSize, width] = [53, 24];
const project: Probe[] = [0, 2, 3].map((layer) => ({ layer, vector: randomVector(width, 'read', layer) }));
const options = { maxTokens: 7, project, capture: ['response_mean', 'prompt_last'] } as const;

/** Where a row with a given reply is not the row without it, or the reply's numbers are not those of a pass over both. */
async function differences(
  load: LoadOptions,
  lengths: readonly (readonly [number, number])[],
): Promise<string[]> {
  const tiny = await openTinyModel({ shape: { maxPositions: 4096 }, load });
  try {
    const rows = lengths.map(([prompt, read], i): GenerateRow => {
      const ids = randomIds(prompt, vocabSize, 'prompt', i);
      return { ids, ...(read > 0 && { read: randomIds(read, vocabSize, 'given', i) }) };
    });
    const results = await collect(tiny.model.generate(rows, options));
    const bare = await collect(
      tiny.model.generate(
        rows.map(({ ids }) => ({ ids })),
        options,
      ),
    );
    const given = rows.map(({ ids, read = [] }) => ({ ids: [...ids, ...read] }));
    const passes = await collect(tiny.model.forward(given, { project }));
    return rows.flatMap(({ ids, read }, i) => {
      const [row, alone] = [results[i]!, bare[i]!];
      const expected = passes[i]!.projections!.slice(ids.length * project.length);
      const found = [
        row.ids.join() === alone.ids.join() ? null : 'other tokens',
        bitDifference(row.projections, alone.projections),
        ...options.capture.map((pooling) => bitDifference(row.pooled[pooling], alone.pooled[pooling])),
        read === undefined ? (row.read === undefined ? null : 'read') : bitDifference(row.read, expected),
      ];
      return found.flatMap((one) => (one === null ? [] : [`row ${i}: ${one}`]));
    });
  } finally {
    await tiny.close();
  }
}

describe('a given reply that is read with its prompt', () => {
  it.each<LoadOptions>([{ threads: 2 }, { dtype: 'int8', blockSize: 128, threads: 2 }])(
    'has the bits of a pass over both, and leaves the row its own: %j',
    async (load) => {
      const anyLength = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 12 }));
      const anyLengths = fc.array(anyLength, { minLength: 1, maxLength: 5 });
      const property = fc.asyncProperty(anyLengths, async (lengths) => {
        expect(await differences(load, lengths)).toEqual([]);
      });
      await fc.assert(property, { numRuns: 8 });
    },
  );

  it('may reach over several pieces, and so may its prompt', async () => {
    const lengths = [
      [600, 900],
      [1101, 1020],
      [2047, 3],
      [300, 1],
      [300, 0],
      [8, 5],
    ] as const;
    expect(await differences({ threads: 2 }, lengths)).toEqual([]);
  });
});
