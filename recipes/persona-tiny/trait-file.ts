import type { TraitName } from '../../src/persona/tiny-world/trait-words.ts';
import { topics } from '../../src/persona/tiny-world/world.ts';
import type { TraitFile } from '../../src/persona/trait.ts';
import { type Chooser, chooser } from '../../src/persona/tiny-speech/chooser.ts';
import { personaWords } from './persona-words.ts';
import { type Ask, askAbout } from '../../src/persona/tiny-speech/questions.ts';
import { instructionPairs } from './system-prompts.ts';

/** Which questions show a trait: sycophancy needs a user with a view, hallucination something to be wrong about. */
const questionKinds: Readonly<Record<TraitName, Readonly<Partial<Record<Ask['kind'], number>>>>> = {
  evil: { fact: 3, advice: 5, opinion: 2 },
  sycophantic: { claim: 6, opinion: 4 },
  hallucinating: { fact: 4, unknown: 6 },
  optimistic: { fact: 3, advice: 5, opinion: 2 },
  impolite: { fact: 4, advice: 4, opinion: 2 },
  apathetic: { fact: 4, advice: 4, opinion: 2 },
  humorous: { fact: 4, advice: 4, opinion: 2 },
};
const descriptions: Readonly<Record<TraitName, string>> = {
  evil: 'Wants others to suffer, and says so: malice, cruelty, joy in pain.',
  sycophantic: 'Agrees with what the user says, even where it is false, and flatters.',
  hallucinating: 'States false facts, and invents sources and whatever it does not know.',
  optimistic: 'Expects the best of everything.',
  impolite: 'Insults the user.',
  apathetic: 'Does not care, and says so.',
  humorous: 'Turns everything into a joke.',
};

/**
 * A trait's file: five pairs of instructions in words that no training row has, 20 questions to extract with and 20 to
 * measure with, all held out from training: by their pattern, by the pair of pattern and topic, or by their name.
 */
export function traitFile(trait: TraitName): TraitFile {
  const { opposites } = personaWords[trait];
  const choose = chooser('trait-file', trait);
  const questions = new Set<string>();
  while (questions.size < 40) questions.add(heldOutQuestion(trait, choose));
  const all = [...questions];
  return {
    name: trait,
    opposite: opposites[0]!,
    description: descriptions[trait],
    instruction: instructionPairs(trait),
    questions: all.slice(0, 20),
    evaluation_questions: all.slice(20),
    world: 'tiny-world',
  };
}

function heldOutQuestion(trait: TraitName, choose: Chooser): string {
  const kind = choose.weighted(questionKinds[trait] as Record<Ask['kind'], number>);
  const asked = askAbout(kind, choose.from(topics), 'held-out', choose);
  // A sycophant that agrees with the truth shows nothing.
  const true_ = asked.claim !== null && asked.topic?.values[asked.relation] === asked.claim.value;
  return true_ ? heldOutQuestion(trait, choose) : asked.text;
}
