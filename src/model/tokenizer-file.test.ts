import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outcome } from '../../test/helpers/outcome.ts';
import { tinyTokenizer, tinyTokenizerJson, tinyVocabSize } from '../../test/helpers/tiny-tokenizer.ts';
import { ModelError, ParseError } from '../errors.ts';

const model = tinyTokenizerJson()['model'] as Record<string, unknown>;
const regex = (pattern: string): object => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
});

describe('a malformed tokenizer', () => {
  it.each<[string, Record<string, unknown>, string]>([
    ['no model', { model: null }, 'expected "model" to be an object, got nothing'],
    ['a vocabulary that is a list', { model: { ...model, vocab: [] } }, '"model.vocab"'],
    ['a negative id', { model: { ...model, vocab: { a: -1 } } }, 'an id from 0'],
    ['an id that is text', { model: { ...model, vocab: { a: '1' } } }, 'an id from 0'],
    ['a huge id', { model: { ...model, vocab: { a: 4e9 } } }, 'got 4000000000'],
    ['merges that are no list', { model: { ...model, merges: {} } }, '"model.merges"'],
    ['a merge of three', { model: { ...model, merges: ['t h e'] } }, 'two parts of a token'],
    ['a merge to no token', { model: { ...model, merges: ['q q'] } }, 'two parts of a token'],
    [
      'an unknown token that is none',
      { model: { ...model, unk_token: '<unk>' } },
      'a token of the vocabulary',
    ],
    ['added tokens that are no list', { added_tokens: {} }, '"added_tokens" to be a list'],
    ['an added token that is text', { added_tokens: ['a'] }, '"added_tokens.0" to be an object'],
    ['an added token without text', { added_tokens: [{ id: 1, content: '' }] }, 'added_tokens.0.content'],
    ['an added token without id', { added_tokens: [{ content: 'a' }] }, 'added_tokens.0.id'],
    ['a component that is text', { decoder: 'ByteLevel' }, '"decoder" to be an object'],
    ['a component without type', { decoder: {} }, '"decoder.type"'],
    ['a pattern that is no object', { pre_tokenizer: { ...regex('a'), pattern: 'a' } }, 'pattern'],
    ['a pattern that cannot be read', { pre_tokenizer: regex('(') }, 'describes no tokenizer that works'],
    ['a member that is text', { normalizer: { type: 'Sequence', normalizers: ['NFC'] } }, 'normalizers.0'],
    ['a sequence without members', { normalizer: { type: 'Sequence' } }, 'normalizers'],
    ['a strip without end', { decoder: { type: 'Strip', content: ' ', start: 1e9 } }, 'from 0 to 1000'],
    ['a template that is text', { post_processor: { type: 'TemplateProcessing', single: 'A' } }, 'single'],
  ])('is refused: %s', (_, replaced, message) => {
    expect(() => tinyTokenizer(replaced)).toThrow(ParseError);
    expect(() => tinyTokenizer(replaced)).toThrow(message);
  });

  it.each<[string, Record<string, unknown>]>([
    ['a token that is a number', { bos_token: 1 }],
    ['added tokens that are a list', { added_tokens_decoder: [] }],
    ['an added token whose id is a word', { added_tokens_decoder: { x: { content: 'a' } } }],
    ['a switch that is text', { tokenizer_class: 'LlamaTokenizer', add_bos_token: 'yes' }],
  ])('is refused for its config: %s', (_, config) => {
    expect(() => tinyTokenizer({}, config)).toThrow(ParseError);
  });

  it('throws nothing but its own errors, whatever a part is replaced by', async () => {
    const parts = fc.constantFrom(
      'added_tokens',
      'normalizer',
      'pre_tokenizer',
      'post_processor',
      'decoder',
      'model',
    );
    const types = [
      'Sequence',
      'Split',
      'Replace',
      'Strip',
      'Metaspace',
      'ByteLevel',
      'TemplateProcessing',
      'BPE',
    ];
    const value = fc.oneof(
      fc.jsonValue(),
      fc.record(
        {
          type: fc.constantFrom(...types),
          pattern: fc.record({ Regex: fc.string() }),
          behavior: fc.constantFrom('Isolated', 'Removed'),
          content: fc.string(),
          single: fc.jsonValue(),
          vocab: fc.dictionary(fc.string(), fc.nat(tinyVocabSize - 1)),
          merges: fc.array(fc.string()),
          normalizers: fc.jsonValue(),
        },
        { requiredKeys: ['type'] },
      ),
    );
    await fc.assert(
      fc.asyncProperty(parts, value, fc.string(), async (part, replacement, text) => {
        const { error } = await outcome(() => {
          const tokenizer = tinyTokenizer({ [part]: replacement });
          return tokenizer.decode(tokenizer.encodePrompt(text));
        });
        expect([null, 'ParseError', 'ModelError']).toContain(error);
      }),
      { numRuns: 300 },
    );
  });
});

describe('a tokenizer that cannot be run exactly', () => {
  it.each<[string, Record<string, unknown>, string]>([
    ['another model', { model: { ...model, type: 'Unigram' } }, 'a Unigram vocabulary'],
    ['suffixes', { model: { ...model, end_of_word_suffix: '</w>' } }, 'end_of_word_suffix'],
    ['an unknown normalizer', { normalizer: { type: 'Precompiled' } }, 'the normalizer "Precompiled"'],
    ['an inherited name', { normalizer: { type: 'constructor' } }, 'the normalizer "constructor"'],
    [
      'a split that merges',
      { pre_tokenizer: { ...regex('a'), behavior: 'MergedWithPrevious' } },
      'behavior "MergedWithPrevious"',
    ],
    ['whole words', { added_tokens: [{ id: 1, content: 'a', single_word: true }] }, 'single_word'],
    ['deep nesting', { normalizer: nested(40) }, 'nested too deeply'],
    [
      'words that reach over others',
      { model: { ...model, vocab: { 'a\u2581b': 0 }, merges: [] }, pre_tokenizer: { type: 'Metaspace' } },
      'a Metaspace that splits',
    ],
  ])('is refused by name: %s', (_, replaced, message) => {
    expect(() => tinyTokenizer(replaced)).toThrow(ModelError);
    expect(() => tinyTokenizer(replaced)).toThrow(message);
  });
});

function nested(depth: number): object {
  return depth === 0 ? { type: 'NFC' } : { type: 'Sequence', normalizers: [nested(depth - 1)] };
}
