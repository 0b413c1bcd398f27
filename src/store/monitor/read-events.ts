import type { TurnRecord, WrittenTurn } from './append.ts';
import type { MonitorDatabase } from './database.ts';
import { toTime } from './page.ts';
import { alertsOfTurns, type StoredAlert, toAlert } from './read-alerts.ts';
import { describeTurns, type StoredTurn } from './read-conversations.ts';

/** A turn as those who listen are told it: without texts and numbers of tokens. */
export type TurnNews = Omit<StoredTurn, 'role_text' | 'texts'> & {
  readonly conversation: string;
  readonly model: string;
  readonly key: string | null;
};

/** What happened: a turn, then each alert that it raised. The ids rise, and are what a listener goes on from. */
export type MonitorEvent =
  | { readonly id: string; readonly event: 'turn'; readonly data: TurnNews }
  | { readonly id: string; readonly event: 'alert'; readonly data: StoredAlert };

/** The place of an event: its turn, and which of the turn's alerts, counted from 1; 0 is the turn itself. */
export type EventPlace = readonly [tid: number, alert: number];

export function eventId([tid, alert]: EventPlace): string {
  return alert === 0 ? String(tid) : `${tid}.${alert}`;
}

/** Null for a text that is no event's id. */
export function parseEventId(text: string): EventPlace | null {
  const found = /^(\d{1,15})(?:\.(\d{1,6}))?$/.exec(text);
  return found === null ? null : [Number(found[1]), Number(found[2] ?? 0)];
}

/** Events after a place, of at most `turns` turns. */
export function readEvents(db: MonitorDatabase, [after, alert]: EventPlace, turns: number): MonitorEvent[] {
  const rows = db.all(
    db.build
      .selectFrom('turns')
      .innerJoin('conversations', 'conversations.cid', 'turns.cid')
      .select([
        'turns.tid',
        'turns.idx',
        'turns.parent',
        'turns.time',
        'conversations.id',
        'conversations.model',
        'conversations.key',
      ])
      .where('turns.tid', '>=', after)
      .orderBy('turns.tid')
      .limit(turns + 1),
  );
  const described = describeTurns(db, rows);
  const alerts = alertsOfTurns(
    db,
    rows.map(({ tid }) => tid),
  );
  const events = rows.flatMap(({ tid, id: conversation, model, key }, i): MonitorEvent[] => {
    const data = { ...toNews(described[i]!), conversation, model, key };
    const own = alerts.filter((one) => one.tid === tid).map(toAlert);
    return turnEvents(tid, data, own);
  });
  return events.filter(({ id }) => isAfter(parseEventId(id)!, [after, alert]));
}

/** The events of one turn. */
export function turnEvents(tid: number, data: TurnNews, alerts: readonly StoredAlert[]): MonitorEvent[] {
  return [
    { id: eventId([tid, 0]), event: 'turn', data },
    ...alerts.map((alert, i) => ({ id: eventId([tid, i + 1]), event: 'alert' as const, data: alert })),
  ];
}

export function isAfter([tid, alert]: EventPlace, [after, than]: EventPlace): boolean {
  return tid > after || (tid === after && alert > than);
}

function toNews({
  index,
  parent,
  time,
  projections,
  alerts,
}: StoredTurn): Omit<TurnNews, 'conversation' | 'model' | 'key'> {
  const plain = Object.entries(projections).map(([name, { tokens: _, ...one }]) => [name, one]);
  return { index, parent, time, projections: Object.fromEntries(plain), alerts };
}

/** A turn that was just written, as those who listen are told it. */
export function newsOf(record: TurnRecord, { conversation, index, parent, alerts }: WrittenTurn): TurnNews {
  const { model, key } = record.origin;
  const projections = record.projections.map(({ vector, layer, before, mean, z, percentile }) => [
    vector,
    { layer, before, mean, z, percentile },
  ]);
  return {
    conversation,
    model,
    key,
    index,
    parent,
    time: toTime(record.time),
    projections: Object.fromEntries(projections),
    alerts: alerts.map(({ id }) => id),
  };
}
