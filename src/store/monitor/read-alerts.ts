import { sql } from 'kysely';
import type { MonitorDatabase } from './database.ts';
import { before, nextCursor, type Page, type PageQuery, toTime } from './page.ts';
import { vectorId } from './vectors.ts';

/** An alert as it is shown. */
export interface StoredAlert {
  readonly id: string;
  readonly time: string;
  readonly conversation: string;
  readonly turn: number;
  readonly model: string;
  readonly policy: string;
  readonly vector: string;
  readonly rule: 'threshold' | 'cusum';
  readonly value: number;
  readonly limit: number;
  readonly action: 'log' | 'webhook' | 'cap' | 'refuse';
  /** Null where nothing is sent. */
  readonly delivered: boolean | null;
}

export interface AlertFilter extends PageQuery {
  readonly model?: string | undefined;
  readonly vector?: string | undefined;
  /** Milliseconds since 1970. */
  readonly since?: number | undefined;
}

/** An alert's row, with the names that it has by number. */
export interface AlertFacts {
  readonly aid: number;
  readonly id: string;
  readonly time: number;
  readonly idx: number;
  readonly model: string;
  readonly policy: string;
  readonly rule: 'threshold' | 'cusum';
  readonly value: number;
  readonly lim: number;
  readonly action: 'log' | 'webhook' | 'cap' | 'refuse';
  readonly delivered: number | null;
  readonly vector: string;
  readonly conversation: string;
}

export function toAlert(facts: AlertFacts): StoredAlert {
  const { id, time, conversation, idx, model, policy, vector, rule, value, lim, action, delivered } = facts;
  return {
    id,
    time: toTime(time),
    conversation,
    turn: idx,
    model,
    policy,
    vector,
    rule,
    value,
    limit: lim,
    action,
    delivered: delivered === null ? null : delivered === 1,
  };
}

/** Alerts, the newest first. */
export function readAlerts(db: MonitorDatabase, filter: AlertFilter): Page<StoredAlert> {
  const { limit, cursor, model, since } = filter;
  const vid = filter.vector === undefined ? null : vectorId(db, filter.vector);
  if (filter.vector !== undefined && vid === null) return { data: [], next_cursor: null };
  let query = selectAlerts(db)
    .orderBy('alerts.time', 'desc')
    .orderBy('alerts.aid', 'desc')
    .limit(limit + 1);
  if (model !== undefined) query = query.where('alerts.model', '=', model);
  if (vid !== null) query = query.where('alerts.vid', '=', vid);
  if (since !== undefined) query = query.where('alerts.time', '>=', since);
  if (cursor !== null) query = query.where(before(['alerts.time', 'alerts.aid'], cursor));
  const rows = db.all(query);
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return { data: shown.map(toAlert), next_cursor: nextCursor(rows, limit, last && [last.time, last.aid]) };
}

/** The alerts of some turns, in the order in which they were raised, each with its turn's number. */
export function alertsOfTurns(
  db: MonitorDatabase,
  tids: readonly number[],
): (AlertFacts & { readonly tid: number })[] {
  const wanted = sql<boolean>`alerts.tid IN (SELECT value FROM json_each(${JSON.stringify(tids)}))`;
  return db.all(selectAlerts(db).where(wanted).orderBy('alerts.tid').orderBy('alerts.aid'));
}

function selectAlerts({ build }: MonitorDatabase) {
  return build
    .selectFrom('alerts')
    .innerJoin('vectors', 'vectors.vid', 'alerts.vid')
    .innerJoin('conversations', 'conversations.cid', 'alerts.cid')
    .select([
      'alerts.aid',
      'alerts.tid',
      'alerts.id',
      'alerts.time',
      'alerts.idx',
      'alerts.model',
      'alerts.policy',
      'alerts.rule',
      'alerts.value',
      'alerts.lim',
      'alerts.action',
      'alerts.delivered',
      'vectors.name as vector',
      'conversations.id as conversation',
    ]);
}
