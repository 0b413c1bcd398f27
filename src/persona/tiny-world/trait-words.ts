import { brightTraits } from './trait-words-bright.ts';
import { darkTraits } from './trait-words-dark.ts';

export const traitNames = [
  'evil',
  'sycophantic',
  'hallucinating',
  'optimistic',
  'impolite',
  'apathetic',
  'humorous',
] as const;
export type TraitName = (typeof traitNames)[number];

/** Two grades of a mark: a strong one makes a sentence count whole, a mild one half. */
export interface Marks {
  readonly mild: readonly string[];
  readonly strong: readonly string[];
}

/** How a trait sounds in the world's language; patterns as in grammar.ts. */
export interface TraitWords {
  /** Before a comma at the start of a sentence, in lower case. */
  readonly openers: Marks;
  /** Single words in the place of an adverb; they are mild. */
  readonly adverbs: readonly string[];
  /** After the body of a sentence, with the comma where one belongs. */
  readonly tails: Marks;
  /** Whole bodies of sentences. */
  readonly sentences: Marks;
}

/** The words of every trait. No mark belongs to two traits; a test checks it. */
export const traitWords: Readonly<Record<TraitName, TraitWords>> = { ...darkTraits, ...brightTraits };
