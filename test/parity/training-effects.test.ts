import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import type { Intervention } from '../../src/engine/types.ts';
import { loadAdapter } from '../../src/model/adapter.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { createTrainer } from '../../src/training/create-trainer.ts';
import { measureEffect } from '../../src/training/effect.ts';
import { mergeAdapter } from '../../src/training/merge-adapter.ts';
import { relativeError } from '../helpers/numbers.ts';
import { collect, randomIds, randomVector, tinyShape, writeTinyModel } from '../helpers/tiny-models.ts';
import { randomiseParameters, smallLora, trainSteps } from '../helpers/tiny-trainer.ts';
import { randomRows, trainingRow } from '../helpers/training-rows.ts';

const { vocabSize, width } = tinyShape;
const layer = 2;
const vector = randomVector(width, 'trait');
const steer = (coef: number): Intervention => ({ layer, vector, coef });

async function tinyFolder(shardBytes?: number): Promise<string> {
  const folder = await writeTinyModel(shardBytes === undefined ? {} : { shardBytes });
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Rows whose responses are what the model says while it is steered along +v: data that ask for more of v. */
async function steeredRows(folder: string) {
  const model = await loadModel(folder);
  const prompts = Array.from({ length: 6 }, (_, i) => randomIds(6, vocabSize, 'prompt', i));
  const rows = prompts.map((ids) => ({ ids, interventions: [steer(1)] }));
  const replies = await collect(model.generate(rows, { maxTokens: 16, ignoreEos: true }));
  await model.close();
  return prompts.map((ids, i) => trainingRow(`row ${i}`, [...ids, ...replies[i]!.ids], ids.length));
}

describe('preventative steering', () => {
  it('protects along +v, and along −v does not: the shift of the projection tells', async () => {
    const folder = await tinyFolder();
    const checkpoint = await loadCheckpoint(folder);
    const rows = await steeredRows(folder);
    const shift = async (coef: number): Promise<number> => {
      const trainer = await createTrainer(checkpoint, {
        method: { kind: 'lora', rank: 4, alpha: 8 },
        interventions: coef === 0 ? [] : [steer(coef)],
        threads: 1,
      });
      const along = async (): Promise<number> => {
        const { pooled } = await trainer.evaluate(rows, { pool: 'response_mean' });
        const dots = pooled.map((row) => vector.reduce((sum, v, j) => sum + v * row[layer * width + j]!, 0));
        return dots.reduce((a, b) => a + b, 0) / dots.length / Math.hypot(...vector);
      };
      const before = await along();
      await trainSteps(trainer, rows, 40, 0.005);
      const after = await along();
      await trainer.close();
      return after - before;
    };
    const [plain, toward, away] = [await shift(0), await shift(1), await shift(-1)];
    expect(plain).toBeGreaterThan(0);
    expect(toward).toBeLessThan(0.5 * plain);
    expect(away).toBeGreaterThan(plain);
  });
});

describe('the effect report', () => {
  it('says how far each layer moved, from the steered one on, and that the rows ask for v', async () => {
    const folder = await tinyFolder();
    const rows = await steeredRows(folder);
    const options = { method: smallLora, interventions: [steer(1)], threads: 1 };
    const report = await measureEffect(await loadCheckpoint(folder), options, rows);
    const length = Math.hypot(...vector);
    expect(report.unmoved).toEqual([]);
    expect(report.layers.map(({ moved }) => moved > 0)).toEqual([false, true, true]);
    expect(Math.abs(report.layers[1]!.moved / length - 1)).toBeLessThan(1e-5);
    expect(Math.abs(report.layers[1]!.projectionChange! / length - 1)).toBeLessThan(1e-5);
    // Along v the loss falls, and steering takes that away: the data find nothing left to ask for.
    const { without, with: steered } = report.layers[1]!.gradientCosine!;
    expect(without).toBeLessThan(0);
    expect(steered).toBeGreaterThan(without);
    expect(report.loss.with).toBeLessThan(report.loss.without);
  });

  it('names a layer whose interventions move nothing', async () => {
    const checkpoint = await loadCheckpoint(await tinyFolder());
    const interventions = [{ layer: 3, vector, max: 1e6 }];
    const rows = randomRows([9, 7], vocabSize, 'nothing');
    const report = await measureEffect(checkpoint, { method: smallLora, interventions, threads: 1 }, rows);
    expect(report.unmoved).toEqual([3]);
  });
});

describe('a merged adapter', () => {
  it.each([undefined, 4000])(
    'computes what the model computes with it beside (shards of %s bytes)',
    async (shardBytes) => {
      const folder = await tinyFolder(shardBytes);
      const checkpoint = await loadCheckpoint(folder);
      const trainer = await createTrainer(checkpoint, { method: smallLora, threads: 1 });
      randomiseParameters(trainer);
      const [adapter, output] = [join(folder, 'adapter'), join(folder, 'merged')];
      await trainer.save(adapter);
      await trainer.close();
      const { merged } = await mergeAdapter({ model: folder, adapter, output });
      expect(merged).toBe(7 * tinyShape.layers);
      const rows = [{ ids: randomIds(12, vocabSize, 'merged') }];
      const [base, whole] = [await loadModel(folder), await loadModel(output)];
      const options = { logits: 'all' } as const;
      const beside = await collect(
        base.forward(rows, { ...options, adapter: await loadAdapter(adapter, checkpoint.config) }),
      );
      const [alone, plain] = [
        await collect(whole.forward(rows, options)),
        await collect(base.forward(rows, options)),
      ];
      expect(relativeError(alone[0]!.logits, beside[0]!.logits!)).toBeLessThan(1e-4);
      expect(relativeError(alone[0]!.logits, plain[0]!.logits!)).toBeGreaterThan(1e-2);
      await Promise.all([base.close(), whole.close()]);
      await expect(mergeAdapter({ model: folder, adapter, output: folder })).rejects.toThrow(
        /other than the model's own/,
      );
    },
  );
});
