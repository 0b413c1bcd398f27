import { DataError } from '../errors.ts';

/**
 * Splits comma-separated text into records of fields (RFC 4180): a field in quotes may hold commas, line breaks and doubled
 * quotes, which all stay as they are. Records end with LF or CRLF; an empty last line is none.
 *
 * @param name How errors call the text.
 * @param separator What stands between fields: a comma, or the semicolon of some spreadsheets.
 * @throws DataError naming the line where a quote is not closed, or where more text follows one.
 */
export function parseCsv(text: string, name: string, separator: ',' | ';' = ','): string[][] {
  const records: string[][] = [];
  let record: string[] = [];
  let position = text.startsWith('\uFEFF') ? 1 : 0;
  while (position < text.length) {
    const read = text[position] === '"' ? quotedField : bareField;
    const field = read(text, position, { name, separator });
    record.push(field.value);
    position = field.end;
    if (text[position] === separator) {
      position++;
      // A separator at the very end stands before an empty field.
      if (position === text.length) record.push('');
      else continue;
    }
    position += text.startsWith('\r\n', position) ? 2 : 1;
    records.push(record);
    record = [];
  }
  return records;
}

/** Records as text, quoted where they must be, with LF after each: what Python's csv writes by default but for the CR. */
export function formatCsv(records: readonly (readonly string[])[]): string {
  const quote = (field: string): string =>
    /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
  return records.map((record) => `${record.map(quote).join(',')}\n`).join('');
}

interface Field {
  readonly value: string;
  /** Position of the separator or line break behind it. */
  readonly end: number;
}
interface Dialect {
  readonly name: string;
  readonly separator: string;
}

function bareField(text: string, start: number, { separator }: Dialect): Field {
  let end = start;
  while (end < text.length && text[end] !== separator && text[end] !== '\n') end++;
  const value = text.slice(start, end);
  if (text[end] === '\n' && value.endsWith('\r')) return { value: value.slice(0, -1), end: end - 1 };
  return { value, end };
}

function quotedField(text: string, start: number, { name, separator }: Dialect): Field {
  const pieces: string[] = [];
  for (let from = start + 1; ; ) {
    const quote = text.indexOf('"', from);
    if (quote < 0) throw malformed(text, start, name, 'a quote that opens here is never closed');
    pieces.push(text.slice(from, quote));
    if (text[quote + 1] !== '"') {
      const end = quote + 1;
      if (end < text.length && text[end] !== separator && !/^\r?\n/.test(text.slice(end, end + 2))) {
        const wanted = separator === ',' ? 'a comma' : 'a semicolon';
        throw malformed(text, end, name, `expected ${wanted} or the end of the line after a quoted field`);
      }
      return { value: pieces.join('"'), end };
    }
    from = quote + 2;
  }
}

function malformed(text: string, position: number, name: string, problem: string): DataError {
  const line = text.slice(0, position).split('\n').length;
  return new DataError(`"${name}", line ${line}: ${problem}; is it a CSV file?`, {
    details: { file: name, line },
  });
}
