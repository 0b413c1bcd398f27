import { sql } from 'kysely';
import type { MonitorDatabase } from './database.ts';

/** Lengths of the stretches of time that are counted in, in seconds. */
export const bucketSeconds: readonly number[] = [300, 3600, 86_400];

interface Counts {
  readonly seconds: number;
  readonly time: number;
  readonly model: string;
  readonly vid: number;
  conversations: number;
  turns: number;
  alerts: number;
  sum_z: number;
  scored: number;
}

/** What some turns add to the counts, by bucket; written at once by `writeBuckets`. */
export type BucketCounts = Map<string, Counts>;

interface CountedTurn {
  readonly time: number;
  readonly model: string;
  readonly projections: readonly { readonly vid: number; readonly z: number | null }[];
  /** Vectors of the alerts. */
  readonly alerts: readonly number[];
}

/** @param before when the conversation last had a turn with each vector, by which a conversation is counted once a bucket */
export function addToBuckets(
  counts: BucketCounts,
  before: ReadonlyMap<number, number>,
  { time, model, projections, alerts }: CountedTurn,
): void {
  for (const seconds of bucketSeconds) {
    const start = bucketStart(time, seconds);
    for (const { vid, z } of projections) {
      const key = JSON.stringify([seconds, start, model, vid]);
      const at = counts.get(key) ?? emptyCounts(seconds, start, model, vid);
      counts.set(key, at);
      if ((before.get(vid) ?? -1) < start) at.conversations++;
      at.turns++;
      at.alerts += alerts.filter((one) => one === vid).length;
      at.sum_z += z ?? 0;
      at.scored += z === null ? 0 : 1;
    }
  }
}

function emptyCounts(seconds: number, time: number, model: string, vid: number): Counts {
  return { seconds, time, model, vid, conversations: 0, turns: 0, alerts: 0, sum_z: 0, scored: 0 };
}

export function bucketStart(time: number, seconds: number): number {
  return Math.floor(time / (seconds * 1000)) * seconds * 1000;
}

/** Call it within the transaction of the turns. */
export function writeBuckets(db: MonitorDatabase, counts: BucketCounts): void {
  for (const row of counts.values())
    db.run(
      db.build
        .insertInto('buckets')
        .values(row)
        .onConflict((conflict) =>
          conflict.columns(['seconds', 'time', 'model', 'vid']).doUpdateSet({
            conversations: sql`buckets.conversations + excluded.conversations`,
            turns: sql`buckets.turns + excluded.turns`,
            alerts: sql`buckets.alerts + excluded.alerts`,
            sum_z: sql`buckets.sum_z + excluded.sum_z`,
            scored: sql`buckets.scored + excluded.scored`,
          }),
        ),
    );
}
