import { type RawBuilder, sql } from 'kysely';
import type { TurnText } from './append.ts';
import type { MonitorDatabase } from './database.ts';
import { before, nextCursor, type Page, type PageQuery, toTime } from './page.ts';
import { alertsOfTurns } from './read-alerts.ts';
import { vectorId } from './vectors.ts';

export interface StoredConversation {
  readonly id: string;
  readonly model: string;
  readonly key: string | null;
  readonly started: string;
  readonly updated: string;
  readonly turns: number;
  readonly alerts: number;
  readonly last: Record<string, number>;
  readonly peak_z: Record<string, number>;
}

export interface ConversationFilter extends PageQuery {
  readonly model?: string | undefined;
  readonly vector?: string | undefined;
  readonly alerted?: boolean | undefined;
  /** Milliseconds since 1970. */
  readonly since?: number | undefined;
  /** Part of an id or of a key's name. */
  readonly q?: string | undefined;
}

export interface StoredProjection {
  readonly layer: number;
  readonly before: number;
  readonly mean: number | null;
  readonly z: number | null;
  readonly percentile: number | null;
  readonly tokens?: number[];
}

export interface StoredTurn {
  readonly index: number;
  readonly parent: number | null;
  readonly time: string;
  readonly role_text: { readonly user: string; readonly assistant: string } | null;
  readonly projections: Record<string, StoredProjection>;
  readonly texts?: string[];
  readonly alerts: string[];
}

export interface ConversationFacts extends Pick<StoredConversation, 'id' | 'model' | 'key'> {
  readonly turns: StoredTurn[];
  readonly next_cursor: string | null;
}

/** Conversations, the one with the newest turn first; with `vector`, by the newest turn that has it. */
export function readConversations(db: MonitorDatabase, filter: ConversationFilter): Page<StoredConversation> {
  const { limit } = filter;
  const rows = filter.vector === undefined ? pageOfAll(db, filter) : pageOfVector(db, filter, filter.vector);
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const data = describe(
    db,
    shown.map(({ cid }) => cid),
  );
  return { data, next_cursor: nextCursor(rows, limit, last && [last.updated, last.cid]) };
}

interface Found {
  readonly cid: number;
  readonly updated: number;
}

function pageOfAll(db: MonitorDatabase, filter: ConversationFilter): Found[] {
  const { limit, cursor, model, since, alerted, q } = filter;
  let query = db.build
    .selectFrom('conversations')
    .select(['cid', 'updated'])
    .orderBy('updated', 'desc')
    .orderBy('cid', 'desc')
    .limit(limit + 1);
  if (model !== undefined) query = query.where('model', '=', model);
  if (since !== undefined) query = query.where('updated', '>=', since);
  // Written out, since an index over a part of the rows is used for that part alone.
  if (alerted !== undefined)
    query = query.where(alerted ? sql<boolean>`alerts > 0` : sql<boolean>`alerts = 0`);
  if (q !== undefined) query = query.where(contains(['id', 'key'], q));
  if (cursor !== null) query = query.where(before(['updated', 'cid'], cursor));
  return db.all(query);
}

function pageOfVector(db: MonitorDatabase, filter: ConversationFilter, vector: string): Found[] {
  const { limit, cursor, model, since, alerted, q } = filter;
  const vid = vectorId(db, vector);
  if (vid === null) return [];
  let query = db.build
    .selectFrom('conversation_vectors as cv')
    .select(['cv.cid', 'cv.updated'])
    .where('cv.vid', '=', vid)
    .orderBy('cv.updated', 'desc')
    .orderBy('cv.cid', 'desc')
    .limit(limit + 1);
  if (model !== undefined) query = query.where('cv.model', '=', model);
  if (since !== undefined) query = query.where('cv.updated', '>=', since);
  if (alerted !== undefined)
    query = query.where(alerted ? sql<boolean>`cv.alerts > 0` : sql<boolean>`cv.alerts = 0`);
  if (q !== undefined)
    query = query.where(
      sql<boolean>`EXISTS (SELECT 1 FROM conversations AS c WHERE c.cid = cv.cid AND ${contains(['c.id', 'c.key'], q)})`,
    );
  if (cursor !== null) query = query.where(before(['cv.updated', 'cv.cid'], cursor));
  return db.all(query);
}

function contains([first, second]: readonly [string, string], text: string): RawBuilder<boolean> {
  const pattern = `%${text.replaceAll(/[\\%_]/g, '\\$&')}%`;
  return sql<boolean>`(${sql.ref(first)} LIKE ${pattern} ESCAPE '\\' OR ${sql.ref(second)} LIKE ${pattern} ESCAPE '\\')`;
}

/** Conversations by row number, in that order. */
function describe(db: MonitorDatabase, cids: readonly number[]): StoredConversation[] {
  const rows = db.all(db.build.selectFrom('conversations').selectAll().where(isIn('cid', cids)));
  const readings = db.all(
    db.build
      .selectFrom('conversation_vectors')
      .innerJoin('vectors', 'vectors.vid', 'conversation_vectors.vid')
      .select(['cid', 'name', 'last', 'peak_z'])
      .where(isIn('cid', cids))
      .orderBy('name'),
  );
  const byCid = new Map(rows.map((row) => [row.cid, row]));
  return cids.flatMap((cid) => {
    const row = byCid.get(cid);
    if (row === undefined) return [];
    const own = readings.filter((one) => one.cid === cid);
    const numbers = (of: 'last' | 'peak_z'): Record<string, number> =>
      Object.fromEntries(own.flatMap((one) => (one[of] === null ? [] : [[one.name, one[of]]])));
    const { id, model, key, started, updated, turns, alerts } = row;
    const times = { started: toTime(started), updated: toTime(updated) };
    return [{ id, model, key, ...times, turns, alerts, last: numbers('last'), peak_z: numbers('peak_z') }];
  });
}

/** One conversation with a page of its turns, the oldest first; null where there is none of that id. */
export function readConversation(
  db: MonitorDatabase,
  id: string,
  { limit, cursor }: PageQuery,
): ConversationFacts | null {
  const found = db.first(
    db.build.selectFrom('conversations').select(['cid', 'id', 'model', 'key']).where('id', '=', id),
  );
  if (found === undefined) return null;
  const { cid, ...facts } = found;
  const rows = db.all(
    db.build
      .selectFrom('turns')
      .select(['tid', 'idx', 'parent', 'time'])
      .where('cid', '=', cid)
      .where('idx', '>', cursor?.[0] ?? 0)
      .orderBy('idx')
      .limit(limit + 1),
  );
  const turns = describeTurns(db, rows.slice(0, limit));
  const last = turns.at(-1);
  return { ...facts, turns, next_cursor: nextCursor(rows, limit, last && [last.index, 0]) };
}

interface TurnPlace {
  readonly tid: number;
  readonly idx: number;
  readonly parent: number | null;
  readonly time: number;
}

export function describeTurns(db: MonitorDatabase, rows: readonly TurnPlace[]): StoredTurn[] {
  const tids = rows.map(({ tid }) => tid);
  const projections = db.all(
    db.build
      .selectFrom('projections')
      .innerJoin('vectors', 'vectors.vid', 'projections.vid')
      .selectAll('projections')
      .select('vectors.name')
      .where(isIn('tid', tids))
      .orderBy('vectors.name'),
  );
  const details = db.all(db.build.selectFrom('details').selectAll().where(isIn('tid', tids)));
  const alerts = alertsOfTurns(db, tids);
  return rows.map(({ tid, idx, parent, time }) => {
    const detail = details.find((one) => one.tid === tid);
    const text = detail?.text == null ? null : (JSON.parse(detail.text) as TurnText);
    const tokens = new Map(detail?.tokens == null ? [] : (JSON.parse(detail.tokens) as [number, number[]][]));
    const own = projections.filter((one) => one.tid === tid);
    return {
      index: idx,
      parent,
      time: toTime(time),
      role_text: text === null ? null : { user: text.user, assistant: text.assistant },
      projections: Object.fromEntries(
        own.map(({ name, vid, layer, before, mean, z, percentile }) => {
          const values = tokens.get(vid);
          return [
            name,
            { layer, before, mean, z, percentile, ...(values !== undefined && { tokens: values }) },
          ];
        }),
      ),
      ...(text !== null && { texts: [...text.tokens] }),
      alerts: alerts.filter((one) => one.tid === tid).map(({ id }) => id),
    };
  });
}

export function isIn(column: string, numbers: readonly number[]): RawBuilder<boolean> {
  return sql<boolean>`${sql.ref(column)} IN (SELECT value FROM json_each(${JSON.stringify(numbers)}))`;
}
