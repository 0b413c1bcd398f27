/** Reference vocabularies in other formats, as `tokenizer.json` documents. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { metadataFields } from '../../src/model/gguf-config.ts';
import { readGgufHeader } from '../../src/model/gguf-header.ts';
import type { GgufValue } from '../../src/model/gguf-reader.ts';
import { ggufTokenizer } from '../../src/model/gguf-tokenizer.ts';
import { joins } from '../../src/model/sentencepiece-json.ts';
import { sharedPath } from './shared.ts';

/** The vocabularies that reference data can be had for. */
export const vocabularies = {
  qwen2: (): object =>
    JSON.parse(gunzipSync(readFileSync(sharedPath('data/tokenizers/qwen2.json.gz'))).toString()) as object,
  'gpt-2': () => ofFile('gpt-2'),
  'llama-spm': () => ofFile('llama-spm'),
  'llama-bpe': llama3,
} as const;
export type Vocabulary = keyof typeof vocabularies;

/** Vocabularies of llama.cpp, and one that is put in its form, are read as those of a model in GGUF are. */
async function ofFile(name: string): Promise<object> {
  const header = await readGgufHeader(sharedPath(`data/tokenizers/llama.cpp-vocab/ggml-vocab-${name}.gguf`));
  return ggufTokenizer(metadataFields(header))!.document;
}

/** Llama 3: the tiktoken file has ranks in place of merges, and the special tokens follow after them. */
function llama3(): object {
  const lines = readFileSync(sharedPath('data/tokenizers/llama3/tokenizer.model'), 'utf8').trim().split('\n');
  const tokens = lines.map((line) => byteCharacters(Buffer.from(line.split(' ')[0] ?? '', 'base64')));
  const special = ['<|begin_of_text|>', '<|end_of_text|>'];
  return ofMetadata({
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'llama-bpe',
    'tokenizer.ggml.tokens': [...tokens, ...special],
    'tokenizer.ggml.token_type': [...tokens.map(() => NORMAL), CONTROL, CONTROL],
    'tokenizer.ggml.merges': joins(tokens, (id) => -id).map((pair) => pair.join(' ')),
    'tokenizer.ggml.bos_token_id': tokens.length,
  });
}

/** GGUF's kinds of tokens. */
const [NORMAL, CONTROL] = [1, 3];

/** The `tokenizer.json` that GGUF metadata say. */
export function ofMetadata(metadata: Readonly<Record<string, GgufValue>>): object {
  const entries = new Map(Object.entries(metadata));
  return ggufTokenizer(metadataFields({ file: 'vocabulary.gguf', metadata: entries }))!.document;
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
