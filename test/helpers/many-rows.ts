import { join } from 'node:path';
import { quoted } from '../../src/store/dataset/locked-duckdb.ts';
import { randomStream } from '../../src/util/random.ts';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { storiesModel } from './stories-model.ts';
import { vectorOf } from './vectors.ts';

/** Writes so many short rows as Parquet, and a vector for the small base model; their paths. */
export async function writeManyRows(
  folder: string,
  rows: number,
): Promise<{ readonly data: string; readonly vector: string }> {
  const data = join(folder, 'rows.parquet');
  const { DuckDBInstance } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  await connection.run(
    `COPY (SELECT 'row-' || i AS id, 'source-' || i % 7 AS source, 'Dog ' || i || '?' AS prompt, 'It saw ' || hash(i) % 1000 || ' trees.' AS answer FROM range(${rows}) t(i)) TO ${quoted(data)} (FORMAT parquet)`,
  );
  connection.closeSync();
  instance.closeSync();
  const { config } = await loadCheckpoint(storiesModel);
  const random = randomStream('many rows');
  const layers = Array.from({ length: config.layers + 1 }, () =>
    Array.from({ length: config.width }, () => random.normal()),
  );
  const vector = join(folder, 'cheerful.safetensors');
  await vectorOf('cheerful', layers, { recommendedLayer: 2 }).save(vector);
  return { data, vector };
}
