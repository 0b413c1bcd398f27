import { describeJson, isJsonObject } from './json-text.ts';
import type { Json } from './json-text.ts';
import { jsonFields } from './json-fields.ts';
import type { JsonFields } from './json-fields.ts';
import { checkComponents, unsupported } from './tokenizer-components.ts';
import { ParseError } from '../errors.ts';

/** Most added tokens: each is looked for in every text; tokenizers in use have up to about 6,000. */
const MAX_ADDED_TOKENS = 20_000;
/** Largest id: the library keeps an array as long as the largest id. Vocabularies in use stay below 300,000. */
const MAX_ID = 4_000_000;

/** A token that is cut out of a text before the merges see the rest. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Control tokens such as `<|im_end|>` are special; helpers such as `<think>` need not be. */
  readonly special: boolean;
  /** Whether white space before (`lstrip`) or after the token belongs to it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

/** `tokenizer.json` and what `tokenizer_config.json` adds to it, checked. */
export interface TokenizerFile {
  /** What the tokenizer library is built from. */
  readonly definition: object;
  readonly addedTokens: readonly AddedToken[];
  readonly largestId: number;
  /** The token that stands for unknown text, where there is one. */
  readonly unknownToken: string | null;
  /** Whether a prompt must (true) or must not (false) start with BOS; null leaves it to the post-processor. */
  readonly addBos: boolean | null;
  readonly bosToken: string | null;
  /** Whether encoding or decoding meets regular expressions that the file brings along. */
  readonly encodePatterns: boolean;
  readonly decodePatterns: boolean;
}

/**
 * Checks the two files of a tokenizer; only what the library runs exactly passes.
 *
 * @throws ParseError for a malformed file; ModelError, naming it, for a kind of tokenizer that is not supported.
 */
export function checkTokenizerFile(document: JsonFields, config: JsonFields): TokenizerFile {
  const vocabulary = checkVocabulary(document);
  const added = checkAddedTokens(document, config);
  const components = checkComponents(document, vocabulary.ids);
  return {
    definition: { ...components.definition, model: vocabulary.definition, added_tokens: added.definition },
    addedTokens: added.tokens,
    largestId: added.tokens.reduce((largest, { id }) => Math.max(largest, id), vocabulary.largestId),
    unknownToken: vocabulary.unknownToken,
    addBos: bosRule(config),
    bosToken: tokenText(config, 'bos_token'),
    encodePatterns: components.encodePatterns,
    decodePatterns: components.decodePatterns,
  };
}

/** A token that a config names by a string or by `{ "content": … }`; null where it names none. */
export function tokenText(config: JsonFields, name: string): string | null {
  const value = config.raw(name);
  if (value === undefined) return null;
  const text = isJsonObject(value) ? value['content'] : value;
  if (typeof text !== 'string') throw config.wrong(name, 'a string or an object with "content"');
  return text;
}

interface Vocabulary {
  readonly definition: object;
  readonly ids: ReadonlyMap<string, number>;
  readonly largestId: number;
  readonly unknownToken: string | null;
}

function checkVocabulary(document: JsonFields): Vocabulary {
  const model = document.optionalObject('model');
  if (model === undefined) throw document.wrong('model', 'an object');
  const type = model.optionalString('type');
  if (type !== undefined && type !== 'BPE') throw unsupported(document.file, `a ${type} vocabulary`, 'BPE');
  for (const affix of ['continuing_subword_prefix', 'end_of_word_suffix'])
    if ((model.optionalString(affix) ?? '') !== '') throw unsupported(document.file, affix, 'none');
  const ids = vocabularyIds(model);
  const merges = model.raw('merges');
  if (!Array.isArray(merges)) throw model.wrong('merges', 'a list');
  const unknownToken = model.optionalString('unk_token') ?? null;
  if (unknownToken !== null && !ids.has(unknownToken))
    throw model.wrong('unk_token', 'a token of the vocabulary');
  return {
    ids,
    largestId: [...ids.values()].reduce((largest, id) => Math.max(largest, id), 0),
    unknownToken,
    definition: {
      type: 'BPE',
      vocab: model.raw('vocab'),
      merges: merges.map((merge: Json, index) => checkMerge(merge, index, ids, model)),
      unk_token: unknownToken,
      fuse_unk: model.optionalBoolean('fuse_unk') ?? false,
      byte_fallback: model.optionalBoolean('byte_fallback') ?? false,
      ignore_merges: model.optionalBoolean('ignore_merges') ?? false,
    },
  };
}

function vocabularyIds(model: JsonFields): ReadonlyMap<string, number> {
  const vocabulary = model.raw('vocab');
  if (!isJsonObject(vocabulary)) throw model.wrong('vocab', 'an object of tokens and ids');
  const ids = new Map<string, number>();
  for (const [token, id] of Object.entries(vocabulary)) {
    if (!isId(id)) throw entryError(model, 'vocab', token, `an id from 0 to ${MAX_ID}`, id);
    ids.set(token, id);
  }
  return ids;
}

/** A merge is `"left right"` in older files and `["left", "right"]` in newer ones. */
function checkMerge(
  merge: Json,
  index: number,
  ids: ReadonlyMap<string, number>,
  model: JsonFields,
): [string, string] {
  const parts: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
  if (Array.isArray(parts) && parts.length === 2) {
    const [left, right] = parts as [unknown, unknown];
    if (typeof left === 'string' && typeof right === 'string' && ids.has(left + right)) return [left, right];
  }
  throw entryError(model, 'merges', String(index), 'two parts of a token of the vocabulary', merge);
}

interface AddedTokens {
  readonly tokens: readonly AddedToken[];
  /** As the library wants them. */
  readonly definition: readonly object[];
}

/** Tokens that only `tokenizer_config.json` lists count as well. */
function checkAddedTokens(document: JsonFields, config: JsonFields): AddedTokens {
  const listed = document.raw('added_tokens') ?? [];
  if (!Array.isArray(listed)) throw document.wrong('added_tokens', 'a list');
  const tokens = new Map<string, AddedToken & { readonly normalized: boolean }>();
  listed.forEach((entry: Json, index) => {
    const token = checkAddedToken(entry, undefined, document, `added_tokens.${index}`);
    tokens.set(token.content, token);
  });
  const decoder = config.raw('added_tokens_decoder') ?? {};
  if (!isJsonObject(decoder)) throw config.wrong('added_tokens_decoder', 'an object');
  for (const [id, entry] of Object.entries(decoder)) {
    const token = checkAddedToken(entry, Number(id), config, `added_tokens_decoder.${id}`);
    if (!tokens.has(token.content)) tokens.set(token.content, token);
  }
  if (tokens.size > MAX_ADDED_TOKENS)
    throw unsupported(document.file, `${tokens.size} added tokens`, `at most ${MAX_ADDED_TOKENS}`);
  const checked = [...tokens.values()];
  return {
    definition: checked,
    tokens: checked.map(({ id, content, special, lstrip, rstrip }) => ({
      id,
      content,
      special,
      lstrip,
      rstrip,
    })),
  };
}

function checkAddedToken(
  entry: Json,
  id: number | undefined,
  parent: JsonFields,
  path: string,
): AddedToken & { readonly normalized: boolean } {
  if (!isJsonObject(entry)) throw entryError(parent, path, '', 'an object', entry);
  const fields = jsonFields(entry, parent.file, `${path}.`);
  const content = fields.optionalString('content');
  if (content === undefined || content === '') throw fields.wrong('content', 'a text that is not empty');
  if (id !== undefined && !isId(id))
    throw entryError(parent, path, '', `an id from 0 to ${MAX_ID}`, String(id));
  if (fields.optionalBoolean('single_word') === true)
    throw unsupported(parent.file, `the added token ${describeJson(content)} with single_word`, 'none');
  const special = fields.optionalBoolean('special') ?? false;
  return {
    id: id ?? fields.integer('id', 0, MAX_ID),
    content,
    special,
    lstrip: fields.optionalBoolean('lstrip') ?? false,
    rstrip: fields.optionalBoolean('rstrip') ?? false,
    normalized: fields.optionalBoolean('normalized') ?? !special,
  };
}

/**
 * Hugging Face's Llama tokenizers rebuild the post-processor from `add_bos_token`, whatever `tokenizer.json` says; other
 * classes do not look at it.
 */
function bosRule(config: JsonFields): boolean | null {
  const className = config.optionalString('tokenizer_class') ?? '';
  const rule = config.optionalBoolean('add_bos_token');
  return className.startsWith('Llama') ? (rule ?? null) : null;
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= MAX_ID;
}

function entryError(
  parent: JsonFields,
  name: string,
  entry: string,
  expected: string,
  got: Json | undefined,
): ParseError {
  const field = entry === '' ? name : `${name}[${JSON.stringify(entry)}]`;
  return new ParseError(
    `"${parent.file}": expected "${field}" to be ${expected}, got ${describeJson(got)}; download the file again.`,
    { details: { file: parent.file, field, expected, got: describeJson(got) } },
  );
}
