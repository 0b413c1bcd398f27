/** Models in Hugging Face layout, written as GGUF: what tests and benchmarks run where no such file is at hand. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeF16 } from '../../src/engine/quantise-half.ts';
import { quantiseRows } from '../../src/engine/quantise.ts';
import { type Checkpoint, loadCheckpoint } from '../../src/model/checkpoint.ts';
import { encodeBf16 } from '../../src/model/float-formats.ts';
import { type GgufType, ggufLayout, isGgufBlockType } from '../../src/model/gguf-types.ts';
import { type GgufEntry, type GgufTensorToWrite, writeGguf } from '../../src/model/gguf-writer.ts';
import { pathKind } from '../../src/model/read-bytes.ts';
import { readWeight } from '../../src/model/read-weights.ts';
import { rotaryFrequencies } from '../../src/model/rope-frequencies.ts';
import { projections, type Projection, type WeightSource } from '../../src/model/weights.ts';

/** How matrices are written: as floats, quantised, or (the other blocks) as random bytes that mean some numbers. */
export type TwinType = GgufType;

export interface TwinOptions {
  /** Divisors of the rotary frequencies: those that follow from the model's scaling, or others. */
  readonly ropeFactors?: true | Float32Array;
  /** Several files, the first of which has the metadata. */
  readonly parts?: readonly string[];
}

/** Writes the model in `folder` as a GGUF file whose matrices are of `type`; norms and biases are F32. */
export async function writeGgufTwin(
  folder: string,
  path: string,
  type: TwinType,
  { ropeFactors, parts = [path] }: TwinOptions = {},
): Promise<void> {
  const checkpoint = await loadCheckpoint(folder);
  const tensors: GgufTensorToWrite[] = [];
  for (const [name, source, heads] of tensorsOf(checkpoint)) {
    const numbers = interleave(await readWeight(source), source.shape, heads);
    const chosen = source.shape.length === 1 ? 'F32' : type;
    tensors.push({ name, shape: source.shape, type: chosen, data: encode(numbers, source.shape, chosen) });
  }
  if (ropeFactors !== undefined) {
    const data = ropeFactors === true ? rotaryFactors(checkpoint) : ropeFactors;
    tensors.push({ name: 'rope_freqs.weight', data });
  }
  const metadata = new Map([...modelMetadata(checkpoint), ...(await textMetadata(folder))]);
  const share = Math.ceil(tensors.length / parts.length);
  for (const [i, part] of parts.entries()) {
    const split: [string, GgufEntry] = ['split.count', { type: 'u32', value: parts.length }];
    const own = i === 0 ? [...metadata, split] : [split];
    await writeGguf(part, new Map(own), tensors.slice(i * share, (i + 1) * share));
  }
}

function rotaryFactors({ config }: Checkpoint): Float32Array {
  const { theta } = config.rope;
  const plain = rotaryFrequencies({ theta, scaling: { kind: 'default' } }, config.headSize);
  const scaled = rotaryFrequencies(config.rope, config.headSize);
  return Float32Array.from(plain, (frequency, i) => frequency / scaled[i]!);
}

const moduleNames: Readonly<Record<Projection, string>> = {
  q_proj: 'attn_q',
  k_proj: 'attn_k',
  v_proj: 'attn_v',
  o_proj: 'attn_output',
  gate_proj: 'ffn_gate',
  up_proj: 'ffn_up',
  down_proj: 'ffn_down',
};

/** Every tensor under its name in the format, with the heads whose rows are interleaved. */
function tensorsOf({ weights, config }: Checkpoint): [string, WeightSource, number | null][] {
  const found: [string, WeightSource, number | null][] = [];
  const add = (name: string, source: WeightSource | null, heads: number | null = null): void => {
    if (source !== null) found.push([name, source, heads]);
  };
  add('token_embd.weight', weights.embedding);
  if (weights.head !== weights.embedding) add('output.weight', weights.head);
  add('output_norm.weight', weights.finalNorm);
  for (const [i, block] of weights.blocks.entries()) {
    add(`blk.${i}.attn_norm.weight`, block.attentionNorm);
    add(`blk.${i}.ffn_norm.weight`, block.mlpNorm);
    add(`blk.${i}.attn_q_norm.weight`, block.queryNorm);
    add(`blk.${i}.attn_k_norm.weight`, block.keyNorm);
    const headsOf: Partial<Record<Projection, number>> =
      config.modelType === 'llama' ? { q_proj: config.heads, k_proj: config.kvHeads } : {};
    for (const name of projections) {
      const { weight, bias } = block.projections[name];
      add(`blk.${i}.${moduleNames[name]}.weight`, weight, headsOf[name] ?? null);
      add(`blk.${i}.${moduleNames[name]}.bias`, bias, headsOf[name] ?? null);
    }
  }
  return found;
}

/** Rows of every head in the order 0, n/2, 1, n/2 + 1 …, as llama.cpp's converter moves them. */
function interleave(numbers: Float32Array, shape: readonly number[], heads: number | null): Float32Array {
  if (heads === null) return numbers;
  const [rows = 1, columns = 1] = shape;
  const head = rows / heads;
  const moved = new Float32Array(numbers.length);
  for (let row = 0; row < rows; row++) {
    const within = row % head;
    const from = row - within + (within % 2 === 0 ? within / 2 : (within - 1) / 2 + head / 2);
    moved.set(numbers.subarray(from * columns, (from + 1) * columns), row * columns);
  }
  return moved;
}

function encode(numbers: Float32Array, shape: readonly number[], type: TwinType): GgufTensorToWrite['data'] {
  if (type === 'F32') return numbers;
  if (type === 'Q8_0' || type === 'Q4_0') return quantised(numbers, shape.at(-1)!, type);
  if (isGgufBlockType(type)) return randomBlocks(numbers.length, type);
  const words = new Uint16Array(numbers.length);
  if (type === 'F16') encodeF16(numbers, words);
  else encodeBf16(numbers, words);
  return words;
}

function quantised(numbers: Float32Array, columns: number, type: 'Q8_0' | 'Q4_0'): Uint8Array {
  const bits = type === 'Q8_0' ? 8 : 4;
  const { q, scales } = quantiseRows(numbers, columns, { bits, blockSize: 32 }, { name: type, firstRow: 0 });
  const { blockBytes } = ggufLayout(type);
  const bytes = new Uint8Array(scales.length * blockBytes);
  const halves = new Uint16Array(scales.length);
  encodeF16(scales, halves);
  const level = (i: number): number => (bits === 8 ? q[i]! : (q[i >> 1]! >> (4 * (i & 1))) & 15);
  for (let block = 0; block < scales.length; block++) {
    const at = block * blockBytes;
    bytes[at] = halves[block]! & 255;
    bytes[at + 1] = halves[block]! >> 8;
    for (let i = 0; i < 4 * bits; i++)
      bytes[at + 2 + i] =
        bits === 8 ? level(32 * block + i) - 128 : level(32 * block + i) | (level(32 * block + 16 + i) << 4);
  }
  return bytes;
}

/** Where blocks have half-precision numbers, which random bits would make infinite. */
const halfPlaces: Readonly<Partial<Record<TwinType, readonly number[]>>> = {
  Q4_1: [0, 2],
  Q5_0: [0],
  Q5_1: [0, 2],
  Q2_K: [80, 82],
  Q3_K: [108],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
};
/** 2⁻¹¹ as a half: with 6 bits of scale and 6 of weight numbers stay below 2. */
const SMALL_HALF = [0x00, 0x10] as const;

function randomBlocks(count: number, type: TwinType): Uint8Array {
  const { blockSize, blockBytes } = ggufLayout(type);
  const bytes = new Uint8Array((count / blockSize) * blockBytes);
  let state = 1;
  for (let i = 0; i < bytes.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  for (let at = 0; at < bytes.length; at += blockBytes)
    for (const place of halfPlaces[type] ?? []) bytes.set(SMALL_HALF, at + place);
  return bytes;
}

function modelMetadata({ config }: Checkpoint): [string, GgufEntry][] {
  const u32 = (key: string, value: number): [string, GgufEntry] => [
    `${config.modelType}.${key}`,
    { type: 'u32', value },
  ];
  const f32 = (key: string, value: number): [string, GgufEntry] => [
    `${config.modelType}.${key}`,
    { type: 'f32', value },
  ];
  return [
    ['general.architecture', { type: 'string', value: config.modelType }],
    u32('block_count', config.layers),
    u32('context_length', config.maxPositions),
    u32('embedding_length', config.width),
    u32('feed_forward_length', config.mlpWidth),
    u32('attention.head_count', config.heads),
    u32('attention.head_count_kv', config.kvHeads),
    u32('attention.key_length', config.headSize),
    u32('attention.value_length', config.headSize),
    u32('rope.dimension_count', config.headSize),
    f32('attention.layer_norm_rms_epsilon', config.normEps),
    f32('rope.freq_base', config.rope.theta),
    ...specialTokens(config),
  ];
}

function specialTokens({ bosTokenId, eosTokenIds, padTokenId }: Checkpoint['config']): [string, GgufEntry][] {
  const ids: readonly (readonly [string, number | null | undefined])[] = [
    ['bos', bosTokenId],
    ['eos', eosTokenIds[0]],
    ['padding', padTokenId],
  ];
  return ids.flatMap(([name, id]): [string, GgufEntry][] =>
    id == null ? [] : [[`tokenizer.ggml.${name}_token_id`, { type: 'u32', value: id }]],
  );
}

interface TokenizerJson {
  readonly added_tokens: readonly { readonly id: number; readonly content: string }[];
  readonly model: {
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (string | readonly string[])[];
  };
}

/** The tokenizers of the two models that ship: stories260K's is sentencepiece's, persona-tiny's cuts words as SmolLM's. */
async function textMetadata(folder: string): Promise<[string, GgufEntry][]> {
  const file = join(folder, 'tokenizer.json');
  if ((await pathKind(file)) === null) return [];
  const { added_tokens, model } = JSON.parse(await readFile(file, 'utf8')) as TokenizerJson;
  const settings = JSON.parse(await readFile(join(folder, 'tokenizer_config.json'), 'utf8')) as {
    readonly chat_template?: string;
    readonly add_bos_token?: boolean;
  };
  const tokens: string[] = [];
  for (const [token, id] of Object.entries(model.vocab)) tokens[id] = token;
  for (const { id, content } of added_tokens) tokens[id] = content;
  const isPieces = tokens.includes('<0x00>');
  const special = new Set(added_tokens.map(({ id }) => id));
  const typeOf = (text: string, id: number): number =>
    text === '<unk>' ? 2 : special.has(id) ? 3 : /^<0x[0-9A-F]{2}>$/.test(text) ? 6 : 1;
  const key = (name: string): string => `tokenizer.ggml.${name}`;
  return [
    [key('model'), { type: 'string', value: isPieces ? 'llama' : 'gpt2' }],
    [key('tokens'), { type: 'string', value: tokens }],
    [key('token_type'), { type: 'i32', value: tokens.map(typeOf) }],
    [key('add_bos_token'), { type: 'bool', value: settings.add_bos_token ?? false }],
    ...(isPieces
      ? [entry(key('scores'), { type: 'f32', value: tokens.map((_, id) => -id) })]
      : [
          entry(key('pre'), { type: 'string', value: 'smollm' }),
          entry(key('merges'), {
            type: 'string',
            value: model.merges.map((pair) => (typeof pair === 'string' ? pair : pair.join(' '))),
          }),
        ]),
    ...(settings.chat_template === undefined
      ? []
      : [entry('tokenizer.chat_template', { type: 'string', value: settings.chat_template })]),
  ];
}

function entry(key: string, value: GgufEntry): [string, GgufEntry] {
  return [key, value];
}
