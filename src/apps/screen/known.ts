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
  const there = (_: unknown, i: number): boolean => !Number.isNaN(values[i]!);
  const area = auroc(values.filter(there), known.filter(there));
  if (area === null) return null;
  let [rows, flagged] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    if (known[i] === 0) continue;
    rows++;
    if (isFlagged(i)) flagged++;
  }
  return { auroc: area, rows, flagged };
}

/**
 * Area under the receiver's curve: the probability that a known row lies above another one, where a tie counts as half. By
 * the sum of mid-ranks (Mann and Whitney's U), so that it does not depend on the order of the rows.
 */
export function auroc(values: Float64Array, known: Uint8Array): number | null {
  const order = Uint32Array.from(values, (_, i) => i).sort((a, b) => values[a]! - values[b]!);
  let [positives, rankSum] = [0, 0];
  for (let start = 0; start < order.length; ) {
    let end = start;
    let here = 0;
    for (; end < order.length && values[order[end]!] === values[order[start]!]; end++)
      here += known[order[end]!]!;
    positives += here;
    rankSum += here * ((start + 1 + end) / 2);
    start = end;
  }
  const negatives = values.length - positives;
  if (positives === 0 || negatives === 0) return null;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}
