import type { Generated } from 'kysely';

/** The tables of a monitoring store. Times are milliseconds since 1970; ids that end in `id` beside `id` itself are row numbers. */
export interface Tables {
  /** Facts of the store itself. */
  readonly meta: { readonly name: string; readonly value: string };
  /** Names of vectors, so that other tables need not repeat them. */
  readonly vectors: { readonly vid: Generated<number>; readonly name: string };
  readonly conversations: ConversationRow;
  /** What of a conversation a list shows, by vector. */
  readonly conversation_vectors: {
    readonly cid: number;
    readonly vid: number;
    readonly model: string;
    readonly updated: number;
    /** Mean projection of the last reply. */
    readonly last: number | null;
    readonly peak_z: number | null;
    readonly alerts: number;
  };
  readonly turns: TurnRow;
  readonly projections: {
    readonly tid: number;
    readonly vid: number;
    readonly layer: number;
    readonly before: number;
    readonly mean: number | null;
    readonly z: number | null;
    readonly percentile: number | null;
  };
  /** Texts and numbers of single tokens, where they are kept; JSON, since SQLite's texts end at a NUL. */
  readonly details: { readonly tid: number; readonly text: string | null; readonly tokens: string | null };
  readonly alerts: AlertRow;
  readonly policies: { readonly name: string; readonly policy: string; readonly source: 'file' | 'api' };
  readonly outbox: OutboxRow;
  /** Counts over stretches of time, kept up to date so that no summary reads turns. */
  readonly buckets: {
    readonly seconds: number;
    readonly time: number;
    readonly model: string;
    readonly vid: number;
    readonly conversations: number;
    readonly turns: number;
    readonly alerts: number;
    readonly sum_z: number;
    /** Turns that have a z. */
    readonly scored: number;
  };
}

interface ConversationRow {
  readonly cid: Generated<number>;
  readonly id: string;
  readonly model: string;
  readonly key: string | null;
  readonly started: number;
  readonly updated: number;
  /** Turns that are still kept. */
  readonly turns: number;
  readonly alerts: number;
  /** Index of its newest turn. */
  readonly newest: number;
}

interface TurnRow {
  /** Rises with time, and no number is given twice: what events are resumed by. */
  readonly tid: Generated<number>;
  readonly cid: number;
  readonly idx: number;
  readonly parent: number | null;
  readonly time: number;
  /** Hash of the messages up to and with this reply, by which the next request is known. */
  readonly history: string | null;
  /** What policies remember after this turn, as JSON. */
  readonly state: string | null;
}

interface AlertRow {
  readonly aid: Generated<number>;
  readonly id: string;
  readonly time: number;
  readonly cid: number;
  readonly tid: number;
  readonly idx: number;
  readonly model: string;
  readonly vid: number;
  readonly policy: string;
  readonly rule: 'threshold' | 'cusum';
  readonly value: number;
  readonly lim: number;
  readonly action: 'log' | 'webhook' | 'cap' | 'refuse';
  /** 0 or 1; null where nothing is sent. */
  readonly delivered: number | null;
}

interface OutboxRow {
  readonly oid: Generated<number>;
  /** The same at every attempt, so that a receiver can tell a repetition. */
  readonly id: string;
  readonly aid: number | null;
  readonly kind: string;
  readonly target: string;
  readonly body: string;
  /** Attempts begun. */
  readonly attempts: number;
  /** When the next one is due. */
  readonly due: number;
  readonly state: 'waiting' | 'sent' | 'failed';
  readonly error: string | null;
}

/** "pvmo", so that another program's database is not taken for a store. */
export const applicationId = 0x70_76_6d_6f;

/** From each version to the next; the version is SQLite's `user_version`. */
export const migrations: readonly string[] = [
  `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  INSERT INTO meta VALUES ('salt', lower(hex(randomblob(16))));
  CREATE TABLE vectors (vid INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
  CREATE TABLE conversations (
    cid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, model TEXT NOT NULL, key TEXT,
    started INTEGER NOT NULL, updated INTEGER NOT NULL,
    turns INTEGER NOT NULL, alerts INTEGER NOT NULL, newest INTEGER NOT NULL
  );
  -- Lists are filtered within their index, so that a page never reads rows that are not on it.
  CREATE INDEX conversations_updated ON conversations (updated, cid, model, key, id);
  CREATE INDEX conversations_alerted ON conversations (updated, cid, model, key, id) WHERE alerts > 0;
  CREATE TABLE conversation_vectors (
    cid INTEGER NOT NULL, vid INTEGER NOT NULL, model TEXT NOT NULL, updated INTEGER NOT NULL,
    last REAL, peak_z REAL, alerts INTEGER NOT NULL, PRIMARY KEY (cid, vid)
  ) WITHOUT ROWID;
  CREATE INDEX conversation_vectors_updated ON conversation_vectors (vid, updated, cid, model);
  CREATE INDEX conversation_vectors_alerted ON conversation_vectors (vid, updated, cid, model) WHERE alerts > 0;
  CREATE TABLE turns (
    tid INTEGER PRIMARY KEY AUTOINCREMENT, cid INTEGER NOT NULL, idx INTEGER NOT NULL, parent INTEGER,
    time INTEGER NOT NULL, history TEXT, state TEXT
  );
  CREATE UNIQUE INDEX turns_conversation ON turns (cid, idx);
  CREATE INDEX turns_history ON turns (history) WHERE history IS NOT NULL;
  CREATE TABLE projections (
    tid INTEGER NOT NULL, vid INTEGER NOT NULL, layer INTEGER NOT NULL, before REAL NOT NULL,
    mean REAL, z REAL, percentile REAL, PRIMARY KEY (tid, vid)
  ) WITHOUT ROWID;
  CREATE TABLE details (tid INTEGER PRIMARY KEY, text TEXT, tokens TEXT);
  CREATE TABLE alerts (
    aid INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, time INTEGER NOT NULL, cid INTEGER NOT NULL,
    tid INTEGER NOT NULL, idx INTEGER NOT NULL, model TEXT NOT NULL, vid INTEGER NOT NULL, policy TEXT NOT NULL,
    rule TEXT NOT NULL, value REAL NOT NULL, lim REAL NOT NULL, action TEXT NOT NULL, delivered INTEGER
  );
  CREATE INDEX alerts_time ON alerts (time, aid, model);
  CREATE INDEX alerts_vector ON alerts (vid, time, aid, model);
  CREATE INDEX alerts_turn ON alerts (tid);
  CREATE TABLE policies (name TEXT PRIMARY KEY, policy TEXT NOT NULL, source TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE outbox (
    oid INTEGER PRIMARY KEY, id TEXT NOT NULL, aid INTEGER, kind TEXT NOT NULL, target TEXT NOT NULL,
    body TEXT NOT NULL, attempts INTEGER NOT NULL, due INTEGER NOT NULL, state TEXT NOT NULL, error TEXT
  );
  CREATE INDEX outbox_due ON outbox (kind, due) WHERE state = 'waiting';
  CREATE INDEX outbox_alert ON outbox (aid) WHERE aid IS NOT NULL;
  CREATE TABLE buckets (
    seconds INTEGER NOT NULL, time INTEGER NOT NULL, model TEXT NOT NULL, vid INTEGER NOT NULL,
    conversations INTEGER NOT NULL, turns INTEGER NOT NULL, alerts INTEGER NOT NULL,
    sum_z REAL NOT NULL, scored INTEGER NOT NULL, PRIMARY KEY (seconds, time, model, vid)
  ) WITHOUT ROWID;
  `,
];
