import fc from 'fast-check';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  imEnd,
  imStart,
  thinkEnd,
  thinkStart,
  tinyTokenizer,
  tinyTokenizerJson,
  tinyVocabSize,
} from '../../test/helpers/tiny-tokenizer.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { ModelError, ParseError, PersonaError, UsageError } from '../errors.ts';
import { loadTokenizer, MAX_TOKENIZER_BYTES } from './tokenizer.ts';
import type { TextTokenizer } from './tokenizer.ts';

const stories = fileURLToPath(new URL('../../models/stories260K', import.meta.url));

async function folderWith(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const folder = await temporaryFolder();
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

/** Text with control tokens, lone surrogates, byte runs and everything else that trips tokenizers up. */
const hardText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc
    .array(
      fc.constantFrom(
        '<|im_end|>',
        '<|im_',
        'end|>',
        '<think>',
        '</think>',
        ' the',
        '\n',
        '\ud83d',
        '\u00e9',
        'e\u0301',
        ' ',
      ),
      { maxLength: 12 },
    )
    .map((parts) => parts.join('')),
);

describe('control tokens', () => {
  const tokenizer = tinyTokenizer();
  const text = 'a<|im_end|>b';

  it('become ids or stay text, as asked', () => {
    expect(tokenizer.encode(text, { special: true })).toEqual([...bytes('a'), imEnd, ...bytes('b')]);
    const plain = tokenizer.encode(text, { special: false });
    expect(plain).not.toContain(imEnd);
    expect(tokenizer.decode(plain)).toBe(text);
  });

  it('of the kind that is not special stay text as well', () => {
    expect(tokenizer.controlTokens.map(({ id }) => id)).toEqual([imStart, imEnd, thinkStart, thinkEnd]);
    expect(tokenizer.encode('<think>', { special: false })).not.toContain(thinkStart);
    expect(tokenizer.encode('<think>', { special: true })).toEqual([thinkStart]);
    expect(tokenizer.isSpecial(thinkStart)).toBe(false);
    expect(tokenizer.isSpecial(imEnd)).toBe(true);
  });

  it('are left out of decoded text on request', () => {
    const ids = [imStart, ...bytes('a'), thinkStart, imEnd];
    expect(tokenizer.decode(ids)).toBe('<|im_start|>a<think><|im_end|>');
    expect(tokenizer.decode(ids, { skipSpecial: true })).toBe('a<think>');
  });

  it('are never made from text that merges could join to one', () => {
    const json = tinyTokenizerJson();
    const model = json['model'] as { vocab: Record<string, number>; merges: string[] };
    const vocab = { ...model.vocab, '<s': 256 + 8, '<s>': 256 + 9 };
    const special = { id: 256 + 9, content: '<s>', special: true };
    const joined = tinyTokenizer(
      {
        model: { ...model, vocab, merges: [...model.merges, '< s', '<s >'] },
        added_tokens: [special],
        // Without its regular expression the pre-tokenizer cuts nothing.
        pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
      },
      {},
      256 + 10,
    );
    expect(joined.encode('<s>', { special: true })).toEqual([256 + 9]);
    expect(joined.encode('<s>', { special: false })).toEqual(bytes('<s>'));
  });

  it('that only tokenizer_config.json lists count', () => {
    const entry = { content: '<|extra|>', special: true };
    const extended = tinyTokenizer({}, { added_tokens_decoder: { 300: entry } }, 301);
    expect(extended.encode('<|extra|>', { special: true })).toEqual([300]);
    expect(extended.vocabSize).toBe(301);
  });

  it('take the white space that they claim', () => {
    const spaced = { id: imEnd, content: '<|im_end|>', special: true, lstrip: true, rstrip: true };
    const stripping = tinyTokenizer({ added_tokens: [spaced] });
    const [token] = stripping.addedTokens;
    expect(stripping.encodePieces(['a  ', token!, '\n b'])).toEqual([...bytes('a'), imEnd, ...bytes('b')]);
    expect(stripping.encode('a  <|im_end|>\n b', { special: true })).toEqual([
      ...bytes('a'),
      imEnd,
      ...bytes('b'),
    ]);
  });
});

describe('added tokens that are words', () => {
  it('are parsed whatever is asked', () => {
    const tokenizer = tinyTokenizer(
      { added_tokens: [{ id: 270, content: '    ', special: false }] },
      {},
      271,
    );
    expect(tokenizer.controlTokens).toEqual([]);
    expect(tokenizer.encode('a    b', { special: false })).toEqual([...bytes('a'), 270, ...bytes('b')]);
  });
});

describe('encodePrompt', () => {
  const template = {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<|im_start|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
  };
  const start = { bos_token: '<|im_start|>' };

  it('adds BOS where the post-processor does', () => {
    expect(tinyTokenizer().encodePrompt('a')).toEqual(bytes('a'));
    expect(tinyTokenizer({ post_processor: template }).encodePrompt('a')).toEqual([imStart, ...bytes('a')]);
    expect(tinyTokenizer({ post_processor: template }).encode('a', { special: true })).toEqual(bytes('a'));
  });

  it('follows add_bos_token for the Llama class, whatever the post-processor says', () => {
    const llama = { ...start, tokenizer_class: 'LlamaTokenizerFast' };
    const withBos = tinyTokenizer({}, { ...llama, add_bos_token: true });
    expect(withBos.encodePrompt('a')).toEqual([imStart, ...bytes('a')]);
    const without = tinyTokenizer({ post_processor: template }, { ...llama, add_bos_token: false });
    expect(without.encodePrompt('a')).toEqual(bytes('a'));
    const other = tinyTokenizer({}, { ...start, tokenizer_class: 'Qwen2Tokenizer', add_bos_token: true });
    expect(other.encodePrompt('a')).toEqual(bytes('a'));
  });
});

describe('decode', () => {
  const tokenizer = tinyTokenizer();

  it('gives ids in the padding of the embeddings no text', () => {
    expect(tokenizer.decode([...bytes('a'), 5_000, ...bytes('b')])).toBe('ab');
    expect(tokenizer.decode([])).toBe('');
  });

  it('refuses what is no id', () => {
    expect(() => tokenizer.decode([-1])).toThrow(UsageError);
    expect(() => tokenizer.decode([0.5])).toThrow(UsageError);
  });

  it('keeps the text as it is, spaces before punctuation included', () => {
    const config = { clean_up_tokenization_spaces: true };
    const asked = tinyTokenizer({}, config);
    expect(asked.decode(asked.encode("do n't , ever .", { special: false }))).toBe("do n't , ever .");
  });

  it('is the inverse of encode, whatever the text', () => {
    fc.assert(
      fc.property(hardText, (text) => {
        // NFC and UTF-8 are part of this tokenizer: lone surrogates become the replacement character.
        const expected = Buffer.from(text.normalize('NFC')).toString();
        expect(tokenizer.decode(tokenizer.encode(text, { special: false }))).toBe(expected);
      }),
    );
  });
});

describe('streamDecoder', () => {
  const tokenizer = tinyTokenizer();

  it('holds bytes back until they make a character', () => {
    const stream = tokenizer.streamDecoder();
    const written = bytes('a\u20acb').map((id) => stream.push(id));
    expect(written).toEqual(['a', '', '', '\u20ac', 'b']);
    expect(stream.end()).toBe('');
  });

  it('gives what is left at the end', () => {
    const stream = tokenizer.streamDecoder();
    expect(stream.push(bytes('\u20ac')[0]!)).toBe('');
    expect(stream.end()).toBe('\ufffd');
  });

  it.each([
    ['byte level', async (): Promise<TextTokenizer> => tinyTokenizer()],
    ['sentencepiece', async (): Promise<TextTokenizer> => (await loadTokenizer(stories, 512))!],
  ])('writes what decode writes, for any ids: %s', async (_, load) => {
    const loaded = await load();
    const ids = fc.array(fc.integer({ min: 0, max: loaded.vocabSize + 2 }), { maxLength: 30 });
    fc.assert(
      fc.property(ids, fc.boolean(), (tokens, skipSpecial) => {
        const stream = loaded.streamDecoder({ skipSpecial });
        const written = tokens.map((id) => stream.push(id)).join('') + stream.end();
        expect(written).toBe(loaded.decode(tokens, { skipSpecial }));
      }),
    );
  });
});

describe('the shipped tokenizer', () => {
  let tokenizer: TextTokenizer;
  beforeAll(async () => {
    tokenizer = (await loadTokenizer(stories, 512))!;
  });

  it('starts a prompt with BOS and finds its text again', () => {
    const text = 'Once upon a time, there was a little girl named Lily.\nShe said: "H\u00e9 \ud83d\ude42!"';
    const ids = tokenizer.encodePrompt(text);
    expect(ids.slice(0, 4)).toEqual([1, 403, 407, 261]);
    expect(tokenizer.decode(ids, { skipSpecial: true })).toBe(text);
  });

  it('knows where sentences end', () => {
    const spelled = ['.', '!', '?', '"', ',', '\u2581the', '<0x0A>', '</s>'];
    const ends = spelled.map((token) => tokenizer.endsSentence(tokenizer.tokenId(token)!));
    expect(ends).toEqual([true, true, true, false, false, false, true, false]);
    expect(tokenizer.endsSentence(512)).toBe(false);
    expect(tokenizer.endsSentence(-1)).toBe(false);
  });

  it('knows its tokens by spelling', () => {
    expect(tokenizer.tokenId('<s>')).toBe(1);
    expect(tokenizer.tokenId('no such token')).toBeNull();
    expect(tokenizer.vocabSize).toBe(512);
  });
});

describe('loadTokenizer', () => {
  it('is null without tokenizer.json', async () => {
    expect(await loadTokenizer(await folderWith({}), 512)).toBeNull();
  });

  it('refuses a tokenizer with an id that the model does not have, and says which', async () => {
    await expect(loadTokenizer(stories, 511)).rejects.toThrow(ModelError);
    await expect(loadTokenizer(stories, 511)).rejects.toThrow(
      'has token id 511, but the model knows 511 tokens',
    );
    expect(await loadTokenizer(stories, 600)).not.toBeNull();
  });

  it.each([
    ['not JSON', '{"model":'],
    ['not UTF-8', new Uint8Array([0x7b, 0xff, 0x7d])],
    ['a list', '[]'],
  ])('refuses a file that is %s', async (_, content) => {
    await expect(loadTokenizer(await folderWith({ 'tokenizer.json': content }), 512)).rejects.toThrow(
      ParseError,
    );
  });

  it('refuses files that are too long to be a tokenizer', async () => {
    const folder = await folderWith({ 'tokenizer.json': '{}' });
    await truncate(join(folder, 'tokenizer.json'), MAX_TOKENIZER_BYTES + 1);
    await expect(loadTokenizer(folder, 512)).rejects.toThrow(ParseError);
    await expect(loadTokenizer(folder, 512)).rejects.toThrow('134217729 bytes');
  });

  it('refuses a config that is malformed', async () => {
    const files = { 'tokenizer.json': JSON.stringify(tinyTokenizerJson()), 'tokenizer_config.json': '[]' };
    await expect(loadTokenizer(await folderWith(files), 512)).rejects.toThrow(ParseError);
  });

  it('throws nothing but its own errors, whatever the bytes', async () => {
    const folder = await folderWith({});
    const file = join(folder, 'tokenizer.json');
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        async (content) => {
          await writeFile(file, content);
          await expect(loadTokenizer(folder, 512)).rejects.toThrow(PersonaError);
        },
      ),
      { numRuns: 50 },
    );
  });
});

const regex = (pattern: string): object => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
});

describe('patterns that the file brings along', () => {
  it.each([
    ['pre-tokenizer', { pre_tokenizer: regex('(a+)+$') }],
    ['normalizer', { normalizer: { type: 'Replace', pattern: { Regex: '(a+)+$' }, content: '' } }],
  ])('are stopped when they run for too long: %s', (_, replaced) => {
    const tokenizer = tinyTokenizer(replaced, {}, tinyVocabSize, 50);
    const text = `${'a'.repeat(40)}!`;
    const message = 'ran for more than 0.05 s on a text of length 41';
    expect(() => tokenizer.encode(text, { special: false })).toThrow(message);
    expect(() => tokenizer.encode(text, { special: true })).toThrow(message);
    expect(() => tokenizer.encodePrompt(text)).toThrow(ModelError);
    expect(tokenizer.encode('fine', { special: false })).toHaveLength(4);
  });

  it('are stopped in decoders as well', () => {
    const replace = { type: 'Replace', pattern: { Regex: '(a+)+$' }, content: '' };
    const decoder = { type: 'Sequence', decoders: [{ type: 'Fuse' }, replace] };
    const tokenizer = tinyTokenizer({ decoder }, {}, tinyVocabSize, 50);
    expect(() => tokenizer.decode(bytes(`${'a'.repeat(40)}!`))).toThrow(ModelError);
    expect(tokenizer.decode(bytes('fine'))).toBe('fine');
  });
});

/** In the tiny vocabulary the id of a byte is the byte. */
function bytes(text: string): number[] {
  return [...Buffer.from(text)];
}
