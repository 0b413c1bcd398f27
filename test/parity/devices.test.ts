/**
 * Another device gives what the processor gives, to rounding. It needs a graphics card, or a driver that computes as one would on
 * the processor, and runs where PERSONA_TEST_DEVICE names the device; see docs/devices.md.
 */

import { rm } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import { type Device, deviceOf } from '../../src/engine/device-name.ts';
import type { LanguageModel, LoadOptions } from '../../src/engine/model.ts';
import type { ForwardRow, Intervention } from '../../src/engine/types.ts';
import { loadAdapter } from '../../src/model/adapter.ts';
import { cosine } from '../../src/util/vectors.ts';
import { readGolden } from '../helpers/golden.ts';
import { relativeError } from '../helpers/numbers.ts';
import { randomFamilies, type RandomFamily } from '../helpers/random-model.ts';
import { hasShared } from '../helpers/shared.ts';
import { collect, randomIds, randomVector, tinyShape, writeTinyModel } from '../helpers/tiny-models.ts';

const named = process.env['PERSONA_TEST_DEVICE'];
const device: Device = deviceOf(undefined, { PERSONA_DEVICE: named });
const why = device === 'cpu' ? ' (skipped: PERSONA_TEST_DEVICE names no other device)' : '';

/** Between float32 programs, relative to a tensor's largest value, as the golden data promise. */
const tolerance = 1e-4;
/** Gemma 2 caps attention's scores at 50 by tanh, which WGSL promises to an absolute 1e-5 only: 5e-4 of a score. */
const tolerances: Readonly<Partial<Record<RandomFamily, number>>> = { gemma2: 5e-3 };

const { vocabSize, width } = tinyShape;
const interventions: readonly Intervention[] = [
  { layer: 1, vector: randomVector(width, 'a'), coef: 0.5 },
  { layer: 2, vector: randomVector(width, 'b'), ablate: true, positions: 'response' },
  { layer: 2, vector: randomVector(width, 'c'), coef: 0.3, keepNorm: true },
  { layer: 3, vector: randomVector(width, 'd'), max: 0.1, positions: 'prompt' },
];
const rows: readonly ForwardRow[] = [5, 12, 9].map((length, row) => ({
  ids: randomIds(length, vocabSize, row),
  responseStart: Math.floor(length / 2),
  ...(row === 1 ? { interventions } : {}),
}));

async function withModel<T>(
  folder: string,
  load: LoadOptions,
  use: (model: LanguageModel) => Promise<T>,
): Promise<T> {
  const model = await loadModel(folder, { threads: 1, ...load });
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}

describe.skipIf(device === 'cpu')(`a model on ${named ?? 'another device'}${why}`, () => {
  it.each(randomFamilies)('of the family %s gives the same numbers and tokens', async (family) => {
    const folder = await writeTinyModel({ shape: { family } });
    const allowed = device === 'webgpu' ? (tolerances[family] ?? tolerance) : tolerance;
    const run = (on: Device) =>
      withModel(folder, { device: on }, async (model) => ({
        read: await collect(
          model.forward(rows, {
            pool: ['response_mean', 'prompt_last'],
            project: [{ layer: 2, vector: randomVector(width, 'probe') }],
            tokens: true,
            logits: 'all',
            nll: true,
          }),
        ),
        written: await collect(
          model.generate(
            rows.map(({ ids, interventions: edits = [] }) => ({ ids, interventions: edits })),
            { maxTokens: 8, ignoreEos: true, capture: ['response_mean'] },
          ),
        ),
      }));
    const [ours, theirs] = [await run(device), await run('cpu')];
    for (const [i, expected] of theirs.read.entries()) {
      const found = ours.read[i]!;
      expect(relativeError(found.tokens, expected.tokens!)).toBeLessThan(allowed);
      expect(relativeError(found.logits, expected.logits!)).toBeLessThan(allowed);
      expect(relativeError(found.nll, expected.nll!)).toBeLessThan(allowed);
      expect(relativeError(found.projections, expected.projections!)).toBeLessThan(allowed);
      for (const pooling of ['response_mean', 'prompt_last'] as const)
        expect(relativeError(found.pooled[pooling], expected.pooled[pooling]!)).toBeLessThan(allowed);
    }
    for (const [i, expected] of theirs.written.entries()) {
      expect([...ours.written[i]!.ids]).toEqual([...expected.ids]);
      const pooled = ours.written[i]!.pooled.response_mean;
      expect(relativeError(pooled, expected.pooled.response_mean!)).toBeLessThan(allowed);
    }
    await rm(folder, { recursive: true });
  });

  it('gives the same numbers for long rows too, or refuses them', async () => {
    const folder = await writeTinyModel();
    const long = [{ ids: randomIds(50, vocabSize, 'long') }];
    const run = (on: Device) =>
      withModel(folder, { device: on }, async (model) =>
        collect(model.forward(long, { pool: ['prompt_mean'] })).then(
          ([row]) => row!.pooled.prompt_mean!,
          (error: unknown) => (error as Error).message,
        ),
      );
    const [ours, theirs] = [await run(device), (await run('cpu')) as Float32Array];
    const isRefused = typeof ours === 'string' && ours.includes('attention over more than 30 positions');
    expect(isRefused || relativeError(ours as Float32Array, theirs) < tolerance).toBe(true);
    await rm(folder, { recursive: true });
  });

  it('keeps rows apart that end and join while others run', async () => {
    const folder = await writeTinyModel();
    const prompts = Array.from({ length: 7 }, (_, row) => randomIds(3 + row, vocabSize, 'joins', row));
    const run = (on: Device) =>
      withModel(folder, { device: on }, async (model) => {
        const call = (from: number, maxTokens: number) =>
          collect(
            model.generate(
              prompts.slice(from, from + 4).map((ids, i) => ({
                ids,
                ...(i === 1 ? { interventions: [...interventions] } : {}),
              })),
              { maxTokens, ignoreEos: true, batchRows: 2, stop: [] },
            ),
          );
        const [long, short] = await Promise.all([call(0, 14), call(3, 5)]);
        return [...long, ...short].map(({ ids }) => [...ids]);
      });
    expect(await run(device)).toEqual(await run('cpu'));
    await rm(folder, { recursive: true });
  });

  it.skipIf(!hasShared)('with an adapter that PEFT trained gives the same numbers', async () => {
    const golden = await readGolden('qwen2');
    const run = (on: Device) =>
      withModel(golden.folder, { device: on }, async (model) => {
        const adapter = await loadAdapter(`${golden.folder}/lora-plain-final`, model.checkpoint.config);
        const short = golden.rows.map(({ ids }) => ({ ids: ids.slice(0, 30) }));
        const [plain, adapted] = [
          await collect(model.forward(short, { logits: 'last' })),
          await collect(model.forward(short, { logits: 'last', adapter })),
        ];
        return { plain, adapted };
      });
    const [ours, theirs] = [await run(device), await run('cpu')];
    for (const [i, { logits }] of theirs.adapted.entries()) {
      expect(relativeError(ours.adapted[i]!.logits, logits!)).toBeLessThan(tolerance);
      expect(relativeError(ours.plain[i]!.logits, logits!)).toBeGreaterThan(tolerance);
    }
  });

  it.each(['int8', 'int4'] as const)('in %s is as near as rounding of activations allows', async (dtype) => {
    const folder = await writeTinyModel({ shape: { width: 64, mlpWidth: 64 } });
    const run = (on: Device) =>
      withModel(folder, { dtype, device: on }, async (model) => {
        const read = await collect(model.forward(rows.slice(2), { pool: ['response_mean'] }));
        return read.map(({ pooled }) => pooled.response_mean!.subarray(64));
      });
    const [ours, theirs] = [await run(device), await run('cpu')];
    // The processor rounds activations to 8 bits for such products, which a graphics card does not.
    for (const [i, expected] of theirs.entries()) expect(cosine(ours[i]!, expected)).toBeGreaterThan(0.999);
    await rm(folder, { recursive: true });
  });
});
