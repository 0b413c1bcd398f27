import { sql } from 'kysely';
import { bucketSeconds, bucketStart } from './buckets.ts';
import type { MonitorDatabase } from './database.ts';
import { removeUnsent } from './outbox.ts';
import { isIn } from './read-conversations.ts';

/** Turns that are removed in one transaction, so that replies that wait to be written wait shortly. */
const turnsAtOnce = 500;

/** Milliseconds that a letter waits for somebody who would send it. */
const longestUnsent = 7 * 24 * 3_600_000;

export interface Retention {
  /** Milliseconds that a turn is kept; null keeps all. */
  readonly age: number | null;
  /** Bytes of the database; the oldest turns go first. Null is no bound. */
  readonly bytes: number | null;
}

/**
 * Removes some of what is too old or too much, the oldest first.
 *
 * @returns whether there may be more to remove
 */
export function removeOld(db: MonitorDatabase, { age, bytes }: Retention, now: number): boolean {
  const cutoff = age === null ? -Infinity : now - age;
  const tooLarge = bytes !== null && db.bytes > bytes;
  const oldest = db.all(
    db.build.selectFrom('turns').select(['tid', 'cid', 'time']).orderBy('tid').limit(turnsAtOnce),
  );
  const gone = tooLarge ? oldest : oldest.filter(({ time }) => time < cutoff);
  if (gone.length > 0) db.transaction(() => removeTurns(db, gone));
  if (age !== null) removeCounts(db, cutoff);
  removeUnsent(db, now - longestUnsent);
  db.shrink();
  return gone.length > 0 && (tooLarge || gone.length === turnsAtOnce);
}

function removeTurns(
  db: MonitorDatabase,
  gone: readonly { readonly tid: number; readonly cid: number }[],
): void {
  const tids = gone.map(({ tid }) => tid);
  const perConversation = new Map<number, number>();
  for (const { cid } of gone) perConversation.set(cid, (perConversation.get(cid) ?? 0) + 1);
  const raised = db.all(db.build.selectFrom('alerts').select(['aid', 'cid', 'vid']).where(isIn('tid', tids)));
  db.run(
    db.build
      .deleteFrom('outbox')
      .where(
        isIn(
          'aid',
          raised.map(({ aid }) => aid),
        ),
      )
      .where('state', '!=', 'waiting'),
  );
  for (const table of ['alerts', 'details', 'projections', 'turns'] as const)
    db.run(db.build.deleteFrom(table).where(isIn('tid', tids)));
  for (const [cid, count] of perConversation) {
    const alerts = raised.filter((one) => one.cid === cid).length;
    db.run(
      db.build
        .updateTable('conversations')
        .set(({ eb }) => ({ turns: eb('turns', '-', count), alerts: eb('alerts', '-', alerts) }))
        .where('cid', '=', cid),
    );
  }
  for (const { cid, vid } of raised)
    db.run(
      db.build
        .updateTable('conversation_vectors')
        .set(({ eb }) => ({ alerts: eb('alerts', '-', 1) }))
        .where('cid', '=', cid)
        .where('vid', '=', vid),
    );
  removeEmpty(db, [...perConversation.keys()]);
}

function removeEmpty(db: MonitorDatabase, cids: readonly number[]): void {
  const empty = db.all(
    db.build.selectFrom('conversations').select('cid').where(isIn('cid', cids)).where('turns', '<=', 0),
  );
  const gone = empty.map(({ cid }) => cid);
  for (const table of ['conversation_vectors', 'conversations'] as const)
    db.run(db.build.deleteFrom(table).where(isIn('cid', gone)));
}

/** Of each length of stretches those that have wholly passed. */
function removeCounts(db: MonitorDatabase, cutoff: number): void {
  for (const seconds of bucketSeconds)
    db.run(
      db.build
        .deleteFrom('buckets')
        .where('seconds', '=', sql.lit(seconds))
        .where('time', '<', bucketStart(cutoff, seconds)),
    );
}
