import { ParseError } from '../errors.ts';
import { readSmallFile } from '../model/read-bytes.ts';

/** A million rows with Windows' ends of lines. */
const MAX_BYTES = 8 * 1024 * 1024;

/** What stands for a positive and a negative row. */
const words: Readonly<Record<string, number>> = { '1': 1, '0': 0, pos: 1, neg: 0 };

/**
 * Reads a label a line: 1 or `pos` for a positive row, 0 or `neg` for a negative one.
 *
 * @throws ParseError naming the line of anything else; UsageError where the file cannot be read.
 */
export async function readLabels(path: string): Promise<number[]> {
  const text = new TextDecoder().decode(await readSmallFile(path, MAX_BYTES));
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
  return lines.map((line, i) => {
    const label = words[line.trim()];
    if (label !== undefined) return label;
    throw new ParseError(
      `"${path}", line ${i + 1}: expected 1, 0, pos or neg, got ${JSON.stringify(line.slice(0, 40))}.`,
      { details: { file: path, line: i + 1 } },
    );
  });
}
