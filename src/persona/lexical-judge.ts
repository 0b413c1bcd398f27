import {
  type JudgeItems,
  type JudgeProvider,
  type JudgeSource,
  type Judgement,
  type Scores,
  noCost,
} from './judge.ts';
import type { Lexicon, Trait } from './trait.ts';
import { UsageError } from '../errors.ts';
import { tinyWorldJudge } from './tiny-world/tiny-world-judge.ts';
import { sha256 } from '../util/hash.ts';

/**
 * A judge that counts listed words.
 *
 * Trait score: 100 · (p + 1) / (p + n + 2), where p and n are the positive and negative words of the text (whole
 * words, case aside); a text with none of either scores 50. Coherence: 100 · the share of the text's word trigrams
 * that are different, which falls when a text repeats itself. A text without a word has no trait score, and one
 * of fewer than three words no coherence.
 *
 * It cannot see negation ("not happy" counts as happy), irony, who feels what, or any word that is not listed; nor
 * whether a text that does not repeat itself is grammatical or means anything.
 */
export function lexicalJudge(lexicon: Lexicon): JudgeProvider {
  const positive = new Set(lexicon.positive);
  const negative = new Set(lexicon.negative);
  const content = sha256(JSON.stringify([[...positive].sort(), [...negative].sort()]));
  return {
    id: `lexical/1:${content.slice(0, 16)}`,
    beside: true,
    async *judge(items: JudgeItems): AsyncGenerator<Judgement> {
      let index = 0;
      for await (const { answer } of items) {
        yield { index: index++, scores: scoreText(answer, positive, negative) };
      }
    },
    estimate: () => noCost,
  };
}

/** `--judge lexical`: every trait by its own rule. */
export const lexicalJudges: JudgeSource = {
  name: 'lexical',
  forTrait: lexicalJudgeOf,
  close: () => Promise.resolve(),
};

/** The lexical judge of a trait: its world's grammar, or its words; UsageError where its file has neither. */
export function lexicalJudgeOf(trait: Trait): JudgeProvider {
  if (trait.world !== null) return tinyWorldJudge(trait.name);
  if (trait.lexicon !== null) return lexicalJudge(trait.lexicon);
  throw new UsageError(
    `Expected the trait "${trait.name}" to list words for the lexical judge, got no "lexicon" in its file; add one, or give another judge (--judge openai:gpt-4.1-mini, --judge local:MODEL …).`,
    { details: { trait: trait.name } },
  );
}

/** The words of a text in lower case; apostrophes and hyphens inside a word belong to it. */
export function wordsOf(text: string): string[] {
  const found = text
    .toLowerCase()
    .replaceAll('’', "'")
    .match(/\p{L}[\p{L}\p{M}]*(?:['-]\p{L}[\p{L}\p{M}]*)*/gu);
  return found ?? [];
}

function scoreText(answer: string, positive: ReadonlySet<string>, negative: ReadonlySet<string>): Scores {
  const words = wordsOf(answer);
  const p = words.filter((word) => positive.has(word)).length;
  const n = words.filter((word) => negative.has(word)).length;
  const trait = words.length === 0 ? null : (100 * (p + 1)) / (p + n + 2);
  return { trait, coherence: coherenceOf(words), raw: { words: words.length, positive: p, negative: n } };
}

function coherenceOf(words: readonly string[]): number | null {
  if (words.length < 3) return null;
  const trigrams = words.slice(2).map((word, i) => `${words[i]} ${words[i + 1]} ${word}`);
  return (100 * new Set(trigrams).size) / trigrams.length;
}
