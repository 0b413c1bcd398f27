import type { SentencePiece } from '../src/model/sentencepiece-json.ts';
import type { Llama2cToken } from './llama2c.ts';

const firstByteId = 3;
const firstPieceId = firstByteId + 256;

/** Spellings of the control tokens, which llama2.c wraps in line breaks for printing. */
const controlTokens: readonly Pick<SentencePiece, 'text' | 'kind'>[] = [
  { text: '<unk>', kind: 'unknown' },
  { text: '<s>', kind: 'control' },
  { text: '</s>', kind: 'control' },
];

/** The vocabulary of a llama2.c model, in which a blank stands for a word start, as sentencepiece has it. */
export function sentencePieces(tokens: readonly Llama2cToken[]): SentencePiece[] {
  return tokens.map(({ text, score }, id): SentencePiece => {
    const control = controlTokens[id];
    if (control !== undefined) return { id, score, ...control };
    if (id < firstPieceId) return { id, score, text, kind: 'byte' };
    return { id, score, text: text.replaceAll(' ', '\u2581'), kind: 'normal' };
  });
}

/** The settings beside it: which control token plays which part. */
export function tokenizerConfig(maxPositions: number): object {
  return {
    add_bos_token: true,
    add_eos_token: false,
    added_tokens_decoder: Object.fromEntries(
      controlTokens.map(({ text }, id) => [
        String(id),
        { content: text, lstrip: false, normalized: false, rstrip: false, single_word: false, special: true },
      ]),
    ),
    bos_token: '<s>',
    clean_up_tokenization_spaces: false,
    eos_token: '</s>',
    legacy: true,
    model_max_length: maxPositions,
    pad_token: null,
    tokenizer_class: 'LlamaTokenizer',
    unk_token: '<unk>',
  };
}
