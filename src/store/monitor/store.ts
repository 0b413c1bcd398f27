import {
  appendTurn,
  findTurn,
  type Judge,
  type KnownTurn,
  type TurnOrigin,
  type TurnRecord,
  type WrittenTurn,
} from './append.ts';
import { type BucketCounts, writeBuckets } from './buckets.ts';
import { MonitorDatabase } from './database.ts';
import { countLetters, type Delivery, type Letter, nextDue, noteDeliveries, takeLetters } from './outbox.ts';
import type { Page, PageQuery } from './page.ts';
import { type AlertFilter, readAlerts, type StoredAlert } from './read-alerts.ts';
import {
  type ConversationFacts,
  type ConversationFilter,
  readConversation,
  readConversations,
  type StoredConversation,
} from './read-conversations.ts';
import { type EventPlace, type MonitorEvent, readEvents } from './read-events.ts';
import { readSummary, type StoredSummary } from './read-summary.ts';
import { removeOld, type Retention } from './retention.ts';
import { rememberVectors } from './vectors.ts';

export interface StoredPolicy {
  readonly name: string;
  /** JSON. */
  readonly policy: string;
  /** Whether it was given at the start, or put by a request. */
  readonly source: 'file' | 'api';
}

/** A turn that could not be written has its reason in its place. */
export type Appended = WrittenTurn | { readonly failed: unknown };

/** Conversations, turns, alerts and letters in one file. One process writes; what returns is committed. */
export class MonitorStore<Judged = unknown> {
  private readonly db: MonitorDatabase;
  private readonly judge: Judge<Judged>;

  /** @throws StoreError where the file is no store, or of a newer version. */
  constructor(file: string, judge: Judge<Judged>) {
    this.db = MonitorDatabase.open(file);
    this.judge = judge;
    rememberVectors(this.db);
  }

  /** What hashes of messages begin with: nobody can look one up without this file. */
  salt(): string {
    return this.db.first(this.db.build.selectFrom('meta').select('value').where('name', '=', 'salt'))!.value;
  }

  find(origin: TurnOrigin): KnownTurn | null {
    return findTurn(this.db, origin);
  }

  /** Writes turns in their order with one commit. Where that fails, each is tried by itself. */
  append(records: readonly TurnRecord<Judged>[]): Appended[] {
    try {
      return this.write(records);
    } catch (error) {
      if (records.length === 1) return [{ failed: error }];
      return records.flatMap((record) => this.append([record]));
    }
  }

  private write(records: readonly TurnRecord<Judged>[]): WrittenTurn[] {
    const buckets: BucketCounts = new Map();
    try {
      return this.db.transaction(() => {
        const written = records.map((record) => appendTurn(this.db, record, this.judge, buckets));
        writeBuckets(this.db, buckets);
        return written;
      });
    } finally {
      rememberVectors(this.db);
    }
  }

  policies(): StoredPolicy[] {
    return this.db.all(this.db.build.selectFrom('policies').selectAll().orderBy('name'));
  }

  /** Those that were given at the start; what an earlier start gave and this one does not is gone. */
  replaceGiven(policies: readonly Omit<StoredPolicy, 'source'>[]): void {
    this.db.transaction(() => {
      this.db.run(this.db.build.deleteFrom('policies').where('source', '=', 'file'));
      for (const { name, policy } of policies) this.putPolicy({ name, policy, source: 'file' });
    });
  }

  putPolicy({ name, policy, source }: StoredPolicy): void {
    this.db.run(
      this.db.build
        .insertInto('policies')
        .values({ name, policy, source })
        .onConflict((conflict) => conflict.column('name').doUpdateSet({ policy, source })),
    );
  }

  deletePolicy(name: string): void {
    this.db.run(this.db.build.deleteFrom('policies').where('name', '=', name));
  }

  takeLetters(kind: string, options: { now: number; limit: number; retryAt: number }): Letter[] {
    return takeLetters(this.db, kind, options);
  }

  nextDue(kind: string): number | null {
    return nextDue(this.db, kind);
  }

  noteDeliveries(deliveries: readonly Delivery[]): void {
    noteDeliveries(this.db, deliveries);
  }

  removeOld(retention: Retention, now: number): boolean {
    return removeOld(this.db, retention, now);
  }

  /** For those who watch over the store. */
  facts(): { readonly bytes: number; readonly letters: ReturnType<typeof countLetters> } {
    return { bytes: this.db.bytes, letters: countLetters(this.db) };
  }

  close(): void {
    this.db.checkpoint();
    this.db.close();
  }
}

/** Reads beside the one that writes, from a connection of its own: neither waits for the other. */
export class MonitorReader {
  private readonly db: MonitorDatabase;

  constructor(file: string) {
    this.db = MonitorDatabase.openToRead(file);
  }

  conversations(filter: ConversationFilter): Page<StoredConversation> {
    return readConversations(this.db, filter);
  }

  conversation(id: string, query: PageQuery): ConversationFacts | null {
    return readConversation(this.db, id, query);
  }

  alerts(filter: AlertFilter): Page<StoredAlert> {
    return readAlerts(this.db, filter);
  }

  summary(since: number, now: number): StoredSummary {
    return readSummary(this.db, since, now);
  }

  events(after: EventPlace, turns: number): MonitorEvent[] {
    return readEvents(this.db, after, turns);
  }

  close(): void {
    this.db.close();
  }
}
