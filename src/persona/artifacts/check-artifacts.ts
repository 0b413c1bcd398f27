import type { Trait } from '../trait.ts';

/** What one would say of a trait file that can be read. */
export interface ArtifactReview {
  /** What spoils results. */
  readonly problems: readonly string[];
  /** Where it departs from the paper, or cannot do everything. */
  readonly remarks: readonly string[];
}

/** The paper's numbers. */
export const PAIRS = 5;
export const QUESTIONS = 20;

/** Reviews the parts of a trait: counts, repetitions, questions that give the trait away, how replies will be judged. */
export function reviewArtifacts(trait: Trait): ArtifactReview {
  const all = [...trait.questions, ...trait.evaluationQuestions];
  const problems = [
    ...repeatedTexts(all).map((text) => `the question "${text}" is there twice in nearly the same words`),
    ...namingQuestions(trait.name, all).map((text) => `the question "${text}" names the trait`),
    ...pairProblems(trait),
    ...(trait.evalPrompt === null && trait.lexicon === null && trait.world === null
      ? [
          'there is no "eval_prompt" for a judge that is a language model, nor a "lexicon" for the lexical judge',
        ]
      : []),
  ];
  return { problems, remarks: remarksOf(trait) };
}

/** Everything that is to be put right in artifacts that were asked for in the paper's numbers. */
export function findArtifactProblems(trait: Trait): string[] {
  const { problems, remarks } = reviewArtifacts(trait);
  return [...problems, ...remarks];
}

function remarksOf(trait: Trait): string[] {
  const remarks: string[] = [];
  const count = (what: string, found: number, wanted: number): void => {
    if (found !== wanted) remarks.push(`${found} ${what}, where the paper has ${wanted}`);
  };
  count('pairs of instructions', trait.instructions.length, PAIRS);
  count('questions', trait.questions.length, QUESTIONS);
  count('evaluation questions', trait.evaluationQuestions.length, QUESTIONS);
  if (trait.evalPrompt === null) remarks.push('no "eval_prompt", so no language model can judge it');
  return remarks;
}

function pairProblems({ instructions }: Trait): string[] {
  const texts = instructions.flatMap(({ pos, neg }) => [pos, neg]);
  const same = instructions.filter(({ pos, neg }) => bare(pos) === bare(neg));
  return [
    ...same.map(({ pos }) => `both sides of a pair say "${pos}"`),
    ...repeatedTexts(texts.filter((text) => !same.some(({ pos, neg }) => text === pos || text === neg))).map(
      (text) => `the instruction "${text}" is there twice`,
    ),
  ];
}

/** Texts that an earlier one repeats but for case, punctuation and blanks. */
function repeatedTexts(texts: readonly string[]): string[] {
  const seen = new Set<string>();
  return texts.filter((text) => {
    const before = seen.size;
    seen.add(bare(text));
    return seen.size === before;
  });
}

/** Questions with the trait's name, or a word of its family: `sycophancy` for `sycophantic`. */
function namingQuestions(name: string, questions: readonly string[]): string[] {
  const stems = bare(name)
    .split(' ')
    .map(stemOf)
    .filter((stem) => stem.length >= 4);
  return questions.filter((question) =>
    bare(question)
      .split(' ')
      .some((word) => stems.some((stem) => word.startsWith(stem))),
  );
}

function stemOf(word: string): string {
  const stem = word.replace(/(?:istic|antic|etic|ating|ate|ing|ic|ive|ous|ful|ed|y|e)$/, '');
  return stem.length >= 4 ? stem : word;
}

function bare(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}
