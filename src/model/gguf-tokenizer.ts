/** What a GGUF file's metadata say of text, as the `tokenizer.json` and `tokenizer_config.json` of Hugging Face. */

import { tokenId } from './gguf-config.ts';
import type { JsonFields } from './json-fields.ts';
import type { Json } from './json-text.ts';
import {
  addedToken,
  beginWith,
  type PieceKind,
  type SentencePiece,
  tokenizerJson,
} from './sentencepiece-json.ts';
import { ModelError } from '../errors.ts';

export interface GgufTokenizer {
  /** `tokenizer.json`. */
  readonly document: object;
  /** `tokenizer_config.json`, with the chat template where there is one. */
  readonly config: object;
  /** Control tokens that end a reply beside the one that the metadata name. */
  readonly otherEnds: readonly number[];
}

/**
 * The tokenizer of a GGUF file: byte-level BPE (`gpt2`) or sentencepiece (`llama`); null where the metadata have none.
 *
 * @throws ModelError for another kind, or a way of cutting words that is not known; ParseError for a malformed vocabulary.
 */
export function ggufTokenizer(fields: JsonFields): GgufTokenizer | null {
  const model = fields.optionalString('tokenizer.ggml.model');
  if (model === undefined) return null;
  if (model !== 'gpt2' && model !== 'llama')
    throw refused(fields, 'tokenizer.ggml.model', 'gpt2 or llama', model);
  const pieces = readPieces(fields, model);
  const words = model === 'gpt2' ? wordRules(fields) : null;
  const addBos = fields.optionalBoolean('tokenizer.ggml.add_bos_token') ?? words?.addBos ?? true;
  const byId = new Map(pieces.map((piece) => [piece.id, piece]));
  const spelling = (name: string): string | null => byId.get(tokenId(fields, name) ?? -1)?.text ?? null;
  const bos = byId.get(tokenId(fields, 'bos') ?? -1) ?? null;
  const prefixSpace = fields.optionalBoolean('tokenizer.ggml.add_space_prefix') ?? true;
  return {
    document:
      words === null
        ? tokenizerJson(pieces, { bos: addBos ? bos : null, prefixSpace })
        : byteLevelJson(fields, pieces, words, addBos ? bos : null),
    config: {
      tokenizer_class: words === null ? 'LlamaTokenizer' : 'PreTrainedTokenizerFast',
      add_bos_token: addBos,
      bos_token: bos?.text ?? null,
      eos_token: spelling('eos'),
      pad_token: spelling('padding'),
      unk_token: pieces.find(({ kind }) => kind === 'unknown')?.text ?? null,
      clean_up_tokenization_spaces: false,
      ...(fields.raw('tokenizer.chat_template') === undefined
        ? {}
        : { chat_template: fields.optionalString('tokenizer.chat_template') }),
    },
    otherEnds: pieces
      .filter(({ text, kind }) => kind !== 'normal' && replyEnds.has(text))
      .map(({ id }) => id),
  };
}

/** Metadata name one end, models have several; these spellings mean nothing else in any model in use. */
const replyEnds: ReadonlySet<string> = new Set([
  '<|im_end|>',
  '<|endoftext|>',
  '<|eot_id|>',
  '<|eom_id|>',
  '<|end_of_text|>',
  '<|end|>',
]);

/** By the format's numbers; 5 is for places in the vocabulary that nothing uses. */
const kinds: readonly (PieceKind | 'unused' | null)[] = [
  null,
  'normal',
  'unknown',
  'control',
  'user',
  'unused',
  'byte',
];

/** The vocabulary without the places that only fill it up; those have no spelling that a text could mean. */
function readPieces(fields: JsonFields, model: string): SentencePiece[] {
  const texts = list(fields, 'tokenizer.ggml.tokens', null, isText);
  const types = list(fields, 'tokenizer.ggml.token_type', texts.length, isKind);
  const scores =
    model === 'llama' ? list(fields, 'tokenizer.ggml.scores', texts.length, isNumber) : undefined;
  const pieces: SentencePiece[] = [];
  const known = new Map<string, number>();
  for (const [id, text] of texts.entries()) {
    const kind = kinds[types[id]!]!;
    if (kind === 'unused') continue;
    const other = known.get(text);
    if (other !== undefined)
      throw refused(
        fields,
        'tokenizer.ggml.tokens',
        'every token once',
        `${JSON.stringify(text.slice(0, 40))} as ${other} and ${id}`,
      );
    known.set(text, id);
    pieces.push({ id, text, kind, score: scores?.[id] ?? 0 });
  }
  return pieces;
}

/** A list of the metadata, of `length` where that is known. */
function list<T extends Json>(
  fields: JsonFields,
  name: string,
  length: number | null,
  test: (value: Json) => value is T,
): readonly T[] {
  const found = fields.raw(name);
  if (
    !Array.isArray(found) ||
    found.length === 0 ||
    !found.every(test) ||
    found.length !== (length ?? found.length)
  )
    throw fields.wrong(name, length === null ? 'a list of texts' : `a list of ${length}, one a token`);
  return found;
}

function isText(value: Json): value is string {
  return typeof value === 'string';
}

function isNumber(value: Json): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isKind(value: Json): value is number {
  return typeof value === 'number' && typeof kinds[value] === 'string';
}

/** How a byte-level vocabulary cuts a text into words, which the metadata only name. */
interface WordRules {
  readonly normalizer: object | null;
  readonly preTokenizer: object;
  readonly ignoreMerges: boolean;
  /** Where the metadata do not say. */
  readonly addBos: boolean;
}

const bytesOnly = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };

function isolated(expression: string): object {
  return {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Split', pattern: { Regex: expression }, behavior: 'Isolated', invert: false },
      bytesOnly,
    ],
  };
}

/** The two differ in how many digits stand together. */
function wordPattern(digits: string): string {
  return `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
}

const gpt2Words: WordRules = {
  normalizer: null,
  preTokenizer: { ...bytesOnly, use_regex: true },
  ignoreMerges: false,
  addBos: false,
};
const qwen2Words: WordRules = {
  normalizer: { type: 'NFC' },
  preTokenizer: isolated(wordPattern('\\p{N}')),
  ignoreMerges: false,
  addBos: false,
};
const llama3Words: WordRules = {
  normalizer: null,
  preTokenizer: isolated(wordPattern('\\p{N}{1,3}')),
  ignoreMerges: true,
  addBos: true,
};
const smollmWords: WordRules = {
  ...gpt2Words,
  preTokenizer: {
    type: 'Sequence',
    pretokenizers: [{ type: 'Digits', individual_digits: true }, gpt2Words.preTokenizer],
  },
};

/** By `tokenizer.ggml.pre`. */
const wordRulesByName: Readonly<Record<string, WordRules>> = {
  'gpt-2': gpt2Words,
  qwen2: qwen2Words,
  'deepseek-r1-qwen': qwen2Words,
  'llama-bpe': llama3Words,
  'llama-v3': llama3Words,
  llama3: llama3Words,
  smollm: smollmWords,
};

function wordRules(fields: JsonFields): WordRules {
  const name = fields.optionalString('tokenizer.ggml.pre');
  // Files from before the key: Qwen's models all cut words alike.
  const architecture = fields.optionalString('general.architecture') ?? '';
  if (name === undefined && architecture.startsWith('qwen')) return qwen2Words;
  if (name !== undefined && Object.hasOwn(wordRulesByName, name)) return wordRulesByName[name]!;
  const known = Object.keys(wordRulesByName).join(', ');
  throw refused(fields, 'tokenizer.ggml.pre', known, name ?? 'none');
}

function byteLevelJson(
  fields: JsonFields,
  pieces: readonly SentencePiece[],
  words: WordRules,
  bos: SentencePiece | null,
): object {
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: pieces.filter(({ kind }) => kind !== 'normal' && kind !== 'byte').map(addedToken),
    normalizer: words.normalizer,
    pre_tokenizer: words.preTokenizer,
    post_processor: bos === null ? bytesOnly : beginWith(bos),
    decoder: bytesOnly,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: words.ignoreMerges,
      vocab: Object.fromEntries(pieces.map(({ text, id }) => [text, id])),
      merges: list(fields, 'tokenizer.ggml.merges', null, isText),
    },
  };
}

function refused(fields: JsonFields, key: string, expected: string, got: string): ModelError {
  return new ModelError(
    `"${fields.file}": expected ${key} to be ${expected}, got ${got}; choose another file, or take the checkpoint in safetensors.`,
    { details: { file: fields.file, key, expected, got } },
  );
}
