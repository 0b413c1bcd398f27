import { expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { Evaluator } from '../../src/training/evaluator.ts';
import { FrozenWeights } from '../../src/training/frozen-weights.ts';
import { loraTrainable } from '../../src/training/lora.ts';
import { RotaryFeeds } from '../../src/training/token-feeds.ts';
import { goldenFamilies, readGolden } from '../helpers/golden.ts';
import { relativeError } from '../helpers/numbers.ts';
import { describeWithShared } from '../helpers/shared.ts';
import { prepareWeights } from '../../src/engine/quantised-weights.ts';
import { goldenTrainingRows } from '../helpers/training-rows.ts';

describeWithShared('the forward pass of training against Hugging Face', () => {
  it.each(goldenFamilies)('%s: losses and pooled residuals', async (family) => {
    const golden = await readGolden(family);
    const checkpoint = await loadCheckpoint(golden.folder);
    const { config } = checkpoint;
    const weights = await prepareWeights(checkpoint, null);
    const trainable = await loraTrainable(checkpoint, { kind: 'lora', rank: 4, alpha: 8 }, 0);
    const frozen = await FrozenWeights.load(weights);
    const model = { checkpoint, config, weights, trainable, frozen };
    const evaluator = new Evaluator(model, new RotaryFeeds(config), 1);
    const rows = goldenTrainingRows(golden.rows);
    const result = await evaluator.run(rows, 'response_mean');
    golden.rows.forEach((row, i) => {
      const nll = row.nll.reduce((sum, x) => sum + x, 0);
      expect(Math.abs(result.rowLosses[i]! / nll - 1)).toBeLessThan(1e-5);
      expect(relativeError(result.pooled[i]!.slice(config.width), row.pooled.response_mean)).toBeLessThan(
        1e-4,
      );
    });
    await evaluator.close();
  });
});
