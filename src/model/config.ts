/** What a checkpoint's `config.json` says, in one vocabulary for every family. */

import type { BiasRule, ConfigDefaults, Family } from './families/family.ts';
import { families, familyOf } from './families/index.ts';
import { jsonFields, unsupported } from './json-fields.ts';
import type { JsonFields } from './json-fields.ts';
import { isJsonObject, type Json, type JsonObject } from './json-text.ts';
import { parseRopes } from './rope-config.ts';

/** Rotary position embedding; `theta` is the base of the frequencies. */
export interface Rope {
  readonly theta: number;
  readonly scaling: RopeScaling;
}

/** How the frequencies are stretched. */
export type RopeScaling =
  | { readonly kind: 'default' }
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositions: number;
    };

export interface ModelConfig {
  /** `model_type` of config.json, the key into the families. */
  readonly modelType: string;
  readonly vocabSize: number;
  /** Width of the residual stream (`hidden_size`). */
  readonly width: number;
  /** Number of blocks; layers are counted 1 … layers, layer 0 is the embeddings. */
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** Width inside the MLP (`intermediate_size`). */
  readonly mlpWidth: number;
  readonly normEps: number;
  readonly tiedEmbeddings: boolean;
  readonly maxPositions: number;
  readonly rope: Rope;
  /** Of blocks with a window, where it is another (gemma3); null where all are alike. */
  readonly windowRope: Rope | null;
  /** Per block: how many positions back a token sees, itself included; null sees all. */
  readonly windows: readonly (number | null)[];
  /** Whether q, k, v / the attention output / the MLP products carry a bias. */
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  /** RMS norm of q and k before the rotary embedding: none, every head by itself (qwen3), or all heads as one (olmo2). */
  readonly headNorm: 'none' | 'head' | 'projection';
  /** Of the MLP's gate. */
  readonly activation: 'silu' | 'gelu-tanh';
  /** What embeddings are multiplied by as they enter the stream. */
  readonly embeddingScale: number;
  /** RMS norms multiply by this plus the stored gain. */
  readonly normOffset: 0 | 1;
  /** Factor on attention scores. */
  readonly attentionScale: number;
  /** Scores and logits x become c · tanh(x / c); null where they stay as they are. */
  readonly attentionSoftcap: number | null;
  readonly logitSoftcap: number | null;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | null;
}

/** Bounds of what config.json may claim, some times the largest published model: a lie ends here, not in memory. */
const limits = {
  vocabSize: 16_777_216,
  width: 131_072,
  mlpWidth: 1_048_576,
  layers: 1024,
  heads: 1024,
  headSize: 1024,
  positions: 134_217_728,
  tokenIds: 1024,
  softcap: 1e6,
} as const;

/**
 * Reads config.json of a Hugging Face checkpoint, in the layouts of transformers 4 (`rope_theta`, `rope_scaling`) and 5
 * (`rope_parameters`). Absent keys mean what Hugging Face's configuration class of the family says, but the sizes of
 * the model, which must be there.
 *
 * @param file names the file in errors.
 * @throws ModelError for an architecture that is not supported (family, activation, rotary kind, quantised weights);
 *   ParseError for a value that cannot be.
 */
export function parseConfig(json: JsonObject, file: string): ModelConfig {
  const fields = jsonFields(json, file);
  const modelType = fields.optionalString('model_type');
  if (modelType === undefined) throw fields.wrong('model_type', `one of ${[...families.keys()].join(', ')}`);
  const family = familyOf(modelType);
  refuseUnsupported(fields, family);
  const sizes = parseSizes(fields, family);
  const { defaults } = family;
  return {
    modelType,
    ...sizes,
    normEps: fields.optionalNumber('rms_norm_eps', 0, 1) ?? defaults.normEps ?? 1e-6,
    tiedEmbeddings: fields.optionalBoolean('tie_word_embeddings') ?? defaults.tiedEmbeddings ?? false,
    ...parseRopes(fields, family, sizes.maxPositions),
    windows: parseWindows(fields, family, sizes.layers),
    qkvBias: hasBias(fields, family.qkvBias),
    outputBias: hasBias(fields, family.outputBias),
    mlpBias: hasBias(fields, family.mlpBias),
    headNorm: family.weights.queryNorm === null ? 'none' : (family.headNormSpan ?? 'head'),
    ...parseArithmetic(fields, family, sizes),
    bosTokenId: tokenIds(fields, 'bos_token_id', defaults.bosTokenId, sizes.vocabSize)[0] ?? null,
    eosTokenIds: tokenIds(fields, 'eos_token_id', defaults.eosTokenId, sizes.vocabSize),
    padTokenId: tokenIds(fields, 'pad_token_id', null, sizes.vocabSize)[0] ?? null,
  };
}

/** What the sizes of a model and its special tokens are called. */
const outlineKeys = [
  'vocab_size',
  'hidden_size',
  'intermediate_size',
  'num_hidden_layers',
  'num_attention_heads',
  'num_key_value_heads',
  'head_dim',
  'max_position_embeddings',
  'bos_token_id',
  'eos_token_id',
  'pad_token_id',
];

/**
 * The sizes and special tokens of a model that another engine computes, whatever its family, its quantisation and its
 * arithmetic are; all else is a default without meaning. Models for text and more keep them under `text_config`.
 *
 * @throws ParseError where a size is missing or cannot be.
 */
export function outlineConfig(json: JsonObject, file: string): ModelConfig {
  const own = json['text_config'];
  const from = json['hidden_size'] === undefined && isJsonObject(own) ? own : json;
  const { model_type: named = 'unknown' } = json;
  const modelType = typeof named === 'string' ? named : 'unknown';
  const known = outlineKeys.flatMap((key): [string, Json][] =>
    from[key] === undefined ? [] : [[key, from[key]]],
  );
  const family = families.has(modelType) ? modelType : 'llama';
  return { ...parseConfig({ ...Object.fromEntries(known), model_type: family }, file), modelType };
}

type Sizes = Pick<
  ModelConfig,
  'vocabSize' | 'width' | 'layers' | 'heads' | 'kvHeads' | 'headSize' | 'mlpWidth' | 'maxPositions'
>;

function parseSizes(fields: JsonFields, { defaults }: Family): Sizes {
  const width = fields.integer('hidden_size', 1, limits.width);
  const heads = fields.integer('num_attention_heads', 1, limits.heads);
  const kvHeads =
    fields.optionalInteger('num_key_value_heads', 1, limits.heads) ??
    (fields.isNull('num_key_value_heads') || defaults.kvHeads === 'as heads' ? heads : defaults.kvHeads);
  if (heads % kvHeads !== 0) {
    throw fields.wrong('num_key_value_heads', `a divisor of num_attention_heads (${heads})`);
  }
  return {
    vocabSize: fields.integer('vocab_size', 1, limits.vocabSize),
    width,
    layers: fields.integer('num_hidden_layers', 1, limits.layers),
    heads,
    kvHeads,
    headSize: parseHeadSize(fields, width, heads, defaults.headSize),
    mlpWidth: fields.integer('intermediate_size', 1, limits.mlpWidth),
    maxPositions:
      fields.optionalInteger('max_position_embeddings', 1, limits.positions) ?? defaults.maxPositions,
  };
}

/** The rotary embedding turns pairs of values, so a head's size is even. */
function parseHeadSize(
  fields: JsonFields,
  width: number,
  heads: number,
  fallback: ConfigDefaults['headSize'],
): number {
  const given = fields.optionalInteger('head_dim', 2, limits.headSize);
  if (given !== undefined) {
    if (given % 2 !== 0) throw fields.wrong('head_dim', 'an even number');
    return given;
  }
  if (fallback !== 'width / heads' && !fields.isNull('head_dim')) return fallback;
  const size = width / heads;
  if (size % 2 !== 0 || size > limits.headSize) {
    throw fields.wrong(
      'hidden_size',
      `num_attention_heads (${heads}) times an even head size of at most ${limits.headSize}`,
    );
  }
  return size;
}

function parseWindows(fields: JsonFields, family: Family, layers: number): (number | null)[] {
  const none = Array.from<null>({ length: layers }).fill(null);
  if (family.windows === 'none') return none;
  const window =
    fields.optionalInteger('sliding_window', 1, limits.positions) ??
    (fields.isNull('sliding_window') ? null : family.defaults.slidingWindow);
  if (window === null) return none;
  if (family.windows === 'every-block') return none.map(() => window);
  if (family.windows === 'by-layer' && fields.optionalBoolean('use_sliding_window') !== true) return none;
  const types = fields.raw('layer_types');
  if (types === undefined) {
    const hasWindow = windowedLayers(fields, family);
    return none.map((_, layer) => (hasWindow(layer) ? window : null));
  }
  if (!Array.isArray(types) || types.length !== layers || !types.every(isLayerType)) {
    throw fields.wrong('layer_types', `a list of ${layers}, each full_attention or sliding_attention`);
  }
  return types.map((type) => (type === 'sliding_attention' ? window : null));
}

/** Which blocks have a window where `layer_types` does not say. */
function windowedLayers(fields: JsonFields, { windows, defaults }: Family): (layer: number) => boolean {
  if (typeof windows === 'object') {
    const every = fields.optionalInteger('sliding_window_pattern', 1, limits.layers) ?? windows.fullEvery;
    return (layer) => (layer + 1) % every !== 0;
  }
  const first = fields.optionalInteger('max_window_layers', 0, limits.layers) ?? defaults.maxWindowLayers;
  return (layer) => layer >= first;
}

function isLayerType(type: Json): boolean {
  return type === 'full_attention' || type === 'sliding_attention';
}

type Arithmetic = Pick<
  ModelConfig,
  'activation' | 'embeddingScale' | 'normOffset' | 'attentionScale' | 'attentionSoftcap' | 'logitSoftcap'
>;

/** How the family computes, where that is not the same for all. */
function parseArithmetic(fields: JsonFields, { gemma }: Family, { width, headSize }: Sizes): Arithmetic {
  if (gemma === undefined) {
    return {
      activation: 'silu',
      embeddingScale: 1,
      normOffset: 0,
      attentionScale: 1 / Math.sqrt(headSize),
      attentionSoftcap: null,
      logitSoftcap: null,
    };
  }
  const softcap = (name: string, fallback: number | null): number | null =>
    fields.optionalNumber(name, 0, limits.softcap) ?? (fields.isNull(name) ? null : fallback);
  const scalar = fields.optionalNumber('query_pre_attn_scalar', 0, limits.width) ?? 256;
  return {
    activation: 'gelu-tanh',
    // Hugging Face holds the factor in float32.
    embeddingScale: Math.fround(Math.sqrt(width)),
    normOffset: 1,
    attentionScale: 1 / Math.sqrt(scalar),
    attentionSoftcap: softcap('attn_logit_softcapping', gemma.attentionSoftcap),
    logitSoftcap: softcap('final_logit_softcapping', gemma.logitSoftcap),
  };
}

/** The rotary embedding of a block, counted from 0. */
export function ropeOf(config: ModelConfig, block: number): Rope {
  return config.windows[block] == null ? config.rope : (config.windowRope ?? config.rope);
}

function hasBias(fields: JsonFields, rule: BiasRule): boolean {
  if (typeof rule === 'string') return rule === 'always';
  return fields.optionalBoolean(rule.key) ?? false;
}

/**
 * A number or a list of them. Ids outside the vocabulary can be neither fed nor sampled and are left out: older
 * checkpoints write −1 for "none".
 */
function tokenIds(fields: JsonFields, name: string, fallback: number | null, vocabSize: number): number[] {
  const given = fields.raw(name) ?? (fields.isNull(name) ? [] : (fallback ?? []));
  const ids: readonly Json[] = Array.isArray(given) ? given : [given];
  if (ids.length > limits.tokenIds || !ids.every((id) => Number.isSafeInteger(id))) {
    throw fields.wrong(name, `an integer or a list of at most ${limits.tokenIds} integers`);
  }
  return (ids as readonly number[]).filter((id) => id >= 0 && id < vocabSize);
}

/** What would load and then compute something else than the checkpoint means is refused by name. */
function refuseUnsupported(fields: JsonFields, { gemma }: Family): void {
  const [key, known] =
    gemma === undefined
      ? (['hidden_act', 'silu'] as const)
      : (['hidden_activation', 'gelu_pytorch_tanh'] as const);
  const activation = fields.optionalString(key) ?? known;
  if (activation !== known) throw unsupported(fields, key, `"${known}"`, activation);
  if (gemma !== undefined && fields.optionalBoolean('use_bidirectional_attention') === true)
    throw unsupported(fields, 'use_bidirectional_attention', 'false', true);
  if (fields.raw('quantization_config') !== undefined) {
    const method = fields.optionalObject('quantization_config')?.raw('quant_method');
    throw unsupported(fields, 'quantization_config', 'F32, F16 or BF16 weights (no such key)', method);
  }
}
