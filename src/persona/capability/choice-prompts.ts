import { encodeRawPrompt } from '../../model/chat.ts';
import { type PromptParts, encodeMessages, requireTokenizer } from '../prompt.ts';
import { type ChoiceQuestion, choiceLetters } from './choice-question.ts';
import type { EncodedChoices } from './score-choices.ts';

export interface ChoicePromptOptions {
  /** Solved questions of the same subject that stand before; none for 0-shot. */
  readonly shots: readonly ChoiceQuestion[];
  /** Put the text into a user's turn through the chat template, and expect the letter as the reply's beginning. */
  readonly chat: boolean;
}

/**
 * A question as MMLU's authors put it: what the questions are about, solved ones, then the question, its choices behind
 * letters, and "Answer:", which a letter follows.
 */
export function choicePrompt(question: ChoiceQuestion, shots: readonly ChoiceQuestion[]): string {
  const head = `The following are multiple choice questions (with answers) about ${question.subject.replaceAll('_', ' ')}.\n\n`;
  const solved = shots.map((shot) => `${askText(shot)} ${choiceLetters[shot.answer]!}\n\n`);
  return `${head}${solved.join('')}${askText(question)}`;
}

/** Its prompt and the letters as tokens; UsageError or ModelError for a model without tokenizer or, asked for, template. */
export function encodeChoiceQuestion(
  parts: PromptParts,
  question: ChoiceQuestion,
  { shots, chat }: ChoicePromptOptions,
): EncodedChoices {
  const tokenizer = requireTokenizer(parts);
  const text = choicePrompt(question, shots);
  const letters = choiceLetters.slice(0, question.choices.length);
  if (chat) {
    const prompt = encodeMessages(parts, [{ role: 'user', content: text }]).ids;
    return { prompt, continuations: letters.map((letter) => tokenizer.encode(letter, { special: false })) };
  }
  // A letter that follows text: a tokenizer that puts a blank before a text's first word must not do it again.
  const continuations = letters.map((letter) => tokenizer.encodePieces([` ${letter}`], true));
  return { prompt: encodeRawPrompt(tokenizer, text), continuations };
}

function askText({ question, choices }: ChoiceQuestion): string {
  const lines = choices.map((choice, i) => `${choiceLetters[i]!}. ${choice}`);
  return `${question.trim()}\n${lines.join('\n')}\nAnswer:`;
}
