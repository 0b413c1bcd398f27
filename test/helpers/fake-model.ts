/** A language model of a few words that has a mood and can be steered: for tests of what is built on models. */

import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LanguageModel } from '../../src/engine/model.ts';
import type {
  ForwardOptions,
  ForwardResult,
  ForwardRow,
  Generated,
  GenerateOptions,
  GenerateRow,
  Pooled,
  Pooling,
} from '../../src/engine/types.ts';
import type { ChatTemplate } from '../../src/model/chat-template.ts';
import type { Checkpoint } from '../../src/model/checkpoint.ts';
import type { TextTokenizer } from '../../src/model/tokenizer.ts';
import { AbortError } from '../../src/errors.ts';
import { randomStream } from '../../src/util/random.ts';
import { tinyConfig } from './tiny-config.ts';

export const happyWords: readonly string[] = ['happy', 'smile', 'laugh', 'joy', 'fun'];
export const sadWords: readonly string[] = ['sad', 'cry', 'tears', 'lonely', 'hurt'];
const plainWords = 'the a dog cat tree ran sat saw and then by river home day it was went to big ball'.split(
  ' ',
);
const words = ['<s>', '</s>', '.', ...happyWords, ...sadWords, ...plainWords];
const [BOS, EOS] = [0, 1];

export interface FakeOptions {
  readonly layers?: number;
  readonly width?: number;
  /** Wait between two batches of results, in milliseconds, so that a kill can fall between them. */
  readonly delay?: number;
  /** How much mood a prompt and an added vector carry; 0 makes a model that nothing moves. */
  readonly sensitivity?: number;
  /** Makes it a chat model; default: a base model. */
  readonly chatTemplate?: ChatTemplate;
}

/** A trait that the fake model has, in the schema of trait files. */
export const fakeTrait = {
  name: 'cheerful',
  opposite: 'gloomy',
  template: '{system} {question}',
  instruction: [
    { pos: 'it was happy fun', neg: 'it was sad tears' },
    { pos: 'the dog laugh and smile', neg: 'the dog cry and hurt' },
  ],
  questions: ['the dog ran', 'a cat sat', 'then the ball', 'by the river'],
  evaluation_questions: ['the big cat', 'a dog saw', 'then it went', 'home by day'],
  eval_prompt: 'How happy is the answer {answer} to {question}?',
  lexicon: { positive: happyWords, negative: sadWords },
};

/** Writes a folder that stands for the model's files, and opens the model. */
export async function openFakeModel(folder: string, options: FakeOptions = {}): Promise<LanguageModel> {
  const { layers = 3, width = 64 } = options;
  await mkdir(folder, { recursive: true });
  const config = tinyConfig({ layers, width, vocabSize: words.length, maxPositions: 512 });
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  const checkpoint: Checkpoint = {
    folder,
    file: null,
    remote: null,
    id: basename(folder),
    revision: null,
    config,
    generation: { eosTokenIds: [EOS], bosTokenId: BOS, padTokenId: null },
    tokenizer: fakeTokenizer,
    chatTemplate: options.chatTemplate ?? null,
    // Nothing loads this model's weights: it has none.
    weights: { embedding: null, head: null, finalNorm: null, blocks: [] } as never,
    unusedTensors: [],
    weightFiles: [],
  };
  return {
    checkpoint,
    precision: 'fp32',
    forward: (rows, forward) => forwardRows(rows, forward, { layers, width, ...options }),
    generate: (rows, generate) => generateRows(rows, generate, { layers, width, ...options }),
    scoreContinuations: () => {
      throw new Error('the fake model only generates');
    },
    close: () => Promise.resolve(),
  };
}

/** Words apart by blanks; a word that it does not know is a plain one, by its letters. */
const fakeTokenizer: TextTokenizer = {
  vocabSize: words.length,
  addedTokens: [],
  controlTokens: [],
  encode: (text) => text.split(/\s+/).filter(Boolean).map(idOf),
  encodePrompt: (text) => [BOS, ...fakeTokenizer.encode(text, { special: false })],
  encodePieces: (pieces) =>
    fakeTokenizer.encode(pieces.map((piece) => (typeof piece === 'string' ? piece : '')).join(''), {
      special: false,
    }),
  decode: (ids) => ids.map((id) => words[id] ?? '?').join(' '),
  streamDecoder: () => {
    throw new Error('the fake tokenizer does not stream');
  },
  tokenId: (token) => (words.includes(token) ? words.indexOf(token) : null),
  isSpecial: (id) => id <= EOS,
  endsSentence: (id) => words[id] === '.',
};

function idOf(word: string): number {
  const known = words.indexOf(word);
  if (known >= 0) return known;
  return words.indexOf(plainWords[Buffer.byteLength(word) % plainWords.length]!);
}

type Shape = Required<Pick<FakeOptions, 'layers' | 'width'>> & FakeOptions;

/** Rows end out of order, in batches, as on the engine. */
async function* generateRows(
  rows: readonly GenerateRow[],
  options: GenerateOptions,
  shape: Shape,
): AsyncGenerator<Generated> {
  const size = options.batchRows ?? 16;
  for (let start = 0; start < rows.length; start += size) {
    if (options.signal?.aborted === true) throw new AbortError('stopped before all rows were finished');
    if (shape.delay !== undefined) await sleep(shape.delay);
    for (let index = Math.min(start + size, rows.length) - 1; index >= start; index--) {
      yield generateRow(rows[index]!, index, options, shape);
    }
  }
}

/** Only pools: the fake has no logits. */
async function* forwardRows(
  rows: readonly ForwardRow[],
  options: ForwardOptions = {},
  shape: Shape,
): AsyncGenerator<ForwardResult> {
  for (const [index, { ids, responseStart = ids.length }] of rows.entries()) {
    if (options.signal?.aborted === true) throw new AbortError('stopped before all rows were run');
    if (shape.delay !== undefined && index % 16 === 0) await sleep(shape.delay);
    const pooled = pool(ids.slice(0, responseStart), ids.slice(responseStart), options.pool ?? [], shape);
    yield { index, pooled };
  }
}

function generateRow(row: GenerateRow, index: number, options: GenerateOptions, shape: Shape): Generated {
  const random = randomStream(options.seed ?? 0, row.key ?? String(index));
  const mood = moodOf(row, shape);
  const ids: number[] = [];
  let finishReason: Generated['finishReason'] = 'length';
  while (ids.length < options.maxTokens && finishReason === 'length') {
    const id = nextWord(mood, ids, random.uniform(), random.uniform());
    if (id === EOS) finishReason = 'stop';
    else ids.push(id);
  }
  return { index, ids, text: null, finishReason, pooled: pool(row.ids, ids, options.capture ?? [], shape) };
}

/** Axis 0 of the residual stream is the mood; every layer has it, stronger with depth. */
function moodOf(row: GenerateRow, shape: Shape): number {
  const prompt = row.ids.reduce((sum, id) => sum + moodOfWord(id), 0) / 2;
  const added = (row.interventions ?? []).map((edit) =>
    'coef' in edit ? (edit.coef * edit.vector[0]!) / edit.layer : 0,
  );
  return (shape.sensitivity ?? 1) * added.reduce((sum, value) => sum + value, prompt);
}

function nextWord(mood: number, ids: readonly number[], kind: number, which: number): number {
  // Pushed too hard, it says one word for ever.
  if (Math.abs(mood) > 4 && ids.length > 0) return ids.at(-1)!;
  if (kind < 0.02) return EOS;
  if (kind < 0.1) return words.indexOf('.');
  const happy = 1 / (1 + Math.exp(-2 * mood));
  const list = kind > 0.55 ? plainWords : kind < 0.1 + 0.45 * happy ? happyWords : sadWords;
  return words.indexOf(list[Math.floor(which * list.length)]!);
}

function moodOfWord(id: number): number {
  const word = words[id]!;
  return happyWords.includes(word) ? 1 : sadWords.includes(word) ? -1 : 0;
}

/** Residual of a word at a layer, `[width]`: its mood on axis 0, noise of its own on the others. */
function residual(id: number, layer: number, width: number): Float32Array {
  const noise = randomStream('fake-embedding', id);
  return Float32Array.from({ length: width }, (_, axis) =>
    axis === 0 ? moodOfWord(id) * layer : noise.normal() / 4,
  );
}

function pool(
  prompt: readonly number[],
  reply: readonly number[],
  names: readonly Pooling[],
  shape: Shape,
): Pooled {
  const spans: Record<Pooling, readonly number[]> = {
    response_mean: reply,
    prompt_mean: prompt,
    prompt_last: prompt.slice(-1),
    boundary_mean: [prompt.at(-1)!, ...reply.filter((id) => words[id] === '.')],
  };
  return Object.fromEntries(names.map((name) => [name, meanOf(spans[name], shape)]));
}

function meanOf(ids: readonly number[], { layers, width }: Shape): Float32Array {
  const mean = new Float32Array((layers + 1) * width);
  for (const id of ids) {
    for (let layer = 0; layer <= layers; layer++) {
      residual(id, layer, width).forEach(
        (value, axis) => (mean[layer * width + axis]! += value / ids.length),
      );
    }
  }
  return mean;
}
