import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConfig } from './config.ts';
import type { ModelConfig } from './config.ts';
import { families } from './families/index.ts';
import type { JsonObject } from './json-text.ts';
import { outcome } from '../../test/helpers/outcome.ts';
import { ModelError, ParseError } from '../errors.ts';

/** The keys that every configuration must have, for a model of four blocks. */
const sizes = {
  vocab_size: 320,
  hidden_size: 64,
  intermediate_size: 160,
  num_hidden_layers: 4,
  num_attention_heads: 4,
} as const;

function parse(modelType: string, changes: JsonObject = {}): ModelConfig {
  return parseConfig({ ...sizes, model_type: modelType, ...changes }, 'config.json');
}

describe('parseConfig', () => {
  it('fills in what Hugging Face does for llama', () => {
    expect(parse('llama')).toEqual({
      modelType: 'llama',
      vocabSize: 320,
      width: 64,
      layers: 4,
      heads: 4,
      kvHeads: 4,
      headSize: 16,
      mlpWidth: 160,
      normEps: 1e-6,
      tiedEmbeddings: false,
      maxPositions: 2048,
      rope: { theta: 10_000, scaling: { kind: 'default' } },
      windowRope: null,
      windows: [null, null, null, null],
      qkvBias: false,
      outputBias: false,
      mlpBias: false,
      headNorm: 'none',
      activation: 'silu',
      embeddingScale: 1,
      normOffset: 0,
      attentionScale: 1 / Math.sqrt(16),
      attentionSoftcap: null,
      logitSoftcap: null,
      bosTokenId: 1,
      eosTokenIds: [2],
      padTokenId: null,
    });
  });

  it('fills in what Hugging Face does for the other families', () => {
    const many = { num_attention_heads: 32, hidden_size: 512 };
    expect(parse('qwen2', many)).toMatchObject({
      kvHeads: 32,
      headSize: 16,
      maxPositions: 32_768,
      windows: [null, null, null, null],
      qkvBias: true,
      outputBias: false,
      mlpBias: false,
      bosTokenId: null,
      eosTokenIds: [],
    });
    expect(parse('qwen3', many)).toMatchObject({ headSize: 128, headNorm: 'head', qkvBias: false });
    expect(parse('mistral', many)).toMatchObject({
      kvHeads: 8,
      maxPositions: 131_072,
      windows: [4096, 4096, 4096, 4096],
      bosTokenId: 1,
      eosTokenIds: [2],
    });
  });

  it('takes null for "as many as heads", "width / heads" and "no window"', () => {
    const nulls = { num_key_value_heads: null, head_dim: null, sliding_window: null, eos_token_id: null };
    for (const modelType of families.keys()) {
      expect(parse(modelType, nulls)).toMatchObject({
        kvHeads: 4,
        headSize: 16,
        windows: [null, null, null, null],
        eosTokenIds: [],
      });
    }
  });

  it('reads what is given', () => {
    const given = {
      num_key_value_heads: 2,
      head_dim: 32,
      max_position_embeddings: 512,
      rms_norm_eps: 1e-5,
      tie_word_embeddings: true,
      attention_bias: true,
      mlp_bias: true,
      bos_token_id: 3,
      eos_token_id: [4, 5],
      pad_token_id: 0,
      rope_theta: 5e5,
    };
    expect(parse('llama', given)).toMatchObject({
      kvHeads: 2,
      headSize: 32,
      maxPositions: 512,
      normEps: 1e-5,
      tiedEmbeddings: true,
      qkvBias: true,
      outputBias: true,
      mlpBias: true,
      bosTokenId: 3,
      eosTokenIds: [4, 5],
      padTokenId: 0,
      rope: { theta: 5e5 },
    });
    const qwen3 = { attention_bias: true, mlp_bias: true, num_key_value_heads: 2 };
    expect(parse('qwen3', qwen3)).toMatchObject({ qkvBias: true, outputBias: true, mlpBias: false });
    const mistral = { attention_bias: true, num_key_value_heads: 2 };
    expect(parse('mistral', mistral)).toMatchObject({ qkvBias: false, outputBias: false });
  });

  it('leaves out ids that the vocabulary does not have', () => {
    const ids = { bos_token_id: -1, eos_token_id: [320, 319], pad_token_id: -1 };
    expect(parse('llama', ids)).toMatchObject({ bosTokenId: null, eosTokenIds: [319], padTokenId: null });
  });

  it.each(['qwen2', 'qwen3'])('gives %s a window only where it is switched on, by layer', (modelType) => {
    const window = { num_key_value_heads: 4, sliding_window: 8, max_window_layers: 3 };
    const windows = (changes: JsonObject): ModelConfig['windows'] =>
      parse(modelType, { ...window, ...changes }).windows;
    const layer_types = ['sliding_attention', 'full_attention', 'full_attention', 'sliding_attention'];
    expect(windows({})).toEqual([null, null, null, null]);
    expect(windows({ layer_types })).toEqual([null, null, null, null]);
    expect(windows({ use_sliding_window: true })).toEqual([null, null, null, 8]);
    expect(windows({ use_sliding_window: true, max_window_layers: 0 })).toEqual([8, 8, 8, 8]);
    expect(windows({ use_sliding_window: true, max_window_layers: 28 })).toEqual([null, null, null, null]);
    expect(windows({ use_sliding_window: true, layer_types })).toEqual([8, null, null, 8]);
  });

  it('gives every block of mistral the window', () => {
    const changes = { num_key_value_heads: 4, sliding_window: 8 };
    expect(parse('mistral', changes).windows).toEqual([8, 8, 8, 8]);
    expect(parse('llama', changes).windows).toEqual([null, null, null, null]);
  });

  it.each<[string, JsonObject, RegExp]>([
    ['no size', { hidden_size: null }, /"hidden_size" to be an integer from 1 to 131072, got nothing/],
    ['a text for a size', { hidden_size: '64' }, /"hidden_size" to be an integer .*, got "64"/],
    ['a fraction', { num_hidden_layers: 1.5 }, /"num_hidden_layers" .* got 1\.5/],
    ['zero', { vocab_size: 0 }, /"vocab_size" .* got 0/],
    [
      'a lie',
      { num_hidden_layers: 1e9 },
      /"num_hidden_layers" to be an integer from 1 to 1024, got 1000000000/,
    ],
    [
      'kv heads that do not divide',
      { num_key_value_heads: 3 },
      /a divisor of num_attention_heads \(4\), got 3/,
    ],
    ['more kv heads than heads', { num_key_value_heads: 8 }, /a divisor of num_attention_heads \(4\), got 8/],
    ['an odd head', { head_dim: 15 }, /"head_dim" to be an even number, got 15/],
    [
      'a width that heads do not divide',
      { hidden_size: 66 },
      /"hidden_size" to be .*\(4\) times an even head size/,
    ],
    ['an eps of zero', { rms_norm_eps: 0 }, /"rms_norm_eps" to be a number above 0 and at most 1, got 0/],
    ['a text for a switch', { tie_word_embeddings: 'no' }, /to be true or false, got "no"/],
    ['ids that are text', { eos_token_id: ['</s>'] }, /"eos_token_id" to be an integer or a list/],
    ['theta of zero', { rope_theta: 0 }, /"rope_theta" to be a number above 0/],
    [
      'rotary settings that are no object',
      { rope_scaling: 'yarn' },
      /"rope_scaling" to be an object, got "yarn"/,
    ],
    [
      'no factor',
      { rope_scaling: { type: 'linear' } },
      /"rope_scaling\.factor" to be a number .* got nothing/,
    ],
  ])('refuses %s', (_, changes, message) => {
    expect(() => parse('llama', changes)).toThrow(ParseError);
    expect(() => parse('llama', changes)).toThrow(message);
  });

  it.each<[JsonObject, RegExp]>([
    [{ layer_types: ['full_attention'] }, /"layer_types" to be a list of 4, .* got \["full_attention"\]/],
    [{ layer_types: ['a', 'a', 'a', 'a'] }, /each full_attention or sliding_attention, got \["a","a"/],
    [{ sliding_window: 0 }, /"sliding_window" to be an integer from 1/],
    [{ max_window_layers: -1 }, /"max_window_layers" to be an integer from 0/],
  ])('refuses the windows %j', (changes, message) => {
    const window = { num_key_value_heads: 4, use_sliding_window: true };
    expect(() => parse('qwen2', { ...window, ...changes })).toThrow(message);
  });

  it.each<[string, JsonObject, RegExp]>([
    [
      'an unknown family',
      { model_type: 'mamba' },
      /a model_type of llama, mistral, qwen2, qwen3, gemma2, gemma3_text, phi3, olmo2, got "mamba"/,
    ],
    ['a family of JavaScript', { model_type: '__proto__' }, /got "__proto__"/],
    ['another activation', { hidden_act: 'gelu' }, /"hidden_act" to be "silu", got "gelu"/],
    [
      'quantised weights',
      { quantization_config: { quant_method: 'gptq' } },
      /F32, F16 or BF16 weights .* got "gptq"/,
    ],
    [
      'a part of the head turned',
      { partial_rotary_factor: 0.5 },
      /"partial_rotary_factor" to be 1, got 0\.5/,
    ],
  ])('refuses %s as not supported', (_, changes, message) => {
    expect(() => parse('llama', changes)).toThrow(ModelError);
    expect(() => parse('llama', changes)).toThrow(message);
  });

  it('refuses a configuration without a family', () => {
    expect(() => parseConfig(sizes, 'c.json')).toThrow(
      /"c\.json": expected "model_type" to be one of llama, /,
    );
  });
});

describe('rotary embeddings', () => {
  const llama3 = {
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 64,
  };
  const llama3Scaling = {
    kind: 'llama3',
    factor: 8,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositions: 64,
  };
  it.each<[string, JsonObject, number, object]>([
    ['nothing', {}, 10_000, { kind: 'default' }],
    ['null', { rope_theta: 1e6, rope_scaling: null }, 1e6, { kind: 'default' }],
    [
      'the oldest layout',
      { rope_scaling: { type: 'linear', factor: 2 } },
      1e4,
      { kind: 'linear', factor: 2 },
    ],
    ['version 4', { rope_theta: 5e5, rope_scaling: { rope_type: 'llama3', ...llama3 } }, 5e5, llama3Scaling],
    [
      'both keys',
      { rope_scaling: { type: 'x', rope_type: 'linear', factor: 3 } },
      1e4,
      { kind: 'linear', factor: 3 },
    ],
    [
      'version 5',
      { rope_parameters: { rope_type: 'llama3', rope_theta: 7e4, ...llama3 } },
      7e4,
      llama3Scaling,
    ],
    [
      'version 5, default',
      { rope_parameters: { rope_type: 'default', rope_theta: 7 } },
      7,
      { kind: 'default' },
    ],
    ['version 5, theta outside', { rope_theta: 9, rope_parameters: {} }, 9, { kind: 'default' }],
  ])('reads %s', (_, changes, theta, scaling) => {
    expect(parse('llama', changes)).toMatchObject({ rope: { theta, scaling } });
  });

  it.each(['yarn', 'dynamic', 'longrope', 'su', 'proportional', 'toString'])('refuses %s by name', (kind) => {
    const message = new RegExp(`a rotary kind of default, linear, llama3, got "${kind}"`);
    for (const changes of [{ rope_scaling: { type: kind } }, { rope_parameters: { rope_type: kind } }]) {
      expect(() => parse('llama', changes)).toThrow(ModelError);
      expect(() => parse('llama', changes)).toThrow(message);
    }
  });

  it('refuses settings by layer type, and a ramp without a slope', () => {
    const byType = { rope_parameters: { full_attention: { rope_type: 'default' } } };
    expect(() => parse('llama', byType)).toThrow(/one rotary embedding for all layers/);
    const flat = { rope_scaling: { rope_type: 'llama3', ...llama3, high_freq_factor: 1 } };
    expect(() => parse('llama', flat)).toThrow(
      /"rope_scaling\.high_freq_factor" to be above low_freq_factor \(1\)/,
    );
  });
});

describe('any config.json', () => {
  const keys = (
    'num_key_value_heads head_dim max_position_embeddings rms_norm_eps tie_word_embeddings rope_theta ' +
    'rope_scaling rope_parameters layer_types sliding_window use_sliding_window max_window_layers ' +
    'eos_token_id bos_token_id attention_bias hidden_act __proto__'
  ).split(' ');
  const value = fc.oneof(
    fc.integer({ min: -1, max: 9 }),
    fc.double(),
    fc.boolean(),
    fc.constantFrom(null, 'silu', 'linear', 'full_attention'),
    fc.array(fc.oneof(fc.integer(), fc.constant('full_attention')), { maxLength: 5 }),
    fc.dictionary(fc.constantFrom('type', 'factor', 'rope_theta'), fc.jsonValue()),
    fc.jsonValue(),
  );

  it('parses, with heads and windows that fit, or is refused with an error of ours', async () => {
    const changes = fc.dictionary(fc.constantFrom(...Object.keys(sizes), ...keys), value, { maxKeys: 3 });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...families.keys()), changes, async (modelType, changed) => {
        const json = JSON.parse(JSON.stringify(changed)) as JsonObject;
        const { value: config, error } = await outcome(() => parse(modelType, json));
        expect([null, 'ParseError', 'ModelError']).toContain(error);
        const { heads, kvHeads, headSize, windows, layers } = config ?? parse('llama');
        expect(heads % kvHeads).toBe(0);
        expect(headSize % 2).toBe(0);
        expect(windows).toHaveLength(layers);
      }),
      { numRuns: 1000 },
    );
  });
});
