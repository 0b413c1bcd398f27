/** Reads the residual stream of two texts, pooled over their responses, at every layer. */

import { loadModel } from 'persona-vectors';

const model = await loadModel('models/stories260K', { purpose: 'one-pass' });
const { tokenizer, config } = model.checkpoint;

const prompt = tokenizer!.encodePrompt('One day, a girl went to the park.');
const replies = [' She was so happy.', ' She was very sad.'];
const rows = replies.map((reply) => ({
  ids: [...prompt, ...tokenizer!.encode(reply, { special: false })],
  responseStart: prompt.length,
}));

// Results come as batches finish; `index` says whose they are.
const means: Float32Array[] = [];
for await (const { index, pooled } of model.forward(rows, { pool: ['response_mean'] })) {
  means[index] = pooled.response_mean!;
}

// Row l of [L+1, width] is layer l: the stream after block l, and row 0 the embeddings.
for (let layer = 0; layer <= config.layers; layer++) {
  const [happy, sad] = means.map((mean) => mean.subarray(layer * config.width, (layer + 1) * config.width));
  const distance = Math.hypot(...happy!.map((value, i) => value - sad![i]!));
  console.log(`layer ${layer} of ${config.layers}: the two texts are ${distance.toFixed(2)} apart`);
}

await model.close();
