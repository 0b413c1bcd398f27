import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adapterRank, adapterScale, isTargeted, parseAdapterConfig } from './adapter-config.ts';
import type { AdapterConfig } from './adapter-config.ts';
import type { Json, JsonObject } from './json-text.ts';
import { outcome } from '../../test/helpers/outcome.ts';
import { ModelError, ParseError } from '../errors.ts';

const plain: JsonObject = {
  peft_type: 'LORA',
  r: 4,
  lora_alpha: 8,
  target_modules: ['q_proj', 'mlp.up_proj'],
};

function parse(changes: JsonObject = {}): AdapterConfig {
  return parseAdapterConfig({ ...plain, ...changes }, 'adapter_config.json');
}

const q0 = 'model.layers.0.self_attn.q_proj';
const up1 = 'model.layers.1.mlp.up_proj';

describe('adapterScale', () => {
  it('is alpha / r, or alpha / √r with rs-LoRA', () => {
    expect(adapterScale(parse(), q0)).toBe(2);
    expect(adapterScale(parse({ use_rslora: true }), q0)).toBe(4);
  });

  it('follows the patterns of rank and alpha, the first that fits', () => {
    const config = parse({
      rank_pattern: { up_proj: 16, 'layers.1.mlp.up_proj': 1 },
      alpha_pattern: { [`^${q0}`]: 2, '^q_proj': 99 },
    });
    expect(adapterRank(config, q0)).toBe(4);
    expect(adapterRank(config, up1)).toBe(16);
    expect(adapterScale(config, up1)).toBe(0.5);
    expect(adapterScale(config, q0)).toBe(0.5);
    expect(adapterScale(config, 'model.layers.1.self_attn.q_proj')).toBe(2);
  });
});

describe('isTargeted', () => {
  it('compares the ends of module paths', () => {
    expect(isTargeted(parse(), q0, 0)).toBe(true);
    expect(isTargeted(parse(), up1, 1)).toBe(true);
    expect(isTargeted(parse(), 'model.layers.0.self_attn.k_proj', 0)).toBe(false);
    expect(isTargeted(parse({ target_modules: ['proj'] }), q0, 0)).toBe(false);
    expect(isTargeted(parse({ target_modules: [q0] }), q0, 0)).toBe(true);
  });

  it('leaves out other blocks and excluded modules', () => {
    expect(isTargeted(parse({ layers_to_transform: [1, 2] }), q0, 0)).toBe(false);
    expect(isTargeted(parse({ layers_to_transform: 1 }), up1, 1)).toBe(true);
    expect(isTargeted(parse({ layers_to_transform: [] }), q0, 0)).toBe(true);
    expect(isTargeted(parse({ exclude_modules: ['up_proj'] }), up1, 1)).toBe(false);
  });

  it('takes everything for all-linear, and leaves a pattern to the tensors', () => {
    expect(isTargeted(parse({ target_modules: 'all-linear' }), q0, 0)).toBe(true);
    expect(isTargeted(parse({ target_modules: String.raw`.*\.q_proj` }), q0, 0)).toBeNull();
  });
});

describe('parseAdapterConfig', () => {
  it.each<[string, Json]>([
    ['peft_type', 'IA3'],
    ['peft_type', null],
    ['bias', 'all'],
    ['use_dora', true],
    ['use_qalora', true],
    ['use_new_variant', { rank: 2 }],
    ['lora_bias', true],
    ['fan_in_fan_out', true],
    ['modules_to_save', ['lm_head']],
    ['layer_replication', [[0, 4]]],
    ['target_parameters', ['experts']],
    ['trainable_token_indices', { embed_tokens: [1] }],
    ['layers_pattern', 'h'],
    ['init_lora_weights', 'pissa_niter_16'],
    ['init_lora_weights', 'olora'],
    ['exclude_modules', '.*up'],
    ['rank_pattern', { '.*up': 2 }],
  ])('refuses %s of %j as not supported', (name, value) => {
    expect(() => parse({ [name]: value })).toThrow(ModelError);
    expect(() => parse({ [name]: value })).toThrow(
      new RegExp(`"adapter_config\\.json" asks for .* expected "${name}" to be .*, got .*; choose another`),
    );
  });

  it.each<[JsonObject, RegExp]>([
    [{ r: 0 }, /"r" to be an integer from 1/],
    [{ r: null }, /"r" to be an integer from 1 to 65536, got nothing/],
    [{ lora_alpha: '8' }, /"lora_alpha" to be a number above 0/],
    [{ target_modules: null }, /"target_modules" to be a list .*, got nothing/],
    [{ target_modules: [1] }, /"target_modules" to be a list of at most 10000 module names, got \[1\]/],
    [{ rank_pattern: { q_proj: 0.5 } }, /"rank_pattern\.q_proj" to be an integer/],
    [{ layers_to_transform: [-1] }, /"layers_to_transform" to be a block's index/],
  ])('refuses %j', (changes, message) => {
    expect(() => parse(changes)).toThrow(ParseError);
    expect(() => parse(changes)).toThrow(message);
  });

  it('takes the values that PEFT writes for options that are not used', () => {
    const unused = {
      bias: 'none',
      use_dora: false,
      use_bdlora: null,
      modules_to_save: [],
      layer_replication: null,
      layers_pattern: [],
      rank_pattern: {},
      loftq_config: {},
      init_lora_weights: 'gaussian',
      megatron_core: 'megatron.core',
      exclude_modules: null,
    };
    expect(parse(unused)).toEqual(parse());
  });

  it('parses any object or refuses it with an error of ours', async () => {
    const known = [...Object.keys(plain), 'rank_pattern', 'layers_to_transform', 'exclude_modules', 'bias'];
    const key = fc.oneof(fc.constantFrom(...known), fc.string());
    await fc.assert(
      fc.asyncProperty(fc.dictionary(key, fc.jsonValue()), async (made) => {
        const json = JSON.parse(JSON.stringify(made)) as JsonObject;
        const { value, error } = await outcome(() => parse(json));
        expect([null, 'ParseError', 'ModelError']).toContain(error);
        expect(adapterScale(value ?? parse(), q0)).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });
});
