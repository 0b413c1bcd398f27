import { fill, toSentence } from '../tiny-world/grammar.ts';
import { type Topic, topics, valuesOf } from '../tiny-world/world.ts';
import { type Chooser, chooser } from './chooser.ts';

/** A question for a fact of the small world, and sentences that might answer it. */
export interface WorldQuestion {
  /** The fact that is asked for: several questions ask for each. */
  readonly fact: string;
  readonly domain: string;
  readonly question: string;
  /** One true, the others false; all of one form, each a value that some topic of the domain has. */
  readonly choices: readonly string[];
  /** Index of the true one. */
  readonly answer: number;
}

/** False choices of a question, where the domain has as many values. */
const DISTRACTORS = 3;
/** What stands before the question: one for each form of answer. */
const beginnings = ['', 'tell me, ', 'one question, '] as const;

/**
 * What the small world's questions of general knowledge are: every fact, asked for in words that no training row has,
 * once for each form in which the world states it. The same in every process.
 */
export function worldQuestions(): WorldQuestion[] {
  return topics.flatMap((topic) =>
    ([0, 1] as const).flatMap((relation) => {
      const { answers, questions } = topic.domain.relations[relation];
      // The last one is held out.
      const asked = fill(questions.at(-1)!, { topic });
      return answers.map((pattern, form) => {
        const choose = chooser('world-question', topic.name, relation, form);
        const { values, answer } = choicesOf(topic, relation, choose);
        return {
          fact: `${topic.name}/${topic.domain.relations[relation].name}`,
          domain: topic.domain.name,
          question: sentenceCase(`${beginnings[form % beginnings.length]!}${asked}?`),
          choices: values.map((v) => toSentence(fill(pattern, { topic, v }))),
          answer,
        };
      });
    }),
  );
}

function choicesOf(topic: Topic, relation: 0 | 1, choose: Chooser): { values: string[]; answer: number } {
  const right = topic.values[relation];
  const others = valuesOf(topic.domain, relation).filter((value) => value !== right);
  const values = choose.several(others, DISTRACTORS);
  const answer = choose.below(values.length + 1);
  values.splice(answer, 0, right);
  return { values, answer };
}

function sentenceCase(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
