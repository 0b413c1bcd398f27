/** Runs one small training on the fake trainer: `train-child.ts CONFIG`. For tests that kill it. */

import { setTimeout as sleep } from 'node:timers/promises';
import { train } from '../../src/training/train.ts';
import { fakeTrainer } from './fake-trainer.ts';

const [config, vocabulary] = process.argv.slice(2) as [string, string];
process.stdout.write('ready\n');
await train({
  config,
  createTrainer: async () => {
    const trainer = fakeTrainer(Number(vocabulary));
    // Slow enough that a kill falls into any part of a step.
    return {
      ...trainer,
      update: async (options) => {
        await sleep(3);
        return trainer.update(options);
      },
    };
  },
});
