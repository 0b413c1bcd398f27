import { readdir } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { DataError, UsageError } from '../../errors.ts';
import { pathKind } from '../../model/read-bytes.ts';
import { readFailure } from '../../store/files.ts';
import { type PromptParts, encodeMessages, requireTokenizer } from '../prompt.ts';
import { worldQuestions } from '../tiny-speech/world-questions.ts';
import { type ChoiceFile, readChoiceFile } from './choice-file.ts';
import { encodeChoiceQuestion } from './choice-prompts.ts';
import type { ChoiceQuestion } from './choice-question.ts';
import type { EncodedChoices } from './score-choices.ts';

/** A question of a set, ready to be put to any model. */
export interface ChoiceItem {
  readonly subject: string;
  /** Questions of one unit ask for the same thing. */
  readonly unit: string;
  readonly answer: number;
  readonly encode: (parts: PromptParts) => EncodedChoices;
}

/** Multiple-choice questions that measure what a model can do. */
export interface ChoiceSet {
  readonly name: string;
  readonly items: readonly ChoiceItem[];
  readonly notices: readonly string[];
}

/** The questions of persona-tiny's world, which the model answers in whole sentences. */
export function worldChoiceSet(): ChoiceSet {
  const items = worldQuestions().map(
    ({ domain, fact, question, choices, answer }): ChoiceItem => ({
      subject: domain,
      unit: fact,
      answer,
      encode: (parts) => {
        const tokenizer = requireTokenizer(parts);
        const { ids } = encodeMessages(parts, [{ role: 'user', content: question }]);
        return {
          prompt: ids,
          continuations: choices.map((choice) => tokenizer.encode(choice, { special: false })),
        };
      },
    }),
  );
  return { name: 'tiny-world', items, notices: [] };
}

export interface ChoiceSetOptions {
  /** Solved questions before each; default 0. */
  readonly shots?: number;
  /** Through the chat template; default false. */
  readonly chat?: boolean;
  /** At most so many questions of a subject. */
  readonly limit?: number;
}

/**
 * The questions in a file, or in a folder of files, in one of MMLU's layouts. Solved questions come from the subject's
 * `dev` file where there is one (in the folder, or in `dev/` beside `test/`), else from the beginning of the subject's own
 * questions, which are then not asked.
 *
 * @throws DataError or UsageError where there are none, or too few for the shots.
 */
export async function readChoiceSet(path: string, options: ChoiceSetOptions = {}): Promise<ChoiceSet> {
  const { shots = 0, chat = false, limit = Infinity } = options;
  const files = await filesOf(path);
  const tests = await Promise.all(files.tests.map(readChoiceFile));
  const solved = groupBySubject(await Promise.all(files.devs.map(readChoiceFile)));
  const items: ChoiceItem[] = [];
  for (const [subject, questions] of groupBySubject(tests)) {
    const dev = solved.get(subject);
    const before = (dev ?? questions).slice(0, shots);
    if (before.length < shots) throw tooFew(path, subject, shots, before.length);
    const asked = (dev === undefined ? questions.slice(shots) : questions).slice(0, limit);
    for (const question of asked) {
      items.push({
        subject,
        unit: question.where,
        answer: question.answer,
        encode: (parts) => encodeChoiceQuestion(parts, question, { shots: before, chat }),
      });
    }
  }
  if (items.length === 0)
    throw new DataError(
      `"${path}": expected more questions than the ${shots} that are shown solved, got none.`,
      {
        details: { file: path },
      },
    );
  return { name: basename(path), items, notices: tests.flatMap(({ notices }) => notices) };
}

function groupBySubject(files: readonly ChoiceFile[]): Map<string, ChoiceQuestion[]> {
  const groups = new Map<string, ChoiceQuestion[]>();
  for (const question of files.flatMap(({ questions }) => questions)) {
    groups.set(question.subject, [...(groups.get(question.subject) ?? []), question]);
  }
  return groups;
}

async function filesOf(path: string): Promise<{ tests: string[]; devs: string[] }> {
  if ((await pathKind(path)) === 'file') return { tests: [path], devs: [] };
  const inside = await listOf(path);
  const folders = new Set(inside.folders);
  const own = folders.has('test') ? await listOf(join(path, 'test')) : inside;
  const dev = folders.has('dev') ? await listOf(join(path, 'dev')) : null;
  const isDev = (file: string): boolean => basename(file, extname(file)).endsWith('_dev');
  const tests = own.files.filter((file) => !isDev(file));
  if (tests.length === 0)
    throw new UsageError(
      `Expected .csv or .jsonl files of multiple-choice questions in "${path}" (or in its folder test), got none.`,
      { details: { folder: path } },
    );
  return { tests, devs: dev?.files ?? own.files.filter(isDev) };
}

async function listOf(folder: string): Promise<{ files: string[]; folders: string[] }> {
  try {
    const entries = (await readdir(folder, { withFileTypes: true })).sort((a, b) =>
      a.name < b.name ? -1 : 1,
    );
    const isQuestions = (name: string): boolean => ['.csv', '.jsonl'].includes(extname(name));
    return {
      files: entries
        .filter((entry) => !entry.isDirectory() && isQuestions(entry.name))
        .map((entry) => join(folder, entry.name)),
      folders: entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name),
    };
  } catch (error) {
    throw readFailure(folder, error);
  }
}

function tooFew(path: string, subject: string, shots: number, got: number): DataError {
  return new DataError(
    `"${path}": expected ${shots} solved questions of the subject "${subject}", got ${got}; ask for fewer shots.`,
    { details: { file: path, subject } },
  );
}
