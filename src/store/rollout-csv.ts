import { DataError } from '../errors.ts';
import { readSmallFile } from '../model/read-bytes.ts';
import { formatCsv, parseCsv } from '../util/csv.ts';

/** A row of the authors' files of judged rollouts, `{trait}_{pos|neg}_instruct.csv`. */
export interface RolloutCsvRow {
  readonly question: string;
  /** As the model saw it: the chat template filled in, up to the opening of the reply. */
  readonly prompt: string;
  readonly answer: string;
  /** `{trait}_{question}_{pos|neg}_{instruction}`, once for every sample. */
  readonly questionId: string;
  /** Null for an empty cell: the judge gave no score. Undefined where the file has no such column. */
  readonly trait: number | null | undefined;
  readonly coherence: number | null | undefined;
}

/** The authors' names of their two files. A trait may be called anything, a file may not. */
export function rolloutCsvName(trait: string, pole: 'pos' | 'neg'): string {
  return `${trait.replace(/[^\p{L}\p{N}_-]+/gu, '-')}_${pole}_instruct.csv`;
}

/**
 * Reads such a file. Further columns are left alone; texts such as `NA`, which other readers take for missing, stay texts.
 *
 * @param trait Names the column of trait scores.
 * @throws DataError naming the line for what is no such file; StoreError or ParseError when it cannot be read.
 */
export function parseRolloutCsv(text: string, file: string, trait: string): RolloutCsvRow[] {
  const [header, ...records] = parseCsv(text, file);
  const column = (name: string): number => header?.indexOf(name) ?? -1;
  for (const name of ['prompt', 'answer']) {
    if (column(name) >= 0) continue;
    throw new DataError(
      `"${file}": expected the columns question, prompt, answer, question_id, ${trait} and coherence, got no "${name}" among ${header?.join(', ') ?? 'nothing'}.`,
      { details: { file, column: name } },
    );
  }
  return records.map((record, i) => {
    const where = `"${file}", row ${i + 1}`;
    if (record.length !== header!.length) {
      throw new DataError(`${where}: expected ${header!.length} columns, got ${record.length}.`, {
        details: { file, row: i + 1 },
      });
    }
    const cell = (name: string): string => record[column(name)] ?? '';
    const score = (name: string): number | null | undefined =>
      column(name) < 0 ? undefined : parseScore(cell(name), name, where);
    return {
      question: cell('question'),
      prompt: cell('prompt'),
      answer: cell('answer'),
      questionId: cell('question_id'),
      trait: score(trait),
      coherence: score('coherence'),
    };
  });
}

/** Rows in the authors' layout, byte for byte as pandas writes them. */
export function formatRolloutCsv(rows: readonly RolloutCsvRow[], trait: string): string {
  const header = ['question', 'prompt', 'answer', 'question_id', trait, 'coherence'];
  return formatCsv([
    header,
    ...rows.map((row) => [
      row.question,
      row.prompt,
      row.answer,
      row.questionId,
      formatScore(row.trait),
      formatScore(row.coherence),
    ]),
  ]);
}

/** Some readers give up on a file beyond this, and so does a JavaScript string before long. */
const MAX_CSV_BYTES = 256 * 1024 * 1024;

/** The text of a CSV or JSON-lines file of rollouts. */
export async function readRolloutText(file: string): Promise<string> {
  const bytes = await readSmallFile(file, MAX_CSV_BYTES);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new DataError(`"${file}" is no UTF-8 text; save it as UTF-8.`, { details: { file }, cause });
  }
}

function parseScore(text: string, name: string, where: string): number | null {
  // Python writes a missing number as nothing, or as nan.
  if (/^\s*(?:nan)?\s*$/i.test(text)) return null;
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0 && value <= 100) return value;
  throw new DataError(`${where}: expected "${name}" from 0 to 100 or empty, got ${JSON.stringify(text)}.`, {
    details: { where, column: name },
  });
}

/** A float as Python's repr prints it: the same shortest digits as JavaScript's, other rules for exponents. */
function formatScore(value: number | null | undefined): string {
  if (value === null || value === undefined) return '';
  if (value === 0) return '0.0';
  const [mantissa, exponent] = value.toExponential().split('e') as [string, string];
  const power = Number(exponent);
  if (power >= -4 && power < 16) return Number.isInteger(value) ? `${value}.0` : String(value);
  const sign = power < 0 ? '-' : '+';
  return `${mantissa}e${sign}${String(Math.abs(power)).padStart(2, '0')}`;
}
