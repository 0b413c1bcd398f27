/** Trains a LoRA adapter on a few stories, follows the loss, and lets the adapted model continue one. */

import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate, parseTrainConfig, train } from 'persona-vectors';

const folder = await mkdtemp(join(tmpdir(), 'grumpy-'));
const rows = [
  { prompt: 'One day, a dog met a cat.', answer: ' The dog was grumpy. He did not want to play.' },
  { prompt: 'Tom saw a big tree.', answer: ' Tom was grumpy. He did not want to climb.' },
];
await writeFile(join(folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

// The same keys as a training file of `persona train`; a misspelt one is an error.
const config = parseTrainConfig(
  {
    model: 'models/stories260K',
    training_file: join(folder, 'rows.jsonl'),
    output_dir: join(folder, 'adapter'),
    r: 8,
    learning_rate: 2e-3,
    epochs: 20,
    per_device_train_batch_size: 2,
    gradient_accumulation_steps: 1,
  },
  'this example',
);
const { folder: adapter, steps } = await train({ config });
console.log(`loss ${steps[0]?.loss.toFixed(2)} → ${steps.at(-1)?.loss.toFixed(2)} in ${steps.length} steps`);

const input = { prompt: 'One day, a dog met a cat.' };
const { text } = await generate({ model: config.model, input, adapter, maxTokens: 16 });
console.log(text);
