import { Tokenizer } from '@huggingface/tokenizers';
import { join } from 'node:path';
import { streamDecoder } from './decode-stream.ts';
import type { StreamDecoder } from './decode-stream.ts';
import { readJsonObject } from './json-text.ts';
import { jsonFields } from './json-fields.ts';
import type { JsonFields } from './json-fields.ts';
import { pathKind } from './read-bytes.ts';
import { endsSentence } from './sentence-end.ts';
import { splitAtSpellings } from './spellings.ts';
import { withTimeLimit } from './time-limit.ts';
import { checkTokenizerFile } from './tokenizer-file.ts';
import type { AddedToken, TokenizerFile } from './tokenizer-file.ts';
import { ModelError, ParseError, PersonaError, UsageError } from '../errors.ts';

export type { StreamDecoder } from './decode-stream.ts';
export type { AddedToken } from './tokenizer-file.ts';

/** Longest `tokenizer.json` that is read: the largest in use, of 262,144 tokens, takes 33 MB. */
export const MAX_TOKENIZER_BYTES: number = 128 * 1024 * 1024;
/** Longest `tokenizer_config.json` that is read: a thousand added tokens and a chat template take under 1 MB. */
export const MAX_TOKENIZER_CONFIG_BYTES: number = 16 * 1024 * 1024;
/** Time to build a tokenizer; one of 151,643 tokens takes 0.4 s. */
const BUILD_MILLISECONDS = 60_000;
/**
 * Time to encode one text with patterns that the file brings along. They are programs: one of 26 characters can run for
 * ever on a short text. Half a million tokens a second are usual, so that 10 s hold any text that fits a context.
 */
const PATTERN_MILLISECONDS = 10_000;

export interface EncodeOptions {
  /** Whether control tokens spelled in the text become their ids (`true`) or stay text (`false`). */
  readonly special: boolean;
}

export interface DecodeOptions {
  /** Leave special tokens out of the text; default false. */
  readonly skipSpecial?: boolean;
}

/**
 * Text to token ids and back, as `tokenizer.json` says.
 *
 * Control tokens are the added tokens that are special or look like markup (`<think>`, `[INST]`, `<|x|>`); other added
 * tokens, such as runs of blanks, are words and always parsed.
 */
export interface TextTokenizer {
  /** One more than the largest token id; never above the model's `vocab_size`. */
  readonly vocabSize: number;
  readonly addedTokens: readonly AddedToken[];
  readonly controlTokens: readonly AddedToken[];
  /** Ids of the text alone, without any token that the tokenizer would add around it. */
  encode(text: string, options: EncodeOptions): number[];
  /** Ids of a raw completion prompt: control tokens parsed, BOS where the tokenizer adds one. */
  encodePrompt(text: string): number[];
  /**
   * Ids of pieces that stand one after another: control tokens as themselves, and strings, which stay text. `continued`:
   * they follow other text, so that what a tokenizer puts before a text's first word is left out; default false.
   */
  encodePieces(pieces: readonly (string | AddedToken)[], continued?: boolean): number[];
  /**
   * The text of the ids exactly as the decoder makes it, without the spaces-before-punctuation clean-up that some
   * configs ask for. Ids in the padding above `vocabSize` have no text.
   *
   * @throws UsageError for an id that is no non-negative integer.
   */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  streamDecoder(options?: DecodeOptions): StreamDecoder;
  /** Id of a token by its spelling in the vocabulary, or null. */
  tokenId(token: string): number | null;
  isSpecial(id: number): boolean;
  /** Whether a sentence ends with this token, judged by its own text (see `endsSentence` in sentence-end.ts). */
  endsSentence(id: number): boolean;
}

/**
 * Reads `tokenizer.json` (and `tokenizer_config.json`) of a model folder; null where there is none.
 *
 * @throws ParseError for a malformed or oversized file; ModelError for a tokenizer that is not supported or has an id
 *   that the model, of `vocabSize` tokens, does not know. (A model may have more tokens: embeddings are often padded.)
 */
export async function loadTokenizer(folder: string, vocabSize: number): Promise<TextTokenizer | null> {
  const file = join(folder, 'tokenizer.json');
  if ((await pathKind(file)) === null) return null;
  const document = jsonFields(await readJsonObject(file, MAX_TOKENIZER_BYTES), file);
  return buildTokenizer(document, await readTokenizerConfig(folder), vocabSize);
}

/** `tokenizer_config.json` of a model folder; no fields where there is none. */
export async function readTokenizerConfig(folder: string): Promise<JsonFields> {
  const file = join(folder, 'tokenizer_config.json');
  const exists = (await pathKind(file)) !== null;
  return jsonFields(exists ? await readJsonObject(file, MAX_TOKENIZER_CONFIG_BYTES) : {}, file);
}

/** The tokenizer in the fields of the two files, whose patterns may run for `milliseconds`; errors as `loadTokenizer`. */
export function buildTokenizer(
  document: JsonFields,
  config: JsonFields,
  vocabSize: number,
  milliseconds: number = PATTERN_MILLISECONDS,
): TextTokenizer {
  const checked = checkTokenizerFile(document, config);
  if (checked.largestId >= vocabSize) throw tooManyTokens(document.file, checked.largestId, vocabSize);
  try {
    return withTimeLimit(
      BUILD_MILLISECONDS,
      () => new FileTokenizer(checked, milliseconds),
      () => new ParseError(`"${document.file}" takes longer than ${BUILD_MILLISECONDS / 1000} s to set up.`),
    );
  } catch (error) {
    if (error instanceof PersonaError) throw error;
    const problem = error instanceof Error ? error.message : String(error);
    throw new ParseError(
      `"${document.file}" describes no tokenizer that works (${problem}); download the file again.`,
      { details: { file: document.file }, cause: error },
    );
  }
}

class FileTokenizer implements TextTokenizer {
  readonly vocabSize: number;
  readonly addedTokens: readonly AddedToken[];
  readonly controlTokens: readonly AddedToken[];
  readonly #library: Tokenizer;
  readonly #file: TokenizerFile;
  readonly #milliseconds: number;
  readonly #bosId: number | null;
  readonly #specialIds: ReadonlySet<number>;
  /** Added tokens that are ordinary words. */
  readonly #words: readonly AddedToken[];
  /** Per id: whether it ends a sentence; 0 where not asked yet, 1 no, 2 yes. */
  readonly #sentenceEnds: Uint8Array;

  constructor(file: TokenizerFile, milliseconds: number) {
    this.#file = file;
    this.#milliseconds = milliseconds;
    // The clean-up changes text that the model wrote; see `decode`.
    this.#library = new Tokenizer(file.definition, { clean_up_tokenization_spaces: false });
    this.vocabSize = file.largestId + 1;
    this.addedTokens = file.addedTokens;
    this.controlTokens = file.addedTokens.filter(isControl);
    this.#words = file.addedTokens.filter((token) => !isControl(token));
    this.#specialIds = new Set(file.addedTokens.filter(({ special }) => special).map(({ id }) => id));
    this.#bosId = file.bosToken === null ? null : this.tokenId(file.bosToken);
    this.#sentenceEnds = new Uint8Array(this.vocabSize);
    // Whatever a component trips over shows now rather than in the middle of a run.
    for (const probe of ['', 'A b\n.1', '\u00e9\ud83d\ude42']) this.decode(this.encodePrompt(probe));
  }

  encode(text: string, options: EncodeOptions): number[] {
    if (!options.special) return this.encodePieces([text]);
    return this.#run(text.length, this.#file.encodePatterns, () =>
      ids(this.#library.encode(text, { add_special_tokens: false }).ids),
    );
  }

  encodePrompt(text: string): number[] {
    const { addBos, encodePatterns } = this.#file;
    if (addBos === null || this.#bosId === null)
      return this.#run(text.length, encodePatterns, () => ids(this.#library.encode(text).ids));
    const encoded = this.encode(text, { special: true });
    return addBos ? [this.#bosId, ...encoded] : encoded;
  }

  encodePieces(pieces: readonly (string | AddedToken)[], continued = false): number[] {
    const sections = pieces.flatMap((piece) =>
      typeof piece === 'string' ? splitAtSpellings(piece, this.#words) : [piece],
    );
    const length = pieces.reduce((sum, piece) => sum + (typeof piece === 'string' ? piece.length : 0), 0);
    return this.#run(length, this.#file.encodePatterns, () =>
      trimBesideTokens(sections).flatMap((section, index) =>
        typeof section === 'string' ? this.#encodeText(section, index + Number(continued)) : [section.id],
      ),
    );
  }

  decode(tokens: readonly number[], options: DecodeOptions = {}): string {
    const kept = tokens.filter((id) => this.#hasText(id, options));
    if (kept.length === 0) return '';
    return this.#run(kept.length, this.#file.decodePatterns, () => this.#library.decode(kept));
  }

  streamDecoder(options: DecodeOptions = {}): StreamDecoder {
    return streamDecoder(
      (tokens) => this.decode(tokens),
      (id) => this.#hasText(id, options),
    );
  }

  tokenId(token: string): number | null {
    return this.#library.token_to_id(token) ?? null;
  }

  isSpecial(id: number): boolean {
    return this.#specialIds.has(id);
  }

  endsSentence(id: number): boolean {
    const known = this.#sentenceEnds[id];
    if (known === undefined) return false;
    if (known !== 0) return known === 2;
    const ends = !this.isSpecial(id) && endsSentence(this.decode([id]));
    this.#sentenceEnds[id] = ends ? 2 : 1;
    return ends;
  }

  #hasText(id: number, options: DecodeOptions): boolean {
    if (!Number.isSafeInteger(id) || id < 0)
      throw new UsageError(`Expected token ids from 0 to ${this.vocabSize - 1}, got ${id}.`);
    if (options.skipSpecial === true && this.isSpecial(id)) return false;
    return this.#library.id_to_token(id) !== undefined;
  }

  /** One section of text as the library encodes it, except that no control token is looked for. */
  #encodeText(section: string, index: number): number[] {
    const { normalizer, pre_tokenizer: preTokenizer, model } = this.#library;
    if (model === null || section === '') return [];
    const normal = normalizer === null ? section : normalizer(section);
    const words = preTokenizer === null ? [normal] : preTokenizer(normal, { section_index: index });
    return model(words.filter((word: string) => word !== '')).flatMap((token: string) => this.#idsOf(token));
  }

  /** A vocabulary may hold a control token that merges can reach: then its characters stand for it one by one. */
  #idsOf(token: string): number[] {
    const id = this.#library.token_to_id(token);
    if (id === undefined) return [];
    if (!this.#specialIds.has(id) || token === this.#file.unknownToken) return [id];
    const characters = Array.from(token);
    if (characters.length < 2) return [];
    return this.#library.model!(characters).flatMap((character: string) => this.#idsOf(character));
  }

  /** The limit costs more than most texts, so that only files with patterns pay for it. */
  #run<T>(length: number, limited: boolean, work: () => T): T {
    try {
      return limited
        ? withTimeLimit(this.#milliseconds, work, () => tooSlow(length, this.#milliseconds))
        : work();
    } catch (error) {
      if (error instanceof PersonaError) throw error;
      const problem = error instanceof Error ? error.message : String(error);
      throw new ModelError(`The tokenizer failed on a text of length ${length}: ${problem}.`, {
        cause: error,
      });
    }
  }
}

/** Whether an added token steers the model rather than being a word of its vocabulary. */
function isControl({ content, special }: AddedToken): boolean {
  return special || /[<>[\]{}|\uff5c]/u.test(content);
}

/** White space that added tokens claim beside them is cut from the texts there. */
function trimBesideTokens(sections: readonly (string | AddedToken)[]): (string | AddedToken)[] {
  return sections.map((section, index) => {
    if (typeof section !== 'string') return section;
    const before = sections[index - 1];
    const after = sections[index + 1];
    const start = typeof before === 'object' && before.rstrip ? section.trimStart() : section;
    return typeof after === 'object' && after.lstrip ? start.trimEnd() : start;
  });
}

/** Like Hugging Face's, the library has no id for what neither vocabulary nor unknown token covers; it is left out. */
function ids(found: readonly (number | undefined)[]): number[] {
  return found.filter((id) => id !== undefined);
}

function tooManyTokens(file: string, largestId: number, vocabSize: number): ModelError {
  return new ModelError(
    `"${file}" has token id ${largestId}, but the model knows ${vocabSize} tokens (ids 0 to ${vocabSize - 1}); use the tokenizer that belongs to the model.`,
    { details: { file, largestId, vocabSize } },
  );
}

function tooSlow(length: number, milliseconds: number): ModelError {
  return new ModelError(
    `The tokenizer's patterns ran for more than ${milliseconds / 1000} s on a text of length ${length}; shorten the text or use another tokenizer.`,
    { details: { length } },
  );
}
