import { AbortError } from '../../errors.ts';
import type { DatasetRow } from '../../store/dataset/read-dataset.ts';
import type { PartStore } from '../../store/screen-folder.ts';
import type { ShardCounts } from '../../store/screen-schema.ts';
import { mapConcurrently } from '../../util/map-concurrently.ts';
import { type Sample, type ScreenedTurns, samplesOf } from './samples.ts';

/** A part of what is screened: what it holds follows from the data alone. */
export interface Part<Item> {
  readonly index: number;
  /** Rows of the data set that it comes from. */
  readonly rows: number;
  readonly items: readonly Item[];
}

/** What a part came to. */
export interface FinishedPart<Row> {
  readonly rows: readonly Row[];
  readonly counts: ShardCounts;
}

export interface RunPartsOptions<Item, Row extends object> {
  readonly parts: AsyncIterable<Part<Item>>;
  readonly store: PartStore<Row>;
  /** Makes the rows of a part; what it gives must not depend on other parts. */
  readonly work: (part: Part<Item>, signal: AbortSignal) => Promise<FinishedPart<Row>>;
  /** Parts in work at once; default 1. */
  readonly atOnce?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((samples: number) => void) | undefined;
}

export interface PartTotals extends ShardCounts {
  readonly shards: number;
}

const countNames = ['rows', 'samples', 'empty', 'long', 'refused'] as const;

/**
 * Works through parts. One that is on the disk already is read past and not done again, so that a run that was stopped ends
 * in the same bytes.
 *
 * @throws AbortError when stopped; what is finished stays.
 */
export async function runParts<Item, Row extends object>(
  options: RunPartsOptions<Item, Row>,
): Promise<PartTotals> {
  const { parts, store, work, atOnce = 1, signal, onProgress } = options;
  const totals = { rows: 0, samples: 0, empty: 0, long: 0, refused: 0, shards: 0 };
  const finish = async (part: Part<Item>, _: number, ending: AbortSignal): Promise<ShardCounts> => {
    const known = await store.counts(part.index);
    if (known !== null) return known;
    const { rows, counts } = await work(part, ending);
    await store.write(part.index, rows, counts);
    return counts;
  };
  const stopped = (): AbortError => new AbortError('Stopped between two parts of the data set.');
  for await (const counts of mapConcurrently(parts, finish, { limit: atOnce, signal, stopped })) {
    for (const name of countNames) totals[name] += counts[name];
    totals.shards++;
    onProgress?.(totals.samples + totals.empty + totals.long + totals.refused);
  }
  return totals;
}

/** A data set's replies in parts of so many or, where a row has several, a few more. */
export async function* partsOfRows(
  rows: AsyncIterable<DatasetRow>,
  turns: ScreenedTurns,
  size: number,
): AsyncGenerator<Part<Sample>> {
  let part = { index: 0, rows: 0, items: [] as Sample[] };
  for await (const row of rows) {
    part.rows++;
    part.items.push(...samplesOf(row, turns));
    if (part.items.length < size) continue;
    yield part;
    part = { index: part.index + 1, rows: 0, items: [] };
  }
  if (part.rows > 0) yield part;
}

/** Items in parts of so many. */
export async function* partsOf<Item>(items: AsyncIterable<Item>, size: number): AsyncGenerator<Part<Item>> {
  let part = { index: 0, rows: 0, items: [] as Item[] };
  for await (const item of items) {
    part.rows++;
    part.items.push(item);
    if (part.items.length < size) continue;
    yield part;
    part = { index: part.index + 1, rows: 0, items: [] };
  }
  if (part.rows > 0) yield part;
}
