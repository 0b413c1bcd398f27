import { sql } from 'kysely';
import type { MonitorDatabase } from './database.ts';
import { isIn } from './read-conversations.ts';

/** Something to be sent. It stays until a receiver has confirmed it, whatever happens to this process. */
export interface Letter {
  readonly oid: number;
  /** The same at every attempt. */
  readonly id: string;
  readonly kind: string;
  readonly target: string;
  readonly body: string;
  /** Which attempt this is, from 1. */
  readonly attempt: number;
}

/** What became of an attempt: confirmed, to be tried again at a time, or given up. */
export type Delivery =
  | { readonly oid: number; readonly state: 'sent' }
  | { readonly oid: number; readonly state: 'waiting'; readonly due: number; readonly error: string }
  | { readonly oid: number; readonly state: 'failed'; readonly error: string };

/**
 * Takes letters that are due and notes that an attempt at each begins. A process that ends before it notes what became of
 * the attempt leaves the letter due, so that it is sent again under the same id.
 */
export function takeLetters(
  db: MonitorDatabase,
  kind: string,
  { now, limit, retryAt }: { readonly now: number; readonly limit: number; readonly retryAt: number },
): Letter[] {
  return db.transaction(() => {
    const rows = db.all(
      db.build
        .selectFrom('outbox')
        .select(['oid', 'id', 'kind', 'target', 'body', 'attempts'])
        .where('state', '=', sql.lit('waiting'))
        .where('kind', '=', kind)
        .where('due', '<=', now)
        .orderBy('due')
        .limit(limit),
    );
    if (rows.length === 0) return [];
    const oids = rows.map(({ oid }) => oid);
    db.run(
      db.build
        .updateTable('outbox')
        .set(({ eb }) => ({ attempts: eb('attempts', '+', 1), due: retryAt }))
        .where(isIn('oid', oids)),
    );
    return rows.map(({ attempts, ...row }) => ({ ...row, attempt: attempts + 1 }));
  });
}

/** When the next letter of a kind is due; null where none waits. */
export function nextDue(db: MonitorDatabase, kind: string): number | null {
  const found = db.first(
    db.build
      .selectFrom('outbox')
      .select('due')
      .where('state', '=', sql.lit('waiting'))
      .where('kind', '=', kind)
      .orderBy('due')
      .limit(1),
  );
  return found?.due ?? null;
}

/** Notes what became of attempts. Those of alerts stay; numbers that were forwarded, or given up, need not. */
export function noteDeliveries(db: MonitorDatabase, deliveries: readonly Delivery[]): void {
  db.transaction(() => {
    for (const one of deliveries) {
      const { oid, state } = one;
      const error = state === 'sent' ? null : one.error;
      const due = state === 'waiting' ? { due: one.due } : {};
      const row = db.first(
        db.build
          .updateTable('outbox')
          .set({ state, error, ...due })
          .where('oid', '=', oid)
          .returning('aid'),
      );
      if (row === undefined) continue;
      if (row.aid === null && state !== 'waiting')
        db.run(db.build.deleteFrom('outbox').where('oid', '=', oid));
      if (row.aid !== null && state === 'sent')
        db.run(db.build.updateTable('alerts').set({ delivered: 1 }).where('aid', '=', row.aid));
    }
  });
}

/** Removes what nobody has tried to send for long, such as scores for a service that is no longer named. */
export function removeUnsent(db: MonitorDatabase, before: number): void {
  db.run(db.build.deleteFrom('outbox').where('state', '=', sql.lit('waiting')).where('due', '<', before));
}

/** Letters by kind and state. */
export function countLetters(
  db: MonitorDatabase,
): { readonly kind: string; readonly state: string; readonly count: number }[] {
  return db.all(
    db.build
      .selectFrom('outbox')
      .select(({ fn }) => ['kind', 'state', fn.countAll<number>().as('count')])
      .groupBy(['kind', 'state']),
  );
}
