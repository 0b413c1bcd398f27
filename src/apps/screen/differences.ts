import type { ScreenRow } from '../../store/screen-schema.ts';
import type { MeanInterval } from '../../persona/statistics.ts';
import type { SampleMode } from './score.ts';

/** A row with what it is ranked and flagged by. */
export interface RankedRow {
  readonly row: ScreenRow;
  /** `[vectors]`: the projection less its reference, or what mode `auto` estimates that of mode `full` to be. */
  readonly difference: readonly number[];
  readonly by: SampleMode;
  /** `[vectors]`, a judge's trait scores, null where it refused; null without a judge. */
  readonly scores: readonly (number | null)[] | null;
}

/** A row's own differences, `[vectors]`. */
export function differencesOf({ projection, reference }: ScreenRow): number[] {
  return projection.map((value, v) => value - (reference?.[v] ?? 0));
}

/** More sources than these are told apart by nobody. */
const maxSources = 40;

/** The differences of all rows, and where the rows come from. */
export interface Differences {
  readonly count: number;
  /** `[vectors][rows]`. */
  readonly values: readonly Float64Array[];
  /** `[vectors][rows]`, a judge's scores, NaN where it refused; no vectors without a judge. */
  readonly scores: readonly Float64Array[];
  readonly sources: { readonly names: readonly string[]; readonly of: Uint32Array };
  /** 1 for rows that are known to show what is looked for, else 0. */
  readonly known: Uint8Array;
}

/** Reads the differences of rows as they come, in memory of eight bytes a row and vector (with a judge sixteen), and five a row. */
export async function collectDifferences(
  rows: AsyncIterable<RankedRow>,
  { vectors, judged }: { readonly vectors: number; readonly judged: boolean },
  isKnown: (row: ScreenRow) => boolean,
): Promise<Differences> {
  let room = 1024;
  const columns = (count: number): Float64Array[] =>
    Array.from({ length: count }, () => new Float64Array(room));
  let [values, scores] = [columns(vectors), columns(judged ? vectors : 0)];
  let of = new Uint32Array(room);
  let known = new Uint8Array(room);
  const names = new Map<string, number>();
  let count = 0;
  for await (const { row, difference, scores: given } of rows) {
    if (count === room) {
      room *= 2;
      values = values.map((old) => grown(old, new Float64Array(room)));
      scores = scores.map((old) => grown(old, new Float64Array(room)));
      of = grown(of, new Uint32Array(room));
      known = grown(known, new Uint8Array(room));
    }
    for (const [v, list] of values.entries()) list[count] = difference[v]!;
    for (const [v, list] of scores.entries()) list[count] = given?.[v] ?? Number.NaN;
    known[count] = Number(isKnown(row));
    const source = names.has(row.source) || names.size < maxSources ? row.source : 'others';
    if (!names.has(source)) names.set(source, names.size);
    of[count++] = names.get(source)!;
  }
  return {
    count,
    values: values.map((list) => list.slice(0, count)),
    scores: scores.map((list) => list.slice(0, count)),
    sources: { names: [...names.keys()], of: of.slice(0, count) },
    known: known.slice(0, count),
  };
}

function grown<T extends Float64Array | Uint32Array | Uint8Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}

/** Mean of the chosen values with its normal 95 % interval, summed in the order of the rows. */
export function intervalOf(values: Float64Array, chosen: (index: number) => boolean): MeanInterval {
  let [count, sum, squares] = [0, 0, 0];
  for (let i = 0; i < values.length; i++) if (chosen(i)) [count, sum] = [count + 1, sum + values[i]!];
  if (count === 0) return { mean: null, lower: null, upper: null };
  const mean = sum / count;
  if (count === 1) return { mean, lower: null, upper: null };
  for (let i = 0; i < values.length; i++) if (chosen(i)) squares += (values[i]! - mean) ** 2;
  const half = (1.959963984540054 * Math.sqrt(squares / (count - 1))) / Math.sqrt(count);
  return { mean, lower: mean - half, upper: mean + half };
}
