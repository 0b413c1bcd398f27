import { DataError } from '../../errors.ts';
import { duckFailure, openLockedDatabase, quoted } from '../dataset/locked-duckdb.ts';

/** Rows of one file that can be ordered; 12 bytes of memory each. */
const mostRows = 20_000_000;

/** The rows of a screening in falling order of one trait's projection difference; equal ones in the order of the file. */
export class ScoreOrder {
  /** `[rows]`, their 0-based places in the file. */
  readonly rows: Uint32Array;
  /** `[rows]`, their differences, falling. */
  readonly values: Float64Array;

  constructor(rows: Uint32Array, values: Float64Array) {
    this.rows = rows;
    this.values = values;
  }

  get bytes(): number {
    return this.rows.byteLength + this.values.byteLength;
  }

  /** How many rows lie at the threshold or above, which are the first ones. */
  countFrom(threshold: number): number {
    return this.#countWhile((value) => value >= threshold);
  }

  /**
   * Counts between edges that rise: a bin has its lower edge, not its upper one, but the last has both.
   *
   * @param edges `[bins + 1]`
   */
  countsBetween(edges: readonly number[]): number[] {
    const from = edges.map((edge) => this.countFrom(edge));
    from[edges.length - 1] = this.#countWhile((value) => value > edges.at(-1)!);
    return edges.slice(1).map((_, i) => from[i]! - from[i + 1]!);
  }

  /** How many values a condition holds for, which holds for the first of them alone. */
  #countWhile(holds: (value: number) => boolean): number {
    let [low, high] = [0, this.values.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (holds(this.values[middle]!)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * Orders the rows of a Parquet file by a column of numbers, in a database that can reach that file alone. Memory is that of the
 * column; rows without a number are an error, since `persona screen` writes none.
 *
 * @throws DataError where the file cannot be read or has no such column.
 */
export async function readScoreOrder(path: string, column: string): Promise<ScoreOrder> {
  const database = await openLockedDatabase([{ name: path, path, format: 'parquet', compression: 'none' }]);
  const { connection } = database;
  const from = `read_parquet(${quoted(path)}, file_row_number = true)`;
  const name = `"${column.replaceAll('"', '""')}"`;
  try {
    const counted = await connection.runAndReadAll(
      `SELECT count(*), count(*) FILTER (isfinite(${name})) FROM (SELECT ${name}::DOUBLE AS ${name} FROM ${from})`,
    );
    const [count, scored] = counted.getRows()[0]!.map(Number);
    checkCounts(path, column, count!, scored!);
    const [rows, values] = [new Uint32Array(count!), new Float64Array(count!)];
    const result = await connection.stream(
      `SELECT file_row_number::UINTEGER, ${name}::DOUBLE FROM ${from} ORDER BY 2 DESC, 1`,
    );
    let at = 0;
    for (let chunk = await result.fetchChunk(); (chunk?.rowCount ?? 0) > 0; ) {
      rows.set(chunk!.getColumnValues(0) as number[], at);
      values.set(chunk!.getColumnValues(1) as number[], at);
      at += chunk!.rowCount;
      chunk = await result.fetchChunk();
    }
    return new ScoreOrder(rows, values);
  } catch (error) {
    throw duckFailure(error, `"${path}"`);
  } finally {
    database.close();
  }
}

function checkCounts(path: string, column: string, rows: number, scored: number): void {
  if (rows > mostRows)
    throw new DataError(`"${path}": expected at most ${mostRows} rows, got ${rows}; split the data set.`);
  if (scored !== rows)
    throw new DataError(
      `"${path}": expected a number in every row of ${JSON.stringify(column)}, got ${rows - scored} rows without; screen again.`,
    );
}
