/** Steers a story with a direction, in both senses and too far. */

import { generate, loadModel } from 'persona-vectors';

const model = await loadModel('models/stories260K');
const { tokenizer, config } = model.checkpoint;
const layer = 4;

// A direction made by hand: what "happy" has and "sad" has not. `PersonaVector.load('runs/…/vector.safetensors')`
// reads one that was measured, and `vector.row(layer)` is its direction at a layer.
const means: Float32Array[] = [];
const rows = ['Everyone was happy and laughed.', 'Everyone was sad and cried.'].map((text) => ({
  ids: tokenizer!.encodePrompt(text),
}));
for await (const { index, pooled } of model.forward(rows, { pool: ['prompt_mean'] })) {
  means[index] = pooled.prompt_mean!.subarray(layer * config.width, (layer + 1) * config.width);
}
const vector = means[0]!.map((value, i) => value - means[1]![i]!);

// h ← h + coef · v at one layer, from the last prompt token on; 0 changes no bit, and a large one breaks the text.
const input = { prompt: 'One day, a boy named Tom went outside.' };
for (const coef of [-2, 0, 2, 20]) {
  const interventions = [{ layer, vector, coef, positions: 'response' }] as const;
  const { text } = await generate({ model, input, interventions, maxTokens: 40 });
  console.log(`${coef}: ${text}\n`);
}

await model.close();
