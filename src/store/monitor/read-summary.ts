import { bucketSeconds, bucketStart } from './buckets.ts';
import type { MonitorDatabase } from './database.ts';
import { toTime } from './page.ts';

export interface StoredSummary {
  readonly since: string;
  readonly bucket_seconds: number;
  readonly data: {
    readonly time: string;
    readonly model: string;
    readonly vector: string;
    readonly conversations: number;
    readonly turns: number;
    readonly alerts: number;
    readonly mean_z: number | null;
  }[];
}

/** Stretches that a summary is divided into at most, where they are not days. */
const mostBuckets = 300;

/** Counts by time, model and vector, in the shortest stretches of which there are not too many. */
export function readSummary(db: MonitorDatabase, since: number, now: number): StoredSummary {
  const span = (now - since) / 1000;
  const seconds = bucketSeconds.find((one) => span / one <= mostBuckets) ?? bucketSeconds.at(-1)!;
  const from = bucketStart(since, seconds);
  const rows = db.all(
    db.build
      .selectFrom('buckets')
      .innerJoin('vectors', 'vectors.vid', 'buckets.vid')
      .selectAll('buckets')
      .select('vectors.name')
      .where('seconds', '=', seconds)
      .where('time', '>=', from)
      .orderBy('time')
      .orderBy('model')
      .orderBy('vectors.name'),
  );
  const data = rows.map(({ time, model, name: vector, conversations, turns, alerts, sum_z, scored }) => ({
    time: toTime(time),
    model,
    vector,
    conversations,
    turns,
    alerts,
    mean_z: scored === 0 ? null : sum_z / scored,
  }));
  return { since: toTime(from), bucket_seconds: seconds, data };
}
