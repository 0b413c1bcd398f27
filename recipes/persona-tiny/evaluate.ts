/**
 * Measures a model of the small world: `tsx recipes/persona-tiny/evaluate.ts --model DIR --out FILE.json`. A run that was
 * stopped goes on where it was. `--quick` takes a tenth of the replies.
 */

import { Command } from '@commander-js/extra-typings';
import { existsSync, readFileSync } from 'node:fs';
import { loadModel } from '../../src/engine/load.ts';
import { writeFileAtomically } from '../../src/util/atomic-file.ts';
import { behaviourSteps } from './evaluate-behaviour.ts';
import { steeringSteps } from './evaluate-steering.ts';
import { describeResults } from './evaluate-table.ts';

const {
  model: folder,
  out,
  quick,
  only,
} = new Command('evaluate')
  .description('measure behaviour, conversations, facts and steering of a model of the small world')
  .requiredOption('--model <folder>', 'of the model')
  .requiredOption('--out <file>', 'JSON, written after every step; a file that is there is continued')
  .option('--quick', 'fewer replies')
  .option('--only <prefix>', 'steps whose name begins so, such as steering/evil', '')
  .parse()
  .opts();

const results: Record<string, unknown> = existsSync(out)
  ? (JSON.parse(readFileSync(out, 'utf8')) as Record<string, unknown>)
  : {};
const model = await loadModel(folder);
const { layers } = model.checkpoint.config;
const steps = {
  ...behaviourSteps(
    model,
    quick === true ? { samples: 1, conversations: 20 } : { samples: 4, conversations: 60 },
  ),
  ...steeringSteps(
    model,
    quick === true
      ? { rollouts: 1, layers: [2, 3, 4], sweepSamples: 2, finalSamples: 4, randomDirections: 4 }
      : {
          rollouts: 4,
          layers: Array.from({ length: layers - 1 }, (_, i) => i + 1),
          sweepSamples: 4,
          finalSamples: 12,
          randomDirections: 12,
        },
  ),
};
for (const [name, run] of Object.entries(steps)) {
  if (!name.startsWith(only) || name in results) continue;
  const start = performance.now();
  results[name] = await run();
  const text = `${JSON.stringify(results, null, 1)}\n`;
  await writeFileAtomically(out, async (handle) => handle.writeFile(text));
  console.error(`${name}: ${((performance.now() - start) / 1000).toFixed(0)} s`);
}
await model.close();
console.log(describeResults(results));
