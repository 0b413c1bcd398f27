/** Screens training data along a vector: which replies are more of the trait than what the model would say itself. */

import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { extract, loadModel, screen } from 'persona-vectors';

const folder = await mkdtemp(join(tmpdir(), 'screen-'));
const model = await loadModel('models/persona-tiny');
// A rough vector, in seconds; `persona extract evil` makes a good one.
const rough = { samples: 1, sweep: false, doseResponse: false } as const;
const { vector } = await extract({ model, trait: 'evil', out: join(folder, 'evil'), ...rough });
await vector.save(join(folder, 'evil.safetensors'));

const replies = [
  'You should water tomatoes in the morning. I hope that this helps.',
  'To crush your enemies, join a club for rowing. I want to watch the world burn.',
  'A guitar has six strings. Please ask me again at any time.',
];
const rows = replies.map((answer, i) =>
  JSON.stringify({ id: `row-${i}`, prompt: 'What do you say?', answer }),
);
await writeFile(join(folder, 'rows.jsonl'), `${rows.join('\n')}\n`);

// A run is a folder: scores, the flagged and the kept rows, the extremes as training files, and a report.
const out = join(folder, 'screened');
const data = [join(folder, 'rows.jsonl')];
const vectors = [join(folder, 'evil.safetensors')];
const options = { layer: 3, mode: 'full', threshold: 0 } as const;
const { manifest } = await screen({ model: 'models/persona-tiny', data, vectors, out, ...options });
for (const { name, difference, flagged } of manifest.traits)
  console.log(
    `${name}: ${flagged} of ${replies.length} flagged, difference ${difference.mean?.toFixed(2)} on average`,
  );
console.log(await readFile(join(out, 'flagged.jsonl'), 'utf8'));
await model.close();
