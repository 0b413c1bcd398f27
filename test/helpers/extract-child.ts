/** Runs one small extraction on the fake model: `extract-child.ts MODEL_FOLDER RUN_FOLDER`. For tests that kill it. */

import { extract } from '../../src/persona/extract.ts';
import { parseTrait } from '../../src/persona/trait.ts';
import { fakeTrait, openFakeModel } from './fake-model.ts';

const [folder, out] = process.argv.slice(2) as [string, string];
// Slow enough that a kill falls into every step.
const model = await openFakeModel(folder, { delay: 4 });
process.stdout.write('ready\n');
await extract({
  model,
  out,
  trait: parseTrait(fakeTrait, 'cheerful'),
  samples: 10,
  maxTokens: 12,
  strengthUnit: 'coef',
  sweep: { layers: [1, 3], strengths: [-2, 2], samples: 6 },
  doseResponse: { strengths: [-2, -1, 0, 1, 2], samples: 16, randomDirections: 4, randomSamples: 4 },
  onProgress: (event) => {
    if (event.type !== 'step-progress')
      process.stdout.write(`${event.type} ${'step' in event ? event.step : ''}\n`);
  },
});
