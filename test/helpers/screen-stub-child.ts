/**
 * Screens a file of rows in mode `raw` on a model without arithmetic: `screen-stub-child.ts DATA VECTOR OUT`. Prints the
 * memory that it held before the first row and at most, in bytes. For tests that kill it, and for the measurement of millions
 * of rows.
 */

import { screen } from '../../src/apps/screen/screen.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { stubModel } from './stub-model.ts';
import { storiesModel } from './stories-model.ts';

const [data, vector, out] = process.argv.slice(2) as [string, string, string];
await loadCheckpoint(storiesModel);
let before = 0;
const { manifest } = await screen({
  model: storiesModel,
  data: [data],
  vectors: [vector],
  out,
  mode: 'raw',
  load: (checkpoint) => {
    before = process.memoryUsage.rss();
    return stubModel(checkpoint);
  },
  onProgress: (step, done) => process.stdout.write(`${step} ${done}\n`),
});
const most = process.resourceUsage().maxRSS * 1024;
process.stdout.write(`${JSON.stringify({ samples: manifest.counts['samples'], before, most })}\n`);
