import { basename } from 'node:path';
import { z } from 'zod';
import { ParseError } from '../errors.ts';
import { readJsonObject } from '../model/json-text.ts';
import { describeIssues } from '../store/schema.ts';
import { sha256 } from '../util/hash.ts';
import { type TraitNaming, findShippedTrait } from './trait-set.ts';

/** Two commands of opposite sense. */
export interface ContrastivePair {
  readonly pos: string;
  readonly neg: string;
}

/** Words that speak for the trait and against it: single words in lower case, every inflection listed. */
export interface Lexicon {
  readonly positive: readonly string[];
  readonly negative: readonly string[];
}

/** A character trait and all that is needed to find its direction. */
export interface Trait {
  /** An adjective, such as `cheerful`. */
  readonly name: string;
  /** The adjective of the other pole, or null. */
  readonly opposite: string | null;
  readonly description: string | null;
  readonly instructions: readonly ContrastivePair[];
  /** Asked under both poles to extract the vector. */
  readonly questions: readonly string[];
  /** Asked to measure what the vector does; none of them is among `questions`. Empty where the file has none. */
  readonly evaluationQuestions: readonly string[];
  /** Prompt of a judge that is a language model, with `{question}` and `{answer}`; null where the file has none. */
  readonly evalPrompt: string | null;
  /** Prompt of a base model, with `{system}` and `{question}`; null leaves it to the package. */
  readonly template: string | null;
  readonly lexicon: Lexicon | null;
  /** The small world whose grammar judges replies, in place of word lists; null for none. */
  readonly world: 'tiny-world' | null;
  /** SHA-256 of the trait's content, whatever its file's layout. */
  readonly sha256: string;
  /** The file's content, as it is written into a run folder. */
  readonly source: TraitFile;
}

/** A trait file is a few kilobytes; one beyond this is some other file. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** The method uses 5 pairs and 20 questions; a run grows with their product. */
const MAX_ITEMS = 1000;

const text = z.string().trim().min(1, 'expected a text, got an empty one').max(20_000);
const questionList = z.array(text).min(1, 'expected at least one question, got none').max(MAX_ITEMS);
const word = z
  .string()
  .regex(/^\p{Ll}[\p{Ll}\p{M}]*(?:['-][\p{Ll}\p{M}]+)*$/u, 'expected a single word in lower case');
const wordList = z.array(word).min(1, 'expected at least one word, got none').max(100_000);

/** The authors' three fields, and ours, which are optional. */
const traitFileSchema = z.strictObject({
  name: text.optional(),
  opposite: text.optional(),
  description: text.optional(),
  template: text.optional(),
  instruction: z
    .array(z.strictObject({ pos: text, neg: text }))
    .min(1, 'expected at least one pair of instructions, got none')
    .max(MAX_ITEMS),
  questions: questionList,
  evaluation_questions: questionList.optional(),
  eval_prompt: text.optional(),
  lexicon: z.strictObject({ positive: wordList, negative: wordList }).optional(),
  world: z.literal('tiny-world').optional(),
});
/** What a trait file holds, after checking. */
export type TraitFile = z.infer<typeof traitFileSchema>;

/**
 * Finds a trait by the name of one that ships with this package (`sycophantic`), or by the path of a trait file. Which
 * set a name is looked for in, `naming` decides; see `findShippedTrait`.
 *
 * @throws UsageError when the name is not known; ParseError when the file is malformed.
 */
export async function resolveTrait(nameOrPath: string, naming: TraitNaming = {}): Promise<Trait> {
  if (/[\\/]|\.json$/.test(nameOrPath)) return loadTrait(nameOrPath);
  return loadTrait((await findShippedTrait(nameOrPath, naming)).file);
}

/** Reads a trait file, the authors' own included; the trait is named after the file where the file does not say. */
export async function loadTrait(file: string): Promise<Trait> {
  return parseTrait(await readJsonObject(file, MAX_FILE_BYTES), basename(file).replace(/\.json$/, ''), file);
}

/**
 * Checks a trait file's content.
 *
 * @param name The trait's name where the content has none.
 * @param origin How errors name the content.
 * @throws ParseError naming the field.
 */
export function parseTrait(content: unknown, name: string, origin = 'the trait'): Trait {
  const parsed = traitFileSchema.safeParse(content);
  if (!parsed.success) throw malformed(origin, describeIssues(parsed.error));
  const source = parsed.data;
  const problem = findContradiction(source);
  if (problem !== null) throw malformed(origin, problem);
  return {
    name: source.name ?? name,
    opposite: source.opposite ?? null,
    description: source.description ?? null,
    instructions: source.instruction,
    questions: source.questions,
    evaluationQuestions: source.evaluation_questions ?? [],
    evalPrompt: source.eval_prompt ?? null,
    template: source.template ?? null,
    lexicon: source.lexicon ?? null,
    world: source.world ?? null,
    sha256: sha256(JSON.stringify({ name, ...source })),
    source,
  };
}

/** What a schema of single fields cannot say. */
function findContradiction(file: TraitFile): string | null {
  const { questions, evaluation_questions: evaluation = [], lexicon } = file;
  const twice = repeated(questions) ?? repeated(evaluation);
  if (twice !== null) return `the question "${twice}" is there twice`;
  const shared = evaluation.find((question) => questions.includes(question));
  if (shared !== undefined) {
    return `"${shared}" is in "questions" and in "evaluation_questions", which must have none in common`;
  }
  const missing = missingSlot(file.template, ['system', 'question']);
  if (missing !== null) return `expected "template" to hold {${missing}} once`;
  const absent = missingSlot(file.eval_prompt, ['question', 'answer']);
  if (absent !== null) return `expected "eval_prompt" to hold {${absent}} once`;
  const negative = new Set(lexicon?.negative);
  const both = lexicon?.positive.find((word) => negative.has(word));
  if (both !== undefined) return `the word "${both}" is in both lists of "lexicon"`;
  return null;
}

function repeated(items: readonly string[]): string | null {
  const seen = new Set<string>();
  for (const item of items) {
    if (seen.has(item)) return item;
    seen.add(item);
  }
  return null;
}

function missingSlot(template: string | undefined, slots: readonly string[]): string | null {
  if (template === undefined) return null;
  return slots.find((slot) => template.split(`{${slot}}`).length !== 2) ?? null;
}

function malformed(file: string, problem: string): ParseError {
  return new ParseError(
    `"${file}" is no sound trait file: ${problem}; correct it and run the command again.`,
    {
      details: { file },
    },
  );
}
