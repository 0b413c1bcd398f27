/** Reference vocabularies in other formats, as `tokenizer.json` documents. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { joins, tokenizerJson } from '../../scripts/sentencepiece-json.ts';
import { sharedPath } from './shared.ts';

/** The vocabularies that reference data can be had for. */
export const vocabularies = {
  qwen2: (): object =>
    JSON.parse(gunzipSync(readFileSync(sharedPath('data/tokenizers/qwen2.json.gz'))).toString()) as object,
  'gpt-2': gpt2,
  'llama-spm': llama2,
  'llama-bpe': llama3,
} as const;
export type Vocabulary = keyof typeof vocabularies;

function gpt2(): object {
  const metadata = readGgufMetadata(sharedPath('data/tokenizers/llama.cpp-vocab/ggml-vocab-gpt-2.gguf'));
  const tokens = metadata['tokenizer.ggml.tokens'] as string[];
  return byteLevel({
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    merges: metadata['tokenizer.ggml.merges'] as string[],
    ignore_merges: false,
    special: [['<|endoftext|>', 50256]],
    preTokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    start: null,
  });
}

function llama2(): object {
  const metadata = readGgufMetadata(sharedPath('data/tokenizers/llama.cpp-vocab/ggml-vocab-llama-spm.gguf'));
  const scores = metadata['tokenizer.ggml.scores'] as number[];
  const tokens = metadata['tokenizer.ggml.tokens'] as string[];
  return tokenizerJson(
    tokens.map((token, id) => ({ text: token.replaceAll('\u2581', ' '), score: scores[id] ?? 0 })),
  );
}

/** Llama 3: the tiktoken file has ranks in place of merges, and the special tokens follow after them. */
function llama3(): object {
  const lines = readFileSync(sharedPath('data/tokenizers/llama3/tokenizer.model'), 'utf8').trim().split('\n');
  const tokens = lines.map((line) => byteCharacters(Buffer.from(line.split(' ')[0] ?? '', 'base64')));
  const isolated = {
    type: 'Split',
    pattern: {
      Regex:
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    },
    behavior: 'Isolated',
    invert: false,
  };
  const bytes = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };
  return byteLevel({
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    merges: joins(tokens, (id) => -id),
    ignore_merges: true,
    special: [
      ['<|begin_of_text|>', 128000],
      ['<|end_of_text|>', 128001],
    ],
    preTokenizer: { type: 'Sequence', pretokenizers: [isolated, bytes] },
    start: '<|begin_of_text|>',
  });
}

function byteLevel(parts: {
  vocab: object;
  merges: readonly (string | [string, string])[];
  ignore_merges: boolean;
  special: readonly (readonly [string, number])[];
  preTokenizer: object;
  start: string | null;
}): object {
  const { vocab, merges, ignore_merges, start } = parts;
  const id = parts.special.find(([content]) => content === start)?.[1];
  return {
    version: '1.0',
    added_tokens: parts.special.map(([content, tokenId]) => ({ id: tokenId, content, special: true })),
    normalizer: null,
    pre_tokenizer: parts.preTokenizer,
    post_processor:
      start === null
        ? { type: 'ByteLevel' }
        : {
            type: 'TemplateProcessing',
            single: [{ SpecialToken: { id: start, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
            special_tokens: { [start]: { id: start, ids: [id], tokens: [start] } },
          },
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab, merges, ignore_merges },
  };
}

/** The printable character that byte-level vocabularies write for each byte. */
export const byteAlphabet: readonly string[] = (() => {
  const printable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(printable(byte) ? byte : 0x100 + others++),
  );
})();

function byteCharacters(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byteAlphabet[byte] ?? '').join('');
}

/** Metadata of a GGUF file; counts and offsets are small in the files read here. */
function readGgufMetadata(path: string): Record<string, unknown> {
  const file = readFileSync(path);
  let at = 24;
  const take = (bytes: number): number => {
    at += bytes;
    return at - bytes;
  };
  const text = (): string => {
    const length = Number(file.readBigUInt64LE(take(8)));
    return file.toString('utf8', take(length), at);
  };
  const value = (type: number): unknown => {
    switch (type) {
      case 4:
        return file.readUInt32LE(take(4));
      case 5:
        return file.readInt32LE(take(4));
      case 6:
        return file.readFloatLE(take(4));
      case 7:
        return file.readUInt8(take(1)) === 1;
      case 8:
        return text();
      case 9: {
        const item = file.readUInt32LE(take(4));
        const length = Number(file.readBigUInt64LE(take(8)));
        return Array.from({ length }, () => value(item));
      }
      default:
        throw new Error(`GGUF value of type ${type} in ${path}`);
    }
  };
  const keys = Number(file.readBigUInt64LE(16));
  return Object.fromEntries(Array.from({ length: keys }, () => [text(), value(file.readUInt32LE(take(4)))]));
}
