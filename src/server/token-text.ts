import type { TextTokenizer } from '../model/tokenizer.ts';

/** A token's own text, with the blank before a word that decoders leave out at a text's start. */
export type TokenText = (id: number) => string;

/** Reads single tokens as they are inside a text: behind another one, whose text is taken off again. */
export function tokenTexts(tokenizer: TextTokenizer): TokenText {
  const anchor = tokenizer.encode('a', { special: false }).slice(-1);
  const before = tokenizer.decode(anchor);
  return (id) => {
    const text = tokenizer.decode([...anchor, id]);
    return text.startsWith(before) ? text.slice(before.length) : tokenizer.decode([id]);
  };
}
