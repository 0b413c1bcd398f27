import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { DataError } from '../../errors.ts';
import { type BucketCounts, addToBuckets } from './buckets.ts';
import type { MonitorDatabase } from './database.ts';
import { type StoredAlert, toAlert } from './read-alerts.ts';
import { nameVectors } from './vectors.ts';

/** One vector's readings in a turn. */
export interface ProjectionRecord {
  readonly vector: string;
  readonly layer: number;
  readonly before: number;
  readonly mean: number | null;
  readonly z: number | null;
  readonly percentile: number | null;
  /** Of every token of the reply, where they are kept. */
  readonly tokens?: readonly number[] | undefined;
}

/** What of a conversation a request shows: enough to know it again. */
export interface TurnOrigin {
  readonly model: string;
  /** Name of the API key. */
  readonly key: string | null;
  /** The id that the client gave; null where it gave none. */
  readonly conversation: string | null;
  /** Hashes of the messages up to each earlier reply, the longest first. */
  readonly prefixes: readonly string[];
}

/** A turn as it is written: one reply. `Judged` is what policies are judged by, which the store only passes on. */
export interface TurnRecord<Judged = unknown> {
  readonly origin: TurnOrigin;
  readonly time: number;
  /** Hash of the messages with this reply; null where no later request can be known by it. */
  readonly history: string | null;
  readonly projections: readonly ProjectionRecord[];
  readonly text: TurnText | null;
  readonly judged: readonly Judged[];
  /** Kinds of services that get the turn's scores. */
  readonly forward: readonly string[];
  /** Whether they get its words too. */
  readonly forwardText: boolean;
  /** The W3C trace of the request that the scores belong to. */
  readonly trace: { readonly trace_id: string; readonly span_id: string } | null;
}

export interface TurnText {
  readonly user: string;
  readonly assistant: string;
  readonly tokens: readonly string[];
}

/** An alert that a turn raises. */
export interface RaisedAlert {
  readonly policy: string;
  readonly vector: string;
  readonly rule: 'threshold' | 'cusum';
  readonly value: number;
  readonly limit: number;
  readonly action: 'log' | 'webhook' | 'cap' | 'refuse';
  /** Where a webhook is sent. */
  readonly url: string | null;
}

/** What policies say of a turn, given what they remember of the turn before it: JSON, null for nothing. */
export type Judge<Judged> = (
  judged: readonly Judged[],
  memory: string | null,
) => { readonly memory: string | null; readonly alerts: readonly RaisedAlert[] };

/** A turn as it was written. */
export interface WrittenTurn {
  /** Number of its event. */
  readonly tid: number;
  readonly conversation: string;
  readonly index: number;
  readonly parent: number | null;
  readonly alerts: readonly StoredAlert[];
}

/** Where a request stands in a conversation that is known. */
export interface KnownTurn {
  readonly conversation: string;
  readonly index: number;
  /** What policies remember after it. */
  readonly memory: string | null;
}

/** Turns of one history that are looked at, where many conversations begin with the same words. */
const mostTwins = 20;

interface Parent extends KnownTurn {
  readonly cid: number;
}

/**
 * The turn that a request goes on from: the newest of the conversation that it names, or the last one whose whole history
 * it begins with. Null for a new conversation.
 *
 * @throws DataError for a conversation with another model.
 */
export function findTurn(db: MonitorDatabase, origin: TurnOrigin): KnownTurn | null {
  const parent = findParent(db, origin);
  if (parent === null) return null;
  const { conversation, index, memory } = parent;
  return { conversation, index, memory };
}

function findParent(db: MonitorDatabase, origin: TurnOrigin): Parent | null {
  if (origin.conversation !== null) return findNamed(db, origin);
  for (const prefix of origin.prefixes) {
    const found = findByHistory(db, prefix);
    if (found !== null) return found;
  }
  return null;
}

function findNamed(db: MonitorDatabase, origin: TurnOrigin): Parent | null {
  for (const id of new Set([origin.conversation!, idOf(origin)])) {
    const found = db.first(
      db.build.selectFrom('conversations').select(['cid', 'model', 'key', 'newest']).where('id', '=', id),
    );
    if (found === undefined || found.key !== origin.key) continue;
    if (found.model !== origin.model)
      throw new DataError(
        `persona.conversation: expected a conversation with ${origin.model}, got one with ${found.model}; give it another id.`,
      );
    const newest = db.first(
      db.build
        .selectFrom('turns')
        .select('state')
        .where('cid', '=', found.cid)
        .where('idx', '=', found.newest),
    );
    return { cid: found.cid, conversation: id, index: found.newest, memory: newest?.state ?? null };
  }
  return null;
}

/** Of several turns with one history, the newest that nothing has followed yet. */
function findByHistory(db: MonitorDatabase, history: string): Parent | null {
  const twins = db.all(
    db.build
      .selectFrom('turns')
      .innerJoin('conversations', 'conversations.cid', 'turns.cid')
      .select(['turns.cid', 'turns.idx', 'turns.state', 'conversations.id', 'conversations.newest'])
      .where('turns.history', '=', history)
      .orderBy('turns.tid', 'desc')
      .limit(mostTwins),
  );
  const found = twins.find(({ idx, newest }) => idx === newest) ?? twins[0];
  if (found === undefined) return null;
  return { cid: found.cid, conversation: found.id, index: found.idx, memory: found.state };
}

/** What a client calls a conversation, in the name of its key: no other key's ids are among them. */
function idOf({ conversation, key }: TurnOrigin): string {
  if (conversation === null) return `c-${randomBytes(12).toString('base64url')}`;
  return key === null ? conversation : `${encodeURIComponent(key)}/${conversation}`;
}

/** Writes one turn, with the alerts that it raises and what has to be sent of them. Call it within a transaction. */
export function appendTurn<Judged>(
  db: MonitorDatabase,
  record: TurnRecord<Judged>,
  judge: Judge<Judged>,
  buckets: BucketCounts,
): WrittenTurn {
  const { time } = record;
  const parent = findParent(db, record.origin);
  const { memory, alerts: raised } = judge(record.judged, parent?.memory ?? null);
  const vids = nameVectors(db, [
    ...record.projections.map(({ vector }) => vector),
    ...raised.map(({ vector }) => vector),
  ]);
  const at = writeConversation(db, record, parent, raised.length);
  const { tid } = db.first(
    db.build
      .insertInto('turns')
      .values({
        cid: at.cid,
        idx: at.index,
        parent: parent?.index ?? null,
        time,
        history: record.history,
        state: memory,
      })
      .returning('tid'),
  )!;
  const turn: Placed<Judged> = { record, vids, ...at, tid, parent: parent?.index ?? null };
  writeProjections(db, turn);
  addToBuckets(buckets, seenBefore(db, turn), {
    time,
    model: record.origin.model,
    projections: record.projections.map((one) => ({ ...one, vid: vids.get(one.vector)! })),
    alerts: raised.map(({ vector }) => vids.get(vector)!),
  });
  const alerts = raised.map((alert) => writeAlert(db, alert, turn));
  writeVectors(db, turn, raised);
  for (const kind of record.forward) writeForward(db, kind, turn);
  return { tid, conversation: at.id, index: at.index, parent: turn.parent, alerts };
}

/** A turn with its place. */
interface Placed<Judged> {
  readonly record: TurnRecord<Judged>;
  readonly vids: ReadonlyMap<string, number>;
  readonly cid: number;
  readonly id: string;
  readonly index: number;
  readonly tid: number;
  readonly parent: number | null;
}

function writeConversation(
  db: MonitorDatabase,
  { origin, time }: Pick<TurnRecord, 'origin' | 'time'>,
  parent: Parent | null,
  alerts: number,
): { readonly cid: number; readonly id: string; readonly index: number } {
  if (parent !== null) {
    const { newest } = db.first(
      db.build
        .updateTable('conversations')
        .set(({ eb }) => ({
          updated: eb.fn('max', ['updated', eb.val(time)]),
          turns: eb('turns', '+', 1),
          alerts: eb('alerts', '+', alerts),
          newest: eb('newest', '+', 1),
        }))
        .where('cid', '=', parent.cid)
        .returning('newest'),
    )!;
    return { cid: parent.cid, id: parent.conversation, index: newest };
  }
  const id = idOf(origin);
  const { model, key } = origin;
  const { cid } = db.first(
    db.build
      .insertInto('conversations')
      .values({ id, model, key, started: time, updated: time, turns: 1, alerts, newest: 1 })
      .returning('cid'),
  )!;
  return { cid, id, index: 1 };
}

function writeProjections<Judged>(db: MonitorDatabase, { record, vids, tid }: Placed<Judged>): void {
  const { projections, text } = record;
  if (projections.length > 0)
    db.run(
      db.build.insertInto('projections').values(
        projections.map(({ vector, layer, before, mean, z, percentile }) => ({
          tid,
          vid: vids.get(vector)!,
          layer,
          before,
          mean,
          z,
          percentile,
        })),
      ),
    );
  const tokens = projections.flatMap(({ vector, tokens }) =>
    tokens === undefined ? [] : [[vids.get(vector)!, tokens]],
  );
  if (text === null && tokens.length === 0) return;
  db.run(
    db.build.insertInto('details').values({
      tid,
      text: text === null ? null : JSON.stringify(text),
      tokens: tokens.length === 0 ? null : JSON.stringify(tokens),
    }),
  );
}

/** When the conversation last had a turn with each vector, before this one. */
function seenBefore<Judged>(db: MonitorDatabase, { cid }: Placed<Judged>): ReadonlyMap<number, number> {
  const rows = db.all(
    db.build.selectFrom('conversation_vectors').select(['vid', 'updated']).where('cid', '=', cid),
  );
  return new Map(rows.map(({ vid, updated }) => [vid, updated]));
}

function writeVectors<Judged>(
  db: MonitorDatabase,
  { record, vids, cid }: Placed<Judged>,
  raised: readonly RaisedAlert[],
): void {
  if (record.projections.length === 0) return;
  const rows = record.projections.map(({ vector, mean, z }) => ({
    cid,
    vid: vids.get(vector)!,
    model: record.origin.model,
    updated: record.time,
    last: mean,
    peak_z: z,
    alerts: raised.filter((alert) => alert.vector === vector).length,
  }));
  db.run(
    db.build
      .insertInto('conversation_vectors')
      .values(rows)
      .onConflict((conflict) =>
        conflict.columns(['cid', 'vid']).doUpdateSet({
          updated: sql`max(conversation_vectors.updated, excluded.updated)`,
          last: sql`coalesce(excluded.last, conversation_vectors.last)`,
          peak_z: sql`coalesce(max(conversation_vectors.peak_z, excluded.peak_z), conversation_vectors.peak_z, excluded.peak_z)`,
          alerts: sql`conversation_vectors.alerts + excluded.alerts`,
        }),
      ),
  );
}

function writeAlert<Judged>(db: MonitorDatabase, raised: RaisedAlert, turn: Placed<Judged>): StoredAlert {
  const { record, vids, cid, tid, index, id: conversation } = turn;
  const { policy, vector, rule, value, limit, action, url } = raised;
  const id = `alert-${randomBytes(12).toString('base64url')}`;
  const { model } = record.origin;
  const delivered = url === null ? null : 0;
  const row = { id, time: record.time, cid, tid, idx: index, model, policy, rule, value, action, delivered };
  const { aid } = db.first(
    db.build
      .insertInto('alerts')
      .values({ ...row, vid: vids.get(vector)!, lim: limit })
      .returning('aid'),
  )!;
  const alert = toAlert({ ...row, aid, lim: limit, vector, conversation });
  if (url !== null) {
    const { delivered: _, ...data } = alert;
    const body = JSON.stringify({ type: 'persona.alert', timestamp: alert.time, data });
    queue(db, { id, aid, kind: 'webhook', target: url, body, due: record.time });
  }
  return alert;
}

/** The turn's numbers for another service, with its words only where that is asked for. */
function writeForward<Judged>(db: MonitorDatabase, kind: string, turn: Placed<Judged>): void {
  const { record, id: conversation, index, tid } = turn;
  const { model, key } = record.origin;
  const scores = record.projections.map(({ vector, layer, before, mean, z, percentile }) => ({
    vector,
    layer,
    before,
    mean,
    z,
    percentile,
  }));
  const { time, trace, text, forwardText } = record;
  const said = text === null || !forwardText ? null : { user: text.user, assistant: text.assistant };
  const body = JSON.stringify({ conversation, index, model, key, time, scores, trace, text: said });
  queue(db, { id: `turn-${tid}`, aid: null, kind, target: kind, body, due: time });
}

function queue(
  db: MonitorDatabase,
  row: {
    readonly id: string;
    readonly aid: number | null;
    readonly kind: string;
    readonly target: string;
    readonly body: string;
    readonly due: number;
  },
): void {
  db.run(db.build.insertInto('outbox').values({ ...row, attempts: 0, state: 'waiting', error: null }));
}
