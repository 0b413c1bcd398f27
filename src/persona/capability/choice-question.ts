/** A multiple-choice question. */
export interface ChoiceQuestion {
  /** What it belongs to, such as a subject of MMLU. */
  readonly subject: string;
  readonly question: string;
  readonly choices: readonly string[];
  /** Index of the right choice. */
  readonly answer: number;
  /** Where it stands, such as `"x.csv", row 3`. */
  readonly where: string;
}

/** Letters of the choices, as prompts and answer keys spell them. */
export const choiceLetters: readonly string[] = 'ABCDEFGHIJ'.split('');
