/** Which part a piece plays; `byte` stands for the byte that its spelling `<0x0A>` names. */
export type PieceKind = 'normal' | 'unknown' | 'control' | 'user' | 'byte';

/** One entry of a sentencepiece vocabulary. */
export interface SentencePiece {
  readonly id: number;
  /** A word start is `\u2581`. */
  readonly text: string;
  /** Pieces of higher scores are joined first. */
  readonly score: number;
  readonly kind: PieceKind;
}

export interface SentencePieceOptions {
  /** What every prompt begins with; null for nothing. */
  readonly bos: SentencePiece | null;
  /** Whether a text that begins without a blank is read as if it had one. */
  readonly prefixSpace: boolean;
}

const wordStart = '\u2581';

/**
 * A sentencepiece BPE vocabulary as a Hugging Face `tokenizer.json`.
 *
 * Sentencepiece joins the neighbours whose union has the best score; a `tokenizer.json` lists the joins in
 * order of preference. Every way to split a piece into two pieces becomes one join, best scores first.
 */
export function tokenizerJson(
  pieces: readonly SentencePiece[],
  { bos, prefixSpace }: SentencePieceOptions,
): object {
  const normal = pieces.filter(({ kind }) => kind === 'normal');
  const unknown = pieces.find(({ kind }) => kind === 'unknown')?.text ?? null;
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: pieces.filter(({ kind }) => kind !== 'normal' && kind !== 'byte').map(addedToken),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        ...(prefixSpace ? [{ type: 'Prepend', prepend: wordStart }] : []),
        { type: 'Replace', pattern: { String: ' ' }, content: wordStart },
      ],
    },
    pre_tokenizer: null,
    post_processor: bos === null ? null : beginWith(bos),
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: wordStart }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefixSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: unknown,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: pieces.some(({ kind }) => kind === 'byte'),
      ignore_merges: false,
      vocab: Object.fromEntries(pieces.map(({ text, id }) => [text, id])),
      merges: joins(
        normal.map(({ text }) => text),
        (i) => normal[i]!.score,
      ),
    },
  };
}

/** An entry of `added_tokens`: all but `user` pieces are special. */
export function addedToken({ id, text, kind }: Pick<SentencePiece, 'id' | 'text' | 'kind'>): object {
  return {
    id,
    content: text,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: kind !== 'user',
  };
}

/** The post-processor that puts a token before every prompt. */
export function beginWith({ id, text }: Pick<SentencePiece, 'id' | 'text'>): object {
  return {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: text, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [
      { SpecialToken: { id: text, type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: text, type_id: 1 } },
      { Sequence: { id: 'B', type_id: 1 } },
    ],
    special_tokens: { [text]: { id: text, ids: [id], tokens: [text] } },
  };
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
