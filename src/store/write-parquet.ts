import { randomBytes } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { quoted } from './dataset/locked-duckdb.ts';
import { storeFailure } from './files.ts';

/**
 * Writes a JSON-lines file of ours as Parquet, compressed by zstd, with columns of the given SQL types. The file is there
 * whole or not at all, and equal lines give equal bytes.
 */
export async function writeParquet(
  lines: string,
  path: string,
  columns: Readonly<Record<string, string>>,
): Promise<void> {
  const { DuckDBInstance } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(':memory:', { threads: '1', memory_limit: '1GB' });
  const connection = await instance.connect();
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  const types = Object.entries(columns).map(([name, type]) => `${quoted(name)}: ${quoted(type)}`);
  try {
    await connection.run(
      `COPY (SELECT * FROM read_json(${quoted(lines)}, format = 'newline_delimited', maximum_object_size = 67108864, columns = {${types.join(', ')}})) TO ${quoted(temporary)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 16384)`,
    );
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw storeFailure(path, error);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
