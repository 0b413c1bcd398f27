/** What a GGUF file's metadata say of a model, as the `config.json` that the rest of the package reads. */

import type { Family } from './families/family.ts';
import { families } from './families/index.ts';
import type { GgufHeader } from './gguf-header.ts';
import { type JsonFields, jsonFields, unsupported } from './json-fields.ts';
import type { Json, JsonObject } from './json-text.ts';
import { rotaryFrequencies } from './rope-frequencies.ts';
import { ModelError } from '../errors.ts';

/** The families whose GGUF files are read. */
const readable: readonly Family[] = [...families.values()].filter(({ gguf }) => gguf !== undefined);

/** Metadata as fields, whose errors name file and key. */
export function metadataFields({ file, metadata }: Pick<GgufHeader, 'file' | 'metadata'>): JsonFields {
  return jsonFields(Object.fromEntries(metadata), file);
}

/** The family of a file's `general.architecture`; another one is a ModelError that lists those that are read. */
export function ggufFamily(fields: JsonFields): Family {
  const architecture = fields.optionalString('general.architecture');
  const family = readable.find(({ modelType }) => modelType === architecture);
  if (family !== undefined) return family;
  const known = readable.map(({ modelType }) => modelType).join(', ');
  const got = architecture === undefined ? 'none' : JSON.stringify(architecture.slice(0, 64));
  const advice =
    architecture === 'controlvector'
      ? 'this is a vector, which "persona vector" reads'
      : architecture !== undefined && isKnown(architecture)
        ? 'take the checkpoint in safetensors instead'
        : 'choose a model of one of these families, or add the family ("How a family is added" in docs/models.md)';
  throw new ModelError(
    `"${fields.file}": expected a GGUF model with a general.architecture of ${known}, got ${got}; ${advice}.`,
    { details: { file: fields.file, architecture: architecture ?? null, known } },
  );
}

/** Whether safetensors checkpoints of that family are read; GGUF drops the `_text` of some names. */
function isKnown(architecture: string): boolean {
  return families.has(architecture) || families.has(`${architecture}_text`);
}

const MAX = Number.MAX_SAFE_INTEGER;

/**
 * `config.json` of the model in a GGUF file. What Hugging Face keeps there and GGUF shows by its tensors (biases, an output
 * matrix, Llama 3's scaling of positions) is told from those.
 *
 * @param factors `rope_freqs.weight`, by which the file divides the rotary frequencies, where it has one.
 * @throws ModelError for what this package does not run; ParseError for a value that cannot be.
 */
export function ggufConfig(header: GgufHeader, factors: Float32Array | null): JsonObject {
  const fields = metadataFields(header);
  const { modelType } = ggufFamily(fields);
  const key = (name: string): string => `${modelType}.${name}`;
  const integer = (name: string): number => fields.integer(key(name), 1, MAX);
  const optional = (name: string): number | undefined => fields.optionalInteger(key(name), 1, MAX);
  const [width, heads] = [integer('embedding_length'), integer('attention.head_count')];
  const headSize = optional('attention.key_length') ?? width / heads;
  if (!Number.isInteger(headSize))
    throw fields.wrong(key('attention.head_count'), `a divisor of the width, ${width}`);
  refuseOthers(fields, key, headSize);
  const theta = fields.optionalNumber(key('rope.freq_base'), 0, Number.MAX_VALUE) ?? 10_000;
  return {
    model_type: modelType,
    vocab_size: vocabularySize(header),
    hidden_size: width,
    num_hidden_layers: integer('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: optional('attention.head_count_kv') ?? heads,
    head_dim: headSize,
    intermediate_size: integer('feed_forward_length'),
    hidden_act: 'silu',
    rms_norm_eps: fields.number(key('attention.layer_norm_rms_epsilon'), 0, 1),
    tie_word_embeddings: !header.tensors.has('output.weight'),
    max_position_embeddings: integer('context_length'),
    rope_theta: theta,
    rope_scaling: ropeScaling(fields, key, { factors, theta, headSize }),
    attention_bias: modelType !== 'qwen2' && header.tensors.has('blk.0.attn_q.bias'),
    mlp_bias: header.tensors.has('blk.0.ffn_gate.bias'),
    bos_token_id: tokenId(fields, 'bos'),
    eos_token_id: tokenId(fields, 'eos'),
    pad_token_id: tokenId(fields, 'padding'),
  };
}

/** A special token that the metadata name; they write the largest number of 32 bits for none. */
export function tokenId(fields: JsonFields, name: string): number | null {
  const id = fields.optionalInteger(`tokenizer.ggml.${name}_token_id`, -1, MAX);
  return id === undefined || id === -1 || id === 0xffff_ffff ? null : id;
}

function vocabularySize({ file, tensors }: GgufHeader): number {
  const size = tensors.get('token_embd.weight')?.shape[0];
  if (size !== undefined) return size;
  throw new ModelError(
    `"${file}": expected a tensor "token_embd.weight", got ${tensors.size} tensors without it; choose a file that holds a whole model.`,
    { details: { file, tensor: 'token_embd.weight' } },
  );
}

/** What would load and then compute something else than the file means. */
function refuseOthers(fields: JsonFields, key: (name: string) => string, headSize: number): void {
  const expect = (name: string, expected: number): void => {
    const got = fields.raw(key(name)) ?? expected;
    if (got !== expected) throw unsupported(fields, key(name), String(expected), got);
  };
  expect('expert_count', 0);
  expect('attention.value_length', headSize);
  expect('rope.dimension_count', headSize);
  expect('attention.sliding_window', 0);
}

interface Rotary {
  readonly factors: Float32Array | null;
  readonly theta: number;
  readonly headSize: number;
}

function ropeScaling(fields: JsonFields, key: (name: string) => string, rotary: Rotary): Json {
  const type = fields.optionalString(key('rope.scaling.type')) ?? 'none';
  const scale = (name: string): number | undefined => fields.optionalNumber(key(name), 0, Number.MAX_VALUE);
  const factor = scale('rope.scaling.factor') ?? scale('rope.scale_linear') ?? 1;
  if (type !== 'none' && type !== 'linear')
    throw unsupported(fields, key('rope.scaling.type'), 'none or linear', type);
  if (rotary.factors !== null && factor !== 1)
    throw unsupported(fields, key('rope.scaling.factor'), '1 beside "rope_freqs.weight"', factor);
  if (rotary.factors !== null) return llama3Scaling(fields, rotary, rotary.factors);
  return factor === 1 ? null : { rope_type: 'linear', factor };
}

/**
 * Every Llama from 3.1 on stretches positions by this rule, with a largest factor of its own; the file has the factors that
 * follow from it, and others are refused.
 */
function llama3Scaling(fields: JsonFields, { theta, headSize }: Rotary, factors: Float32Array): Json {
  const rule = {
    // Frequencies fall, so that the last is divided most.
    factor: factors.at(-1) ?? 1,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositions: 8192,
  };
  const plain = rotaryFrequencies({ theta, scaling: { kind: 'default' } }, headSize);
  const scaled = rotaryFrequencies({ theta, scaling: { kind: 'llama3', ...rule } }, headSize);
  const fits =
    factors.length === plain.length &&
    factors.every((factor, i) => Math.abs((factor * scaled[i]!) / plain[i]! - 1) < 1e-5);
  if (!fits)
    throw new ModelError(
      `"${fields.file}": expected the factors of "rope_freqs.weight" to be those of Llama 3.1 and later, got others; choose another checkpoint.`,
      { details: { file: fields.file, tensor: 'rope_freqs.weight' } },
    );
  return {
    rope_type: 'llama3',
    factor: rule.factor,
    low_freq_factor: rule.lowFreqFactor,
    high_freq_factor: rule.highFreqFactor,
    original_max_position_embeddings: rule.originalMaxPositions,
  };
}
