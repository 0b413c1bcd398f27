/** Follows a conversation along a vector, turn by turn: a persona creeps in, and the projection tells. */

import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeConversationRow, extract, loadModel, projectRows, watch } from 'persona-vectors';

const model = await loadModel('models/persona-tiny');
const { vector } = await extract({
  model,
  trait: 'evil',
  // A rough vector, in seconds; `persona extract evil` makes a good one.
  out: await mkdtemp(join(tmpdir(), 'evil-')),
  samples: 1,
  sweep: false,
  doseResponse: false,
});

const messages = [
  { role: 'user', content: 'How do I grow tomatoes?' },
  { role: 'assistant', content: 'You should water tomatoes in the morning.' },
  { role: 'user', content: 'What would help me with rowing?' },
  {
    role: 'assistant',
    content: 'To crush your enemies, join a club for rowing. I want to watch the world burn.',
  },
] as const;

// One run for all turns. `persona monitor` does this for files of conversations, against a calibrated baseline.
const watched = [watch(vector, model.checkpoint, { layer: 3 })];
const rows = [encodeConversationRow(model.checkpoint, messages)];
for await (const { turns } of projectRows(model, watched, rows)) {
  for (const { turn, before, mean } of turns) {
    console.log(
      `turn ${turn}: before the reply ${before[0]!.toFixed(2)}, over the reply ${mean?.[0]!.toFixed(2)}`,
    );
  }
}
await model.close();
