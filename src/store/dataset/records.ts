import type { DuckDBConnection } from '@duckdb/node-api';
import { UsageError } from '../../errors.ts';
import type { DatasetFile } from './dataset-files.ts';
import { duckFailure, quoted } from './locked-duckdb.ts';

/** A record as JSON text, with its 1-based place: the line of a file of lines, else the record's number. */
export interface DatasetRecord {
  readonly line: number;
  readonly json: string;
}

/** A longer record is no row of any data set we know. */
const maxRecordBytes = 16 * 1024 * 1024;
/** Records whose columns and types a condition can speak of. */
const describedRecords = 200;

/**
 * The records of a file in its order, in memory that does not grow with it. Blank lines are passed over.
 *
 * @throws DataError where it cannot be read; UsageError for a condition that does not fit the columns.
 */
export async function* readRecords(
  connection: DuckDBConnection,
  file: DatasetFile,
  where: string | null,
): AsyncGenerator<DatasetRecord> {
  const query = await queryOf(connection, file, where);
  try {
    const result = await connection.stream(query);
    for (
      let chunk = await result.fetchChunk();
      (chunk?.rowCount ?? 0) > 0;
      chunk = await result.fetchChunk()
    ) {
      const [lines, texts] = [chunk!.getColumnValues(0), chunk!.getColumnValues(1)];
      for (let i = 0; i < lines.length; i++) {
        const json = texts[i];
        if (typeof json === 'string') yield { line: Number(lines[i]), json };
      }
    }
  } catch (error) {
    throw explained(error, file, where);
  }
}

async function queryOf(
  connection: DuckDBConnection,
  file: DatasetFile,
  where: string | null,
): Promise<string> {
  if (file.format === 'parquet') {
    const from = `SELECT * FROM read_parquet(${quoted(file.path)}, file_row_number = true)`;
    const kept = where === null ? from : `${from} WHERE (${where}\n)`;
    return `SELECT file_row_number + 1, to_json(COLUMNS_OF)::VARCHAR FROM (${kept}) COLUMNS_OF`;
  }
  const source = `SELECT row_number() OVER () AS n, record FROM ${sourceOf(file)}`;
  if (where === null) return source;
  const columns = await columnsOf(connection, file);
  return `SELECT n, record FROM (SELECT n, record${columns} FROM (${source})) WHERE (${where}\n)`;
}

/** One column `record` of JSON texts; of a file of lines also those that are none, so that they can be named. */
function sourceOf({ path, format, compression }: DatasetFile): string {
  if (format === 'document')
    return `(SELECT json::VARCHAR AS record FROM read_json_objects(${quoted(path)}, format = 'auto', compression = '${compression === 'none' ? 'uncompressed' : compression}', maximum_object_size = ${maxRecordBytes}))`;
  // A separator and quotes that no JSON text holds unescaped leave each line as it is.
  return `read_csv(${quoted(path)}, columns = {'record': 'VARCHAR'}, auto_detect = false, header = false, delim = '\u0001', quote = '', escape = '', strict_mode = false, max_line_size = ${maxRecordBytes}, compression = '${compression}')`;
}

/** The keys of the first records as columns, each of the type that its values there have. */
async function columnsOf(connection: DuckDBConnection, file: DatasetFile): Promise<string> {
  const types = new Map<string, string>();
  let seen = 0;
  for await (const { json } of readRecords(connection, file, null)) {
    for (const [key, value] of entriesOf(json)) {
      if (value === null) continue;
      const type = sqlType(value);
      types.set(key, types.get(key) === type || !types.has(key) ? type : 'VARCHAR');
    }
    if (++seen >= describedRecords) break;
  }
  return [...types]
    .filter(([key]) => key !== 'n' && key !== 'record')
    .map(([key, type]) => {
      const pointer = quoted(`/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`);
      const found =
        type === 'JSON' ? `json_extract(record, ${pointer})` : `json_extract_string(record, ${pointer})`;
      return `, CASE WHEN json_valid(record) THEN TRY_CAST(${found} AS ${type}) END AS "${key.replaceAll('"', '""')}"`;
    })
    .join('');
}

function entriesOf(json: string): [string, unknown][] {
  try {
    const value = JSON.parse(json) as unknown;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
  } catch {
    return [];
  }
}

function sqlType(value: unknown): string {
  if (typeof value === 'boolean') return 'BOOLEAN';
  if (typeof value === 'number') return 'DOUBLE';
  return typeof value === 'string' ? 'VARCHAR' : 'JSON';
}

function explained(error: unknown, { name }: DatasetFile, where: string | null): Error {
  const said = error instanceof Error ? error.message : '';
  if (where !== null && /^(Binder|Permission|Conversion|Parser|Catalog) Error/.test(said))
    return new UsageError(
      `--where ${JSON.stringify(where)}: it does not fit "${name}": ${said.split('\n')[0]!.trim().replace(/\.$/, '')}.`,
      { cause: error },
    );
  return duckFailure(error, `"${name}"`);
}
