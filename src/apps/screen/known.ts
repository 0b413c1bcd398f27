import { areaUnderCurve } from '../../persona/statistics.ts';
import type { KnownFound } from '../../store/screen-schema.ts';

/**
 * How well differences tell the rows that are known to show a trait from the others; null where all rows are of one kind.
 *
 * @param values Float64 `[rows]`, NaN for rows that have none and do not count.
 * @param known `[rows]`, 1 or 0.
 */
export function foundKnown(
  values: Float64Array,
  known: Uint8Array,
  isFlagged: (index: number) => boolean,
): KnownFound | null {
  const of = (kind: number): number[] =>
    Array.from(values.filter((value, i) => known[i] === kind && !Number.isNaN(value)));
  const area = areaUnderCurve(of(1), of(0));
  if (area === null) return null;
  let [rows, flagged] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    if (known[i] === 0) continue;
    rows++;
    if (isFlagged(i)) flagged++;
  }
  return { auroc: area, rows, flagged };
}
