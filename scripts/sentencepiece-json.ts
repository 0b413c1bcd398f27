import type { Llama2cToken } from './llama2c.ts';

const unknownId = 0;
const beginId = 1;
const endId = 2;
const firstByteId = 3;
const firstPieceId = firstByteId + 256;
const wordStart = '\u2581';

/** Spellings of the control tokens, which llama2.c wraps in line breaks for printing. */
const controlTokens = new Map([
  [unknownId, '<unk>'],
  [beginId, '<s>'],
  [endId, '</s>'],
]);

/**
 * A sentencepiece BPE vocabulary as a Hugging Face `tokenizer.json`.
 *
 * Sentencepiece joins the neighbours whose union has the best score; a `tokenizer.json` lists the joins in
 * order of preference. Every way to split a piece into two pieces becomes one join, best scores first.
 */
export function tokenizerJson(tokens: readonly Llama2cToken[]): object {
  const pieces = tokens.map((token, id) => spelling(token.text, id));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [...controlTokens].map(([id, content]) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: wordStart },
        { type: 'Replace', pattern: { String: ' ' }, content: wordStart },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [
        { SpecialToken: { id: '<s>', type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { SpecialToken: { id: '<s>', type_id: 1 } },
        { Sequence: { id: 'B', type_id: 1 } },
      ],
      special_tokens: { '<s>': { id: '<s>', ids: [beginId], tokens: ['<s>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: wordStart }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges: joins(pieces.slice(firstPieceId), (i) => tokens[firstPieceId + i]?.score ?? 0),
    },
  };
}

/** The settings beside it: which control token plays which part. */
export function tokenizerConfig(maxPositions: number): object {
  return {
    add_bos_token: true,
    add_eos_token: false,
    added_tokens_decoder: Object.fromEntries(
      [...controlTokens].map(([id, content]) => [
        String(id),
        { content, lstrip: false, normalized: false, rstrip: false, single_word: false, special: true },
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

function spelling(text: string, id: number): string {
  return controlTokens.get(id) ?? (id < firstPieceId ? text : text.replaceAll(' ', wordStart));
}

/**
 * `[left, right]` of every way to split a piece into two pieces, best scores of the whole first; equal scores keep the
 * pieces' order, then that of their parts.
 */
export function joins(pieces: readonly string[], score: (index: number) => number): [string, string][] {
  const indices = new Map(pieces.map((piece, index) => [piece, index]));
  const found: { pair: [string, string]; score: number; order: readonly number[] }[] = [];
  for (const [piece, index] of indices) {
    for (let cut = 1; cut < piece.length; cut++) {
      const left = piece.slice(0, cut);
      const right = piece.slice(cut);
      const leftIndex = indices.get(left);
      const rightIndex = indices.get(right);
      if (leftIndex === undefined || rightIndex === undefined) continue;
      found.push({ pair: [left, right], score: score(index), order: [index, leftIndex, rightIndex] });
    }
  }
  found.sort((a, b) => b.score - a.score || compare(a.order, b.order));
  return found.map(({ pair }) => pair);
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [i, value] of a.entries()) {
    const difference = value - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
