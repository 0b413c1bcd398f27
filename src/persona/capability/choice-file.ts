import { basename, extname } from 'node:path';
import { z } from 'zod';
import { DataError } from '../../errors.ts';
import { readSmallFile } from '../../model/read-bytes.ts';
import { describeIssues } from '../../store/schema.ts';
import { parseCsv } from '../../util/csv.ts';
import { parsePythonList } from '../../util/python-list.ts';
import { type ChoiceQuestion, choiceLetters } from './choice-question.ts';

/** MMLU whole is some 10 MB; more is the wrong file. */
const MAX_BYTES = 256 * 1024 * 1024;

/** A file of multiple-choice questions as it was read. */
export interface ChoiceFile {
  readonly questions: readonly ChoiceQuestion[];
  /** What a person should know, in sentences. */
  readonly notices: readonly string[];
}

/**
 * Reads questions in one of MMLU's layouts: CSV without a header (question, four choices, letter), as its authors publish
 * it; CSV with the columns `question`, `choices` (a list as Python or JSON writes it) and `answer` (an index or a letter), as
 * MMLU-Redux has it; or JSON lines with the same keys. The subject is the column of that name, else the file's name.
 *
 * @throws DataError naming file and row for what is none.
 */
export async function readChoiceFile(file: string): Promise<ChoiceFile> {
  const { text, notices } = decode(await readSmallFile(file, MAX_BYTES), file);
  const questions =
    extname(file) === '.csv' || extname(file) === '.tsv' ? fromCsv(text, file) : fromJsonLines(text, file);
  if (questions.length > 0) return { questions, notices };
  throw new DataError(`"${file}": expected multiple-choice questions, got an empty file.`, {
    details: { file },
  });
}

/** The subject that a file's name says: `college_biology` of `mmlu_college_biology.csv` and `college_biology_test.csv`. */
function subjectOf(file: string): string {
  return basename(file, extname(file))
    .replace(/^mmlu_/, '')
    .replace(/_(?:test|dev|val|validation|train)$/, '');
}

function decode(bytes: Uint8Array, file: string): { text: string; notices: string[] } {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), notices: [] };
  } catch {
    const text = new TextDecoder('windows-1252').decode(bytes);
    return { text, notices: [`"${file}" is no UTF-8; it was read as Windows-1252.`] };
  }
}

function fromCsv(text: string, file: string): ChoiceQuestion[] {
  const head = text.slice(0, Math.max(0, text.indexOf('\n')));
  const separator = head.split(';').length > head.split(',').length ? ';' : ',';
  const [first = [], ...rest] = parseCsv(text, file, separator);
  const names = first.map((name) => name.trim().toLowerCase());
  const hasHeader = names.includes('question') && names.includes('choices');
  const records = hasHeader ? rest : [first, ...rest];
  return records.flatMap((record, i) => {
    const where = `"${file}", row ${i + (hasHeader ? 2 : 1)}`;
    if (record.every((field) => field.trim() === '')) return [];
    if (!hasHeader) return [fromFields(record, subjectOf(file), where)];
    const row = Object.fromEntries(names.map((name, column) => [name, record[column]]));
    return [fromRow({ ...row, choices: listOf(row['choices']) }, file, where)];
  });
}

/** `question,A,B,C,D,letter`. */
function fromFields(record: readonly string[], subject: string, where: string): ChoiceQuestion {
  if (record.length < 4)
    throw refused(where, `expected question, choices and letter, got ${record.length} fields`);
  const choices = record.slice(1, -1);
  return checked({ subject, question: record[0]!, choices, answer: record.at(-1)!, where });
}

function listOf(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return parsePythonList(text) ?? undefined;
  }
}

function fromJsonLines(text: string, file: string): ChoiceQuestion[] {
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    const where = `"${file}", line ${i + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      throw refused(where, 'expected a JSON object');
    }
    return [fromRow(value, file, where)];
  });
}

const rowSchema = z.object({
  question: z.string().min(1, 'expected a question, got an empty text'),
  choices: z.array(z.string(), 'expected a list of choices').min(2).max(choiceLetters.length),
  answer: z.union([z.string(), z.int()]),
  subject: z.string().min(1).optional(),
});

function fromRow(value: unknown, file: string, where: string): ChoiceQuestion {
  const parsed = rowSchema.safeParse(value);
  if (!parsed.success) throw refused(where, describeIssues(parsed.error));
  const { subject = subjectOf(file), ...row } = parsed.data;
  return checked({ ...row, subject, where });
}

function checked(row: Omit<ChoiceQuestion, 'answer'> & { answer: string | number }): ChoiceQuestion {
  const text = String(row.answer).trim();
  const letter = text.length === 1 ? choiceLetters.indexOf(text.toUpperCase()) : -1;
  const answer = letter >= 0 ? letter : /^\d+$/.test(text) ? Number(text) : -1;
  if (answer >= 0 && answer < row.choices.length) return { ...row, answer };
  throw refused(
    row.where,
    `expected the answer to be a letter or an index (from 0) of ${row.choices.length} choices, got ${JSON.stringify(text.slice(0, 40))}`,
  );
}

function refused(where: string, problem: string): DataError {
  return new DataError(`${where}: ${problem}.`, { details: { where } });
}
