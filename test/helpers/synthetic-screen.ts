import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { quoted } from '../../src/store/dataset/locked-duckdb.ts';
import type { ScreenManifest } from '../../src/store/screen-schema.ts';

/** Markup, a control character, an override of direction and a word without an end. */
export const hostileText = `<img src=x onerror="document.title='hacked'">\u0007\u202Eevil\u202C ${'x'.repeat(300)}`;

/** Of the trait `t`, the rank of row `i` among `rows`, 0 being the lowest: a permutation as long as the factor shares none with `rows`. */
export function rankOf(i: number, rows: number, t = 0): number {
  return (i * factors[t]! + rows - 1) % rows;
}
const factors = [7919, 104_729, 15_485_863] as const;
const spread = 4;

/** The difference of a rank: the quantiles of a logistic distribution around 0. */
export function differenceOf(rank: number, rows: number): number {
  const share = (rank + 0.5) / rows;
  return spread * Math.log(share / (1 - share));
}

/**
 * Writes what `persona screen` leaves of a data set with so many rows, without screening one. One row in twenty is flagged; row 0,
 * the highest of all, has the hostile text.
 */
export async function writeSyntheticScreen(
  folder: string,
  rows: number,
  traits: readonly string[] = ['evil', 'sycophantic'],
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { DuckDBInstance } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(':memory:', { threads: '1', memory_limit: '1GB' });
  const connection = await instance.connect();
  const scores = traits.map((name, t) => scoreColumns(name, rows, t)).join(', ');
  const reply = `CASE WHEN i = 0 THEN ${quoted(hostileText)} ELSE 'You can water ' || md5(i::VARCHAR) || repeat(' and then ' || md5((i + 1)::VARCHAR) || ' in the morning', (1 + hash(i) % 9)::INTEGER) || '.' END`;
  await connection.run(
    `CREATE VIEW scored AS SELECT 'row-' || i AS id, '1:' || (i + 1) AS key, 'source-' || i % 5 AS source, 'prompt-last' AS scored_by, ${scores}, (10 + hash(i) % 90)::INTEGER AS tokens, [{'role': 'user', 'content': 'How do I grow plant ' || i || '?'}, {'role': 'assistant', 'content': ${reply}}] AS messages, NULL::VARCHAR AS base_reply FROM range(${rows}) t(i)`,
  );
  const [lines, parquet] = ['scored.jsonl', 'scored.parquet'].map((name) => quoted(join(folder, name)));
  await connection.run(`COPY (SELECT * FROM scored) TO ${lines!} (FORMAT json)`);
  await connection.run(
    `COPY (SELECT * FROM scored) TO ${parquet!} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 16384)`,
  );
  connection.closeSync();
  instance.closeSync();
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifestOf(rows, traits)));
}

function scoreColumns(name: string, rows: number, t: number): string {
  const rank = `((i * ${factors[t]!} + ${rows - 1}) % ${rows})`;
  const share = `((${rank} + 0.5) / ${rows})`;
  const column = (end: string, before = ''): string =>
    `AS "${`${before}${name}${end}`.replaceAll('"', '""')}"`;
  const difference = `(${spread} * ln(${share} / (1 - ${share})))`;
  return [
    `${difference} + 1 ${column('_projection')}`,
    `1.0 ${column('_reference')}`,
    `${difference} ${column('_projection_difference')}`,
    `100.0 * (${rank} + 1) / ${rows} ${column('_percentile')}`,
    `${rank} >= ${flaggedFrom(rows)} ${column('_flagged', 'is_')}`,
  ].join(', ');
}

function flaggedFrom(rows: number): number {
  return rows - Math.round(rows / 20);
}

function manifestOf(rows: number, traits: readonly string[]): ScreenManifest {
  const quantiles = Array.from({ length: 1001 }, (_, q) =>
    differenceOf(Math.round((q / 1000) * (rows - 1)), rows),
  );
  const difference = { mean: 0, lower: -0.1, upper: 0.1 };
  const sources = Array.from({ length: 5 }, (_, s) => ({
    source: `source-${s}`,
    samples: Math.ceil((rows - s) / 5),
    difference,
  }));
  const flagged = rows - flaggedFrom(rows);
  return {
    schema: 1,
    package: { name: 'persona-vectors', version: '0.0.0' },
    model: { id: 'persona-tiny', revision: null, fingerprint: '0', dtype: 'f32', layers: 6, width: 128 },
    kind: 'screen',
    mode: 'prompt-last',
    schema_of_rows: 'OpenAI messages',
    files: ['rows.jsonl'],
    counts: { rows, samples: rows, empty: 0, long: 0, refused: 0, shards: 1, bad: 0, flagged },
    auto: null,
    traits: traits.map((name) => ({
      name,
      layer: 4,
      vector_sha256: '0',
      difference,
      sources,
      threshold: differenceOf(flaggedFrom(rows) - 0.5, rows),
      flagged,
      judge: null,
      known: null,
      quantiles,
    })),
  };
}
