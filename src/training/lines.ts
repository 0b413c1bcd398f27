import type { TrainingRow } from './types.ts';

/** Where a row lies in a micro-batch: its line, and the position of its first token there. */
export interface PlacedRow {
  readonly row: TrainingRow;
  /** Position of the row among those that were given. */
  readonly index: number;
  readonly line: number;
  /** How many rows stand before it on its line. */
  readonly rank: number;
  readonly start: number;
}

/** Rows laid out on lines of one length; what no row covers is padding. */
export interface Lines {
  readonly count: number;
  /** Positions of a line: the longest row. */
  readonly length: number;
  /** In the order in which they were given. */
  readonly rows: readonly PlacedRow[];
}

/** Spans of tokens, `2 * length` apart on a line, stay whole numbers in 32-bit floats up to here. */
const exactFloats = 2 ** 24;

/**
 * Lays rows out on as few lines as the longest row's length allows: longest first, each on the first line that has
 * room for it. Without `pack` every row has a line of its own.
 */
export function layLines(rows: readonly TrainingRow[], pack: boolean): Lines {
  const length = Math.max(0, ...rows.map((row) => row.ids.length));
  const order = rows
    .map((row, index) => ({ row, index }))
    .sort((a, b) => b.row.ids.length - a.row.ids.length || a.index - b.index);
  const most = Math.floor(exactFloats / (2 * length)) - 2;
  const filled: { rows: number; positions: number }[] = [];
  const placed = order.map(({ row, index }): PlacedRow => {
    const size = row.ids.length;
    const hasRoom = (line: (typeof filled)[number]): boolean =>
      line.positions + size <= length && line.rows < most;
    const room = pack ? filled.findIndex(hasRoom) : -1;
    const line = room < 0 ? filled.push({ rows: 0, positions: 0 }) - 1 : room;
    const { rows: rank, positions: start } = filled[line]!;
    filled[line] = { rows: rank + 1, positions: start + size };
    return { row, index, line, rank, start };
  });
  return { count: filled.length, length, rows: placed.sort((a, b) => a.index - b.index) };
}
