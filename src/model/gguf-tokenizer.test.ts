import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { describeWithShared, sharedPath } from '../../test/helpers/shared.ts';
import { ofMetadata, vocabularies } from '../../test/helpers/vocabularies.ts';
import { jsonFields } from './json-fields.ts';
import type { JsonObject } from './json-text.ts';
import { buildTokenizer } from './tokenizer.ts';

interface Qwen2 {
  readonly added_tokens: readonly { readonly id: number; readonly content: string }[];
  readonly model: { readonly vocab: Readonly<Record<string, number>>; readonly merges: readonly string[] };
}

describeWithShared('the tokenizer in GGUF metadata of Qwen 2', () => {
  it('encodes as llama.cpp does, and leaves out the places that only fill the vocabulary up', () => {
    const { model, added_tokens } = vocabularies.qwen2() as Qwen2;
    const tokens: string[] = [];
    for (const [token, id] of Object.entries(model.vocab)) tokens[id] = token;
    for (const { id, content } of added_tokens) tokens[id] = content;
    const known = tokens.length;
    for (let id = known; id < 151_936; id++) tokens[id] = `[PAD${id}]`;
    const control = new Set(added_tokens.map(({ id }) => id));
    const document = ofMetadata({
      'general.architecture': 'qwen2',
      'tokenizer.ggml.model': 'gpt2',
      'tokenizer.ggml.pre': 'qwen2',
      'tokenizer.ggml.tokens': tokens,
      'tokenizer.ggml.token_type': tokens.map((_, id) => (id >= known ? 5 : control.has(id) ? 3 : 1)),
      'tokenizer.ggml.merges': model.merges,
      'tokenizer.ggml.add_bos_token': false,
    });
    const tokenizer = buildTokenizer(
      jsonFields(document as JsonObject, 'vocabulary.gguf'),
      jsonFields({}, 'vocabulary.gguf'),
      151_936,
    );
    expect(tokenizer.vocabSize).toBe(known);
    const file = sharedPath('data/tokenizers/llama.cpp-vocab/ggml-vocab-qwen2.gguf');
    const texts = readFileSync(`${file}.inp`, 'utf8').split('\n__ggml_vocab_test__\n').slice(0, -1);
    const lines = readFileSync(`${file}.out`, 'utf8').split('\n').slice(0, -1);
    expect(texts.length).toBe(lines.length);
    for (const [i, text] of texts.entries()) {
      const ids = lines[i]!.split(' ').filter((id) => id !== '');
      expect([text, ...tokenizer.encode(text, { special: false })]).toEqual([text, ...ids.map(Number)]);
    }
  });
});
