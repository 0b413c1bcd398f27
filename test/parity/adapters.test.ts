import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import type { LanguageModel } from '../../src/engine/model.ts';
import { referenceForward, referenceNll } from '../../src/engine/reference.ts';
import { type Adapter, loadAdapter } from '../../src/model/adapter.ts';
import type { ModelWeights } from '../../src/model/weights.ts';
import { adapterFamilies, type Golden, readGolden } from '../helpers/golden.ts';
import { relativeError } from '../helpers/numbers.ts';
import { readAllWeights } from '../helpers/reference-weights.ts';
import { describeWithShared } from '../helpers/shared.ts';
import { collect } from '../helpers/tiny-models.ts';

/** What the data promise for losses. */
const lossTolerance = 1e-5;
/** Float32 on the engine against Float64 in the reference. */
const tolerance = 1e-4;

interface TrainingRecord {
  /** Before each of the six steps. */
  readonly losses: readonly number[];
}

describeWithShared('LoRA adapters that PEFT trained', () => {
  describe.each(adapterFamilies)('%s', (family) => {
    let golden: Golden;
    let model: LanguageModel;
    let weights: ModelWeights<Float32Array>;
    let training: TrainingRecord;
    let initial: Adapter;
    let final: Adapter;
    beforeAll(async () => {
      golden = await readGolden(family);
      model = await loadModel(golden.folder);
      const { config, weights: sources } = model.checkpoint;
      weights = await readAllWeights(sources);
      training = JSON.parse(await readFile(`${golden.folder}/lora-plain.json`, 'utf8')) as TrainingRecord;
      initial = await loadAdapter(`${golden.folder}/lora-init`, config);
      final = await loadAdapter(`${golden.folder}/lora-plain-final`, config);
    });
    afterAll(() => model.close());

    /** Mean loss over the response tokens of all rows. */
    const lossOf = (nll: readonly ArrayLike<number>[]): number => {
      const all = golden.rows.flatMap((row, i) => Array.from(nll[i]!).slice(row.responseStart));
      return all.reduce((sum, value) => sum + value, 0) / all.length;
    };
    const engineLoss = async (adapter: Adapter): Promise<number> => {
      const results = await collect(model.forward(golden.rows, { nll: true, adapter }));
      return lossOf(results.map((result) => result.nll!));
    };

    it('give the loss that training began with', async () => {
      const { config } = model.checkpoint;
      const nll = golden.rows.map((row) =>
        referenceNll(config, referenceForward(config, weights, row, { adapter: initial }).logits, row),
      );
      expect(relativeError([lossOf(nll)], [training.losses[0]!])).toBeLessThan(lossTolerance);
      expect(relativeError([await engineLoss(initial)], [training.losses[0]!])).toBeLessThan(lossTolerance);
    });

    it('give a lower loss after the last step than before it', async () => {
      expect(await engineLoss(final)).toBeLessThan(training.losses.at(-1)!);
    });

    it('give what the reference gives', async () => {
      const { config } = model.checkpoint;
      const options = { tokens: true, logits: 'all', adapter: final } as const;
      const results = await collect(model.forward(golden.rows, options));
      for (const [i, row] of golden.rows.entries()) {
        const expected = referenceForward(config, weights, row, { adapter: final });
        expect(relativeError(results[i]!.tokens, expected.tokens)).toBeLessThan(tolerance);
        expect(relativeError(results[i]!.logits, expected.logits)).toBeLessThan(tolerance);
      }
    });
  });
});
