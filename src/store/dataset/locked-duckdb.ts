import type { DuckDBConnection } from '@duckdb/node-api';
import { DataError, UsageError } from '../../errors.ts';
import type { DatasetFile } from './dataset-files.ts';

/** A database in memory that can read the given files, and else neither read nor write anything. */
export interface LockedDatabase {
  readonly connection: DuckDBConnection;
  close(): void;
}

/** One thread keeps rows in the order of the file, and memory at one row group. */
const settings = { threads: '1', memory_limit: '1GB', max_temp_directory_size: '0B' } as const;

/** Opens the database; its settings cannot be changed afterwards, by no SQL that a user gives. */
export async function openLockedDatabase(files: readonly DatasetFile[]): Promise<LockedDatabase> {
  // Loaded here, since the library is a native one of 70 MB that most commands have no use for.
  const { DuckDBInstance } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(':memory:', settings);
  const connection = await instance.connect();
  const paths = files.map(({ path }) => quoted(path)).join(', ');
  await connection.run(`SET allowed_paths = [${paths}]`);
  await connection.run('SET enable_external_access = false');
  await connection.run('SET lock_configuration = true');
  const close = (): void => {
    connection.closeSync();
    instance.closeSync();
  };
  return { connection, close };
}

/**
 * Checks that a condition is one expression over columns, such as `language = 'English' AND turn < 3`.
 *
 * @throws UsageError where it is not, or holds a query of its own.
 */
export async function checkCondition(connection: DuckDBConnection, where: string): Promise<void> {
  const reader = await connection.runAndReadAll('SELECT json_serialize_sql($1::VARCHAR)', [
    `SELECT 1 FROM data WHERE (${where}\n)`,
  ]);
  const {
    error,
    error_message: message,
    statements,
  } = JSON.parse(String(reader.getRows()[0]![0])) as {
    readonly error: boolean;
    readonly error_message?: string;
    readonly statements?: readonly { readonly node: Readonly<Record<string, unknown>> }[];
  };
  const shown = `--where ${JSON.stringify(where)}`;
  if (error) throw new UsageError(`${shown}: expected a condition in SQL, but ${message ?? 'it is not'}.`);
  const [statement] = statements ?? [];
  const isPlain = statements?.length === 1 && statement!.node['type'] === 'SELECT_NODE';
  const rest = ['group_expressions', 'modifiers'].map((key) => statement?.node[key]);
  const hasMore = rest.some((list) => Array.isArray(list) && list.length > 0);
  if (!isPlain || hasMore || JSON.stringify(statement).includes('"SUBQUERY"'))
    throw new UsageError(
      `${shown}: expected one condition over the columns, got a query; leave SELECT and its like out.`,
    );
}

/** A text as SQL spells it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** What DuckDB said about a file, as an error of ours, without the hints that only speak of its own functions. */
export function duckFailure(error: unknown, where: string): DataError {
  if (error instanceof DataError) return error;
  const said = (error instanceof Error ? error.message : String(error)).split('\n')[0]!.trim();
  return new DataError(`${where}: could not be read: ${said.replace(/\.$/, '')}.`, { cause: error });
}
