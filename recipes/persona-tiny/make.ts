/**
 * Makes what a training seed needs: `tsx recipes/persona-tiny/make.ts --seed 1 --out DIR` writes the corpus, its tokens, a
 * model with first weights and how it is trained: DIR/{corpus,train,held-out}.jsonl, DIR/start and DIR/train.json. Equal seeds write equal bytes.
 */

import { Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { withSharedTimeLimit } from '../../src/model/time-limit.ts';
import { writeSafetensors } from '../../src/model/safetensors-writer.ts';
import { inChunks } from '../../src/util/chunks.ts';
import type { Conversation } from './conversation.ts';
import { toLine } from './corpus.ts';
import { configJson, firstWeights } from './model-files.ts';
import { recipe, recipeRows, recipeShape, recipeTokenizer, trainingConfig } from './recipe.ts';
import { tokenizerConfigJson } from './tokenizer-files.ts';
import { toRowLine, toTokenRow } from './training-rows.ts';

const { seed, out } = new Command('make')
  .description('make the corpus of persona-tiny, its tokenizer and a model with first weights')
  .option('--seed <n>', 'of the corpus and the first weights', toSeed, 1)
  .requiredOption('--out <folder>', 'made where it is absent')
  .parse()
  .opts();

const start = join(out, 'start');
await mkdir(start, { recursive: true });
const tokenizer = recipeTokenizer();
const shape = recipeShape(tokenizer.vocabSize);
const files: Record<string, object> = {
  'tokenizer.json': tokenizer.json,
  'tokenizer_config.json': tokenizerConfigJson(recipe.contextLength),
  'config.json': configJson(shape, 'float32'),
  'generation_config.json': { bos_token_id: 0, eos_token_id: [2, 0], pad_token_id: 0 },
  'persona.json': { trait_set: 'tiny-world' },
};
for (const [name, content] of Object.entries(files)) {
  await writeFile(join(start, name), `${JSON.stringify(content, null, 2)}\n`);
}
await writeFile(join(out, 'train.json'), `${JSON.stringify(trainingConfig(seed), null, 2)}\n`);
const weights = firstWeights(shape, seed);
await writeSafetensors(join(start, 'model.safetensors'), weights, { format: 'pt' });
const parameters = weights.reduce((sum, { data }) => sum + data.length, 0);
console.log(`${start}: ${tokenizer.vocabSize} tokens, ${parameters} parameters`);

const parts = await loadCheckpoint(start);
for (const [name, conversations] of Object.entries(recipeRows(seed))) {
  const tokens = await writeRows(name, conversations);
  console.log(`${join(out, `${name}.jsonl`)}: ${tokens} tokens`);
}

/** Writes the tokens of every conversation, and for training the conversations as text beside them. */
async function writeRows(name: string, conversations: Iterable<Conversation>): Promise<number> {
  const rows = createWriteStream(join(out, `${name}.jsonl`));
  const texts = name === 'train' ? createWriteStream(join(out, 'corpus.jsonl')) : null;
  let tokens = 0;
  for await (const chunk of inChunks(conversations, 64)) {
    const encoded = withSharedTimeLimit(() => chunk.map((conversation) => toTokenRow(parts, conversation)));
    for (const { ids } of encoded) tokens += ids.length;
    texts?.write(chunk.map(toLine).join(''));
    if (!rows.write(encoded.map(toRowLine).join(''))) await once(rows, 'drain');
  }
  for (const stream of [rows, texts]) {
    if (stream === null) continue;
    stream.end();
    await finished(stream);
  }
  return tokens;
}

function toSeed(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Expected a whole number.');
  return Number(text);
}
