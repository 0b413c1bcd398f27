import { jsonFields } from '../../src/model/json-fields.ts';
import type { JsonObject } from '../../src/model/json-text.ts';
import { buildTokenizer } from '../../src/model/tokenizer.ts';
import type { TextTokenizer } from '../../src/model/tokenizer.ts';
import { byteAlphabet } from './vocabularies.ts';

export const imStart = 256 + 4;
export const imEnd: number = imStart + 1;
export const thinkStart: number = imStart + 2;
export const thinkEnd: number = imStart + 3;
export const tinyVocabSize: number = imStart + 4;

/** A byte-level tokenizer of 256 bytes, four merges ("th", "the", " the", "..") and ChatML's control tokens. */
export function tinyTokenizerJson(): Record<string, unknown> {
  const merged = ['th', 'the', '\u0120the', '..'];
  const added = (id: number, content: string, special: boolean): object => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special,
  });
  return {
    version: '1.0',
    added_tokens: [
      added(imStart, '<|im_start|>', true),
      added(imEnd, '<|im_end|>', true),
      added(thinkStart, '<think>', false),
      added(thinkEnd, '</think>', false),
    ],
    normalizer: { type: 'NFC' },
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      vocab: Object.fromEntries([...byteAlphabet, ...merged].map((token, id) => [token, id])),
      merges: ['t h', 'th e', '\u0120 the', '. .'],
    },
  };
}

/** `tinyTokenizerJson` built, with top-level parts of both files replaced. */
export function tinyTokenizer(
  replaced: Readonly<Record<string, unknown>> = {},
  config: Readonly<Record<string, unknown>> = {},
  vocabSize: number = tinyVocabSize,
  milliseconds?: number,
): TextTokenizer {
  const fields = (value: object, file: string): ReturnType<typeof jsonFields> =>
    jsonFields(JSON.parse(JSON.stringify(value)) as JsonObject, file);
  return buildTokenizer(
    fields({ ...tinyTokenizerJson(), ...replaced }, 'tokenizer.json'),
    fields(config, 'tokenizer_config.json'),
    vocabSize,
    milliseconds,
  );
}
