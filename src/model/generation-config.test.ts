import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outcome } from '../../test/helpers/outcome.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { ModelError, ParseError } from '../errors.ts';
import type { ModelConfig } from './config.ts';
import { loadGenerationDefaults } from './generation-config.ts';
import type { GenerationDefaults } from './generation-config.ts';

const config = {
  vocabSize: 100,
  eosTokenIds: [2],
  bosTokenId: 1,
  padTokenId: null,
} as unknown as ModelConfig;

async function load(content: string | null): Promise<GenerationDefaults> {
  const folder = await temporaryFolder();
  if (content !== null) await writeFile(join(folder, 'generation_config.json'), content);
  return loadGenerationDefaults(folder, config);
}

describe('loadGenerationDefaults', () => {
  it('takes from config.json what the file does not say', async () => {
    const fromConfig = { eosTokenIds: [2], bosTokenId: 1, padTokenId: null };
    expect(await load(null)).toEqual(fromConfig);
    expect(await load('{}')).toEqual(fromConfig);
    expect(await load('{"eos_token_id": null, "temperature": null}')).toEqual(fromConfig);
  });

  it('reads every field', async () => {
    const file = {
      bos_token_id: 3,
      eos_token_id: [4, 5],
      pad_token_id: 6,
      do_sample: true,
      temperature: 0.7,
      top_p: 0.8,
      top_k: 20,
      repetition_penalty: 1.05,
      transformers_version: '4.41.2',
    };
    expect(await load(JSON.stringify(file))).toEqual({
      eosTokenIds: [4, 5],
      bosTokenId: 3,
      padTokenId: 6,
      doSample: true,
      temperature: 0.7,
      topP: 0.8,
      topK: 20,
      repetitionPenalty: 1.05,
    });
  });

  it('knows the ways to say that nothing is limited', async () => {
    expect((await load('{"eos_token_id": 7}')).eosTokenIds).toEqual([7]);
    expect(await load('{"top_k": 0}')).not.toHaveProperty('topK');
    expect(await load('{"top_k": -1}')).not.toHaveProperty('topK');
    expect((await load('{"temperature": 0}')).temperature).toBe(0);
  });

  it.each([
    '[]',
    '{"eos_token_id": "2"}',
    '{"eos_token_id": [2, "3"]}',
    '{"eos_token_id": -1}',
    '{"bos_token_id": 1.5}',
    '{"temperature": -1}',
    '{"temperature": "warm"}',
    '{"top_p": 0}',
    '{"top_p": 1.5}',
    '{"top_k": 2.5}',
    '{"do_sample": 1}',
    '{"repetition_penalty": 0}',
    '{',
  ])('refuses what is malformed: %s', async (content) => {
    await expect(load(content)).rejects.toThrow(ParseError);
  });

  it.each([
    '{"eos_token_id": 100}',
    '{"eos_token_id": [2, 5000]}',
    '{"bos_token_id": 100}',
    '{"pad_token_id": 100}',
  ])('refuses a token that the model does not have: %s', async (content) => {
    await expect(load(content)).rejects.toThrow(ModelError);
  });

  it('throws nothing but the errors of this package, whatever the file', async () => {
    const names = fc.constantFrom(
      'eos_token_id',
      'bos_token_id',
      'top_k',
      'top_p',
      'temperature',
      'do_sample',
    );
    const content = fc.oneof(
      fc.string(),
      fc.dictionary(names, fc.jsonValue()).map((value) => JSON.stringify(value)),
    );
    await fc.assert(
      fc.asyncProperty(content, async (text) => {
        const { value, error } = await outcome(() => load(text));
        expect([null, 'ParseError', 'ModelError']).toContain(error);
        const ids = value?.eosTokenIds ?? [];
        expect(ids.every((id) => Number.isInteger(id) && id >= 0 && id < 100)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});
