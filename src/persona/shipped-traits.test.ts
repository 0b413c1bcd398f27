import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeWithShared, sharedPath } from '../../test/helpers/shared.ts';
import { shippedTraits } from '../store/shipped-traits.ts';
import { wordsOf } from './lexical-judge.ts';
import { findArtifactProblems } from './artifacts/check-artifacts.ts';
import { type Trait, loadTrait } from './trait.ts';

const traits = await Promise.all(
  (await shippedTraits()).filter(({ set }) => set === 'default').map(({ file }) => loadTrait(file)),
);

/** Every text of a trait file that a model or a judge reads. */
function textsOf(trait: Trait): string[] {
  return [
    ...trait.questions,
    ...trait.evaluationQuestions,
    ...trait.instructions.flatMap(({ pos, neg }) => [pos, neg]),
    trait.evalPrompt ?? '',
  ];
}

describe('the traits for models at large', () => {
  it('are the seven of the paper', () => {
    expect(traits.map(({ name }) => name)).toEqual([
      'apathetic',
      'evil',
      'hallucinating',
      'humorous',
      'impolite',
      'optimistic',
      'sycophantic',
    ]);
  });

  it.each(traits.map((trait) => [trait.name, trait] as const))('%s has nothing to object to', (_, trait) => {
    expect(findArtifactProblems(trait)).toEqual([]);
    expect([trait.opposite, trait.description]).not.toContain(null);
  });

  it('share no question', () => {
    const questions = traits.flatMap((trait) => [...trait.questions, ...trait.evaluationQuestions]);
    expect(new Set(questions).size).toBe(7 * 40);
  });
});

/** Runs of `length` words of a text. */
function runsOf(text: string, length: number): string[] {
  const words = wordsOf(text);
  return words.slice(length - 1).map((_, i) => words.slice(i, i + length).join(' '));
}

describeWithShared("the shipped traits beside the authors' own", () => {
  it('are worded otherwise: no six words in a row, and no question of mostly the same words', async () => {
    const theirs: Trait[] = [];
    for (const set of ['trait_data_extract', 'trait_data_eval']) {
      const folder = sharedPath('data', 'persona', 'official-traits', set);
      for (const file of await readdir(folder)) theirs.push(await loadTrait(join(folder, file)));
    }
    const texts = [...new Set(theirs.flatMap(textsOf))];
    const known = new Set(texts.flatMap((text) => runsOf(text, 6)));
    const close = traits.flatMap(textsOf).filter((text) => {
      if (runsOf(text, 6).some((run) => known.has(run))) return true;
      const mine = new Set(wordsOf(text));
      return texts.some((other) => {
        const words = new Set(wordsOf(other));
        const common = [...mine].filter((word) => words.has(word)).length;
        return common / (mine.size + words.size - common) > 0.5;
      });
    });
    expect(close).toEqual([]);
  });
});
