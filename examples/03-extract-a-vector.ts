/** Extracts the vector of a mood with few rollouts, and says how long it is at every layer. */

import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { extract, loadModel } from 'persona-vectors';

const model = await loadModel('models/stories260K');

const { vector, counts, folder } = await extract({
  model,
  trait: 'cheerful',
  // A run folder: stop the program and start it again, and it continues there.
  out: await mkdtemp(join(tmpdir(), 'cheerful-')),
  samples: 1,
  // The measurements take longer than the vector; `persona extract` makes them.
  sweep: false,
  doseResponse: false,
  // Below 30 pairs a vector is mostly noise, which is fine for looking around.
  force: true,
});

console.log(`${counts.kept} of ${counts.pairs} pairs of stories were opposite enough`);
for (let layer = 1; layer <= vector.layers; layer++) {
  console.log(
    `layer ${layer} (resid_post of block ${layer} of ${vector.layers}): norm ${vector.norm(layer).toFixed(2)}`,
  );
}
console.log(`the run is in ${folder}`);

await model.close();
