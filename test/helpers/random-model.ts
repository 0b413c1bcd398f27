/**
 * Random checkpoints in Hugging Face layout, of any family, size and dtype: what tests and benchmarks run
 * where no trained model is at hand. Equal arguments give equal bytes, and every tensor's numbers depend on
 * its name and the seed alone, so a shard boundary or another tensor never changes them.
 */

import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

export const randomFamilies = [
  'llama',
  'qwen2',
  'qwen3',
  'mistral',
  'gemma2',
  'gemma3_text',
  'phi3',
  'olmo2',
] as const;
export type RandomFamily = (typeof randomFamilies)[number];
export type RandomDtype = 'F32' | 'F16' | 'BF16';

/** The sizes that decide a checkpoint's tensors, and the settings that config.json repeats. */
export interface RandomShape {
  readonly family: RandomFamily;
  readonly vocabSize: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly mlpWidth: number;
  readonly tied: boolean;
  readonly maxPositions: number;
  readonly ropeTheta: number;
  readonly normEps?: number;
  /** As config.json says it, such as `{ rope_type: 'linear', factor: 2 }`. */
  readonly ropeScaling?: Readonly<Record<string, string | number>>;
  /** Tokens that every block sees back, itself included; mistral only. */
  readonly slidingWindow?: number;
  /** llama's `attention_bias` (q, k, v and the output) and `mlp_bias`. */
  readonly attentionBias?: boolean;
  readonly mlpBias?: boolean;
}

export interface RandomOptions {
  readonly seed: number;
  readonly dtype: RandomDtype;
  /** Standard deviation of matrices and biases; default 0.02, which keeps the activations of any depth finite. */
  readonly deviation?: number;
  /** Standard deviation of the norms' gains around 1; default 0. */
  readonly gainDeviation?: number;
  /** A file is closed once it holds this many bytes; default: one file. */
  readonly shardBytes?: number;
}

const qwen = { family: 'qwen2', maxPositions: 32_768, ropeTheta: 1e6 } as const;

/** Shapes of published models, by the names people use, and one that runs anywhere in a moment. */
export const namedShapes = {
  tiny: {
    ...qwen,
    vocabSize: 320,
    width: 64,
    layers: 4,
    heads: 4,
    kvHeads: 2,
    headSize: 16,
    mlpWidth: 160,
    tied: true,
  },
  'qwen2.5-0.5b': {
    ...qwen,
    vocabSize: 151_936,
    width: 896,
    layers: 24,
    heads: 14,
    kvHeads: 2,
    headSize: 64,
    mlpWidth: 4864,
    tied: true,
  },
  'qwen2.5-7b': {
    ...qwen,
    vocabSize: 152_064,
    width: 3584,
    layers: 28,
    heads: 28,
    kvHeads: 4,
    headSize: 128,
    mlpWidth: 18_944,
    tied: false,
  },
  'llama-3.1-8b': {
    family: 'llama',
    vocabSize: 128_256,
    width: 4096,
    layers: 32,
    heads: 32,
    kvHeads: 8,
    headSize: 128,
    mlpWidth: 14_336,
    tied: false,
    maxPositions: 131_072,
    ropeTheta: 500_000,
    ropeScaling: {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
    normEps: 1e-5,
  },
} as const satisfies Readonly<Record<string, RandomShape>>;
export type ShapeName = keyof typeof namedShapes;

/** Numbers drawn and written at once; bounds the memory that a checkpoint of any size needs. */
const chunkNumbers = 4 * 1024 * 1024;

interface RandomTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly kind: 'matrix' | 'gain';
}

/** Writes config.json and the weights into `folder`, which is made where it is absent. */
export async function writeRandomModel(
  folder: string,
  shape: RandomShape,
  options: RandomOptions,
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'config.json'),
    `${JSON.stringify(configJson(shape, options.dtype), null, 2)}\n`,
  );
  const shards = toShards(tensorsOf(shape), options);
  const name = (i: number): string =>
    shards.length === 1
      ? 'model.safetensors'
      : `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
  for (const [i, shard] of shards.entries()) await writeShard(join(folder, name(i)), shard, options);
  if (shards.length === 1) return;
  const index = {
    metadata: {
      total_size: shards.flat().reduce((sum, tensor) => sum + byteLength(tensor, options.dtype), 0),
    },
    weight_map: Object.fromEntries(
      shards.flatMap((shard, i) => shard.map((tensor) => [tensor.name, name(i)])),
    ),
  };
  writeFileSync(join(folder, 'model.safetensors.index.json'), `${JSON.stringify(index, null, 2)}\n`);
}

function configJson(shape: RandomShape, dtype: RandomDtype): Record<string, unknown> {
  const dtypes = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;
  const architectures = {
    llama: 'Llama',
    qwen2: 'Qwen2',
    qwen3: 'Qwen3',
    mistral: 'Mistral',
    gemma2: 'Gemma2',
    gemma3_text: 'Gemma3',
    phi3: 'Phi3',
    olmo2: 'Olmo2',
  } as const;
  return {
    architectures: [`${architectures[shape.family]}ForCausalLM`],
    model_type: shape.family,
    vocab_size: shape.vocabSize,
    hidden_size: shape.width,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headSize,
    intermediate_size: shape.mlpWidth,
    hidden_act: 'silu',
    tie_word_embeddings: shape.tied,
    max_position_embeddings: shape.maxPositions,
    rope_theta: shape.ropeTheta,
    rope_scaling: shape.ropeScaling ?? null,
    rms_norm_eps: shape.normEps ?? 1e-6,
    ...(hasWindows(shape) ? { sliding_window: shape.slidingWindow ?? null } : {}),
    // A window and no window in models of three blocks.
    ...(shape.family === 'gemma3_text' ? { sliding_window_pattern: 3 } : {}),
    ...(shape.family === 'llama'
      ? { attention_bias: shape.attentionBias ?? false, mlp_bias: shape.mlpBias ?? false }
      : {}),
    bos_token_id: 1,
    eos_token_id: 2,
    torch_dtype: dtypes[dtype],
  };
}

function hasWindows({ family }: RandomShape): boolean {
  return family === 'mistral' || family === 'gemma2' || family === 'gemma3_text';
}

function tensorsOf(shape: RandomShape): RandomTensor[] {
  const { width, headSize } = shape;
  const tensors: RandomTensor[] = [
    { name: 'model.embed_tokens.weight', shape: [shape.vocabSize, width], kind: 'matrix' },
  ];
  for (let block = 0; block < shape.layers; block++)
    tensors.push(...blockTensors(shape, `model.layers.${block}`));
  tensors.push({ name: 'model.norm.weight', shape: [width], kind: 'gain' });
  if (!shape.tied) tensors.push({ name: 'lm_head.weight', shape: [shape.vocabSize, width], kind: 'matrix' });
  if (headSize % 2 !== 0) throw new RangeError(`expected an even head size, got ${headSize}`);
  return tensors;
}

function blockTensors(shape: RandomShape, prefix: string): RandomTensor[] {
  const { family, width, mlpWidth, headSize } = shape;
  const attentionBias = family === 'llama' && shape.attentionBias === true;
  const mlpBias = family === 'llama' && shape.mlpBias === true;
  const linear = (name: string, out: number, input: number, bias: boolean): RandomTensor[] => [
    { name: `${prefix}.${name}.weight`, shape: [out, input], kind: 'matrix' },
    ...(bias ? [{ name: `${prefix}.${name}.bias`, shape: [out], kind: 'matrix' } as const] : []),
  ];
  const gain = (name: string, size: number): RandomTensor => ({
    name: `${prefix}.${name}.weight`,
    shape: [size],
    kind: 'gain',
  });
  const queries = shape.heads * headSize;
  const keys = shape.kvHeads * headSize;
  const qkvBias = family === 'qwen2' || attentionBias;
  const isGemma = family === 'gemma2' || family === 'gemma3_text';
  const headGains =
    family === 'qwen3' || family === 'gemma3_text'
      ? [gain('self_attn.q_norm', headSize), gain('self_attn.k_norm', headSize)]
      : family === 'olmo2'
        ? [gain('self_attn.q_norm', queries), gain('self_attn.k_norm', keys)]
        : [];
  const attention =
    family === 'phi3'
      ? linear('self_attn.qkv_proj', queries + 2 * keys, width, false)
      : [
          ...linear('self_attn.q_proj', queries, width, qkvBias),
          ...linear('self_attn.k_proj', keys, width, qkvBias),
          ...linear('self_attn.v_proj', keys, width, qkvBias),
        ];
  const gates =
    family === 'phi3'
      ? linear('mlp.gate_up_proj', 2 * mlpWidth, width, false)
      : [
          ...linear('mlp.gate_proj', mlpWidth, width, mlpBias),
          ...linear('mlp.up_proj', mlpWidth, width, mlpBias),
        ];
  return [
    ...(family === 'olmo2' ? [] : [gain('input_layernorm', width)]),
    ...attention,
    ...linear('self_attn.o_proj', width, queries, attentionBias),
    ...headGains,
    gain('post_attention_layernorm', width),
    ...(isGemma ? [gain('pre_feedforward_layernorm', width)] : []),
    ...(isGemma || family === 'olmo2' ? [gain('post_feedforward_layernorm', width)] : []),
    ...gates,
    ...linear('mlp.down_proj', width, mlpWidth, mlpBias),
  ];
}

function toShards(tensors: readonly RandomTensor[], options: RandomOptions): RandomTensor[][] {
  const limit = options.shardBytes ?? Infinity;
  const shards: RandomTensor[][] = [[]];
  let filled = 0;
  for (const tensor of tensors) {
    if (filled >= limit) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push(tensor);
    filled += byteLength(tensor, options.dtype);
  }
  return shards;
}

async function writeShard(
  path: string,
  tensors: readonly RandomTensor[],
  options: RandomOptions,
): Promise<void> {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let end = 0;
  for (const tensor of tensors) {
    const start = end;
    end += byteLength(tensor, options.dtype);
    header[tensor.name] = { dtype: options.dtype, shape: tensor.shape, data_offsets: [start, end] };
  }
  // Spaces up to a multiple of 8, as the format's own writer leaves them.
  const text = JSON.stringify(header);
  const padded = text.padEnd(Math.ceil(Buffer.byteLength(text) / 8) * 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const file = await open(path, 'w');
  try {
    await file.writeFile(Buffer.concat([length, Buffer.from(padded)]));
    for (const tensor of tensors) {
      for (const bytes of tensorBytes(tensor, options)) await file.writeFile(bytes);
    }
  } finally {
    await file.close();
  }
}

/** The tensor's bytes in chunks; a chunk is valid until the next is asked for. */
function* tensorBytes(tensor: RandomTensor, options: RandomOptions): Generator<Uint8Array> {
  const [first, second] = streamKeys(tensor.name, options.seed);
  const center = tensor.kind === 'gain' ? 1 : 0;
  const deviation = tensor.kind === 'gain' ? (options.gainDeviation ?? 0) : (options.deviation ?? 0.02);
  const total = count(tensor);
  const numbers = new Float32Array(Math.min(total, chunkNumbers));
  for (let start = 0; start < total; start += chunkNumbers) {
    const chunk = numbers.subarray(0, Math.min(chunkNumbers, total - start));
    for (let i = 0; i < chunk.length; i++) chunk[i] = center + deviation * bell(start + i, first, second);
    yield encode(chunk, options.dtype);
  }
}

/** Two words that name a tensor's stream. */
function streamKeys(name: string, seed: number): [number, number] {
  const digest = createHash('sha256')
    .update(JSON.stringify([name, seed]))
    .digest();
  return [digest.readInt32LE(0), digest.readInt32LE(4)];
}

/** √(5/12): the standard deviation of a sum of five uniform numbers. */
const fiveUniforms = Math.sqrt(5 / 12);

/**
 * Number `index` of a stream: nearly standard normal (a sum of five uniforms, so within ±3.9), by counter,
 * so that any part of a tensor can be drawn alone and a 7B model takes seconds a billion numbers.
 */
function bell(index: number, first: number, second: number): number {
  const bits = scramble(index ^ first, second);
  const fine = (Math.imul(bits, 0x9e3779b1) >>> 0) / 4_294_967_296;
  const coarse = (bits & 255) + ((bits >>> 8) & 255) + ((bits >>> 16) & 255) + (bits >>> 24);
  return (coarse / 256 + 4 / 512 + fine - 2.5) / fiveUniforms;
}

/** The finaliser of MurmurHash3, keyed between its two rounds: all bits of the result depend on all of x. */
function scramble(x: number, key: number): number {
  let bits = x ^ (x >>> 16);
  bits = Math.imul(bits, 0x85ebca6b) ^ key;
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

function encode(numbers: Float32Array, dtype: RandomDtype): Uint8Array {
  if (dtype === 'F32') return bytesOf(numbers);
  if (dtype === 'F16') return bytesOf(Uint16Array.from(numbers, toHalf));
  const words = new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  const halves = new Uint16Array(words.length);
  // A plain loop: for a 7B model `Uint16Array.from` would take ten times as long as drawing the numbers.
  // Round half up in the dropped 16 bits; none of these numbers is near the largest float.
  for (let i = 0; i < words.length; i++) halves[i] = (words[i]! + 0x8000) >>> 16;
  return bytesOf(halves);
}

function bytesOf(array: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** Bits of the nearest float16; for numbers below 65,504. */
function toHalf(value: number): number {
  const size = Math.abs(value);
  const sign = value < 0 ? 0x8000 : 0;
  if (size < 2 ** -14) return sign | Math.round(size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  // Adding, not or-ing: a mantissa that rounds up to 1024 carries into the exponent.
  return sign | (((exponent + 15) << 10) + Math.round((size / 2 ** exponent - 1) * 1024));
}

function count(tensor: RandomTensor): number {
  return tensor.shape.reduce((product, size) => product * size, 1);
}

function byteLength(tensor: RandomTensor, dtype: RandomDtype): number {
  return count(tensor) * (dtype === 'F32' ? 4 : 2);
}

function number(i: number): string {
  return String(i).padStart(5, '0');
}
