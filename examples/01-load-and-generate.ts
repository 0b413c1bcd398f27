/** Loads the model that ships and continues a text: greedily, then twice with sampling. */

import { generate, loadModel } from 'persona-vectors';

const model = await loadModel('models/stories260K');
const input = { prompt: 'Once upon a time, there was a cat.' };

const greedy = await generate({ model, input, maxTokens: 40 });
console.log(greedy.text);

// Equal seeds give equal texts, on any day and in any process.
for (const seed of [1, 2]) {
  const sampled = await generate({ model, input, maxTokens: 40, temperature: 0.8, topP: 0.95, seed });
  console.log(`seed ${seed}: ${sampled.text} (${sampled.finishReason})`);
}

await model.close();
