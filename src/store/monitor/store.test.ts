import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Judge, RaisedAlert, TurnRecord, WrittenTurn } from './append.ts';
import { parseCursor } from './page.ts';
import { MonitorReader, MonitorStore } from './store.ts';

let folder: string;
let file: string;
let store: MonitorStore<RaisedAlert>;
let reader: MonitorReader;
/** Raises what a record says, and counts turns in its memory. */
const judge: Judge<RaisedAlert> = (alerts, memory) => ({ memory: String(Number(memory ?? 0) + 1), alerts });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'persona-store-'));
  file = join(folder, 'monitor.sqlite');
  store = new MonitorStore(file, judge);
  reader = new MonitorReader(file);
});
afterEach(() => {
  reader.close();
  store.close();
  rmSync(folder, { recursive: true });
});

interface Change extends Partial<Omit<TurnRecord<RaisedAlert>, 'origin'>> {
  readonly origin?: Partial<TurnRecord['origin']>;
}

const record = ({ origin, ...change }: Change = {}): TurnRecord<RaisedAlert> => ({
  origin: { model: 'm', key: null, conversation: null, prefixes: [], ...origin },
  time: 1_700_000_000_000,
  history: null,
  projections: [{ vector: 'evil', layer: 3, before: 0.5, mean: 1.5, z: 2, percentile: 97.5 }],
  text: null,
  judged: [],
  forward: [],
  forwardText: false,
  trace: null,
  ...change,
});

function write(...records: TurnRecord<RaisedAlert>[]): WrittenTurn[] {
  return store.append(records).map((one) => {
    if ('failed' in one) throw one.failed;
    return one;
  });
}

const alert: RaisedAlert = {
  policy: 'p',
  vector: 'evil',
  rule: 'threshold',
  value: 4,
  limit: 3,
  action: 'log',
  url: null,
};
const first = { limit: 50, cursor: null };

describe('a conversation', () => {
  it('is known by the longest history that a request begins with', () => {
    const [a] = write(record({ history: 'h1' }));
    const [b] = write(record({ origin: { prefixes: ['h1'] }, history: 'h2' }));
    expect(b).toMatchObject({ conversation: a!.conversation, index: 2, parent: 1 });
    const [c] = write(record({ origin: { prefixes: ['unknown', 'h2', 'h1'] } }));
    expect(c).toMatchObject({ conversation: a!.conversation, index: 3, parent: 2 });
    const [d] = write(record({ origin: { prefixes: ['unknown'] } }));
    expect(d).toMatchObject({ index: 1, parent: null });
    expect(d!.conversation).not.toBe(a!.conversation);
  });

  it('branches where a reply is asked for again, with what was remembered there', () => {
    const [a] = write(record({ history: 'h1' }));
    write(record({ origin: { prefixes: ['h1'] }, history: 'h2' }));
    const again = { model: 'm', key: null, conversation: null, prefixes: ['h1'] };
    expect(store.find(again)).toEqual({ conversation: a!.conversation, index: 1, memory: '1' });
    const [c] = write(record({ origin: again, history: 'h3' }));
    expect(c).toMatchObject({ index: 3, parent: 1 });
    expect(store.find({ ...again, prefixes: ['h3'] })).toMatchObject({ index: 3, memory: '2' });
  });

  it('of several that began alike is the one that nothing has followed yet', () => {
    const [a, b] = write(record({ history: 'h' }), record({ history: 'h' }));
    const next = record({ origin: { prefixes: ['h'] } });
    const [first, second] = write(next, next);
    expect([first!.conversation, second!.conversation]).toEqual([b!.conversation, a!.conversation]);
  });

  it('is known by the id that its client gives, each key having ids of its own', () => {
    const named = (key: string | null, conversation: string) => record({ origin: { key, conversation } });
    const [a, b, c] = write(named(null, 'x'), named('ann/b', 'x'), named('ann', 'b/x'));
    expect([a, b, c].map((one) => one!.conversation)).toEqual(['x', 'ann%2Fb/x', 'ann/b/x']);
    const [d, e] = write(named('ann', 'ann/b/x'), named('bob', 'ann/b/x'));
    expect(d).toMatchObject({ conversation: 'ann/b/x', index: 2 });
    expect(e).toMatchObject({ conversation: 'bob/ann/b/x', index: 1 });
    const [other] = store.append([record({ origin: { model: 'n', conversation: 'x' } })]);
    expect(other).toMatchObject({ failed: { message: expect.stringContaining('a conversation with n') } });
  });

  it('is shown with texts, tokens and alerts as they were given, whatever they are', () => {
    const text = {
      user: 'a\u0000b\u202Ec<script>',
      assistant: `\u{D800} ${'x'.repeat(100_000)}`,
      tokens: ['\u0000'],
    };
    const vector = '__proto__';
    const projections = [
      { vector, layer: 1, before: -1, mean: null, z: null, percentile: null, tokens: [0.1, 2] },
    ];
    const [turn] = write(
      record({ text, projections, judged: [{ ...alert, vector, policy: 'constructor' }] }),
    );
    const shown = reader.conversation(turn!.conversation, first)!;
    const [one] = shown.turns;
    expect(one!.role_text).toEqual({ user: text.user, assistant: text.assistant });
    expect(one!.texts).toEqual(['\u0000']);
    expect(Object.keys(one!.projections)).toEqual(['__proto__']);
    expect(JSON.parse(JSON.stringify(one!.projections))['__proto__']).toEqual({
      layer: 1,
      before: -1,
      mean: null,
      z: null,
      percentile: null,
      tokens: [0.1, 2],
    });
    expect(one!.alerts).toEqual([turn!.alerts[0]!.id]);
    expect(reader.conversation('none', first)).toBeNull();
  });
});

describe('lists', () => {
  it('are filtered, and paged without a gap while turns come', () => {
    const at = (minute: number): number => 1_700_000_000_000 + minute * 60_000;
    const all = Array.from({ length: 7 }, (_, i) =>
      record({
        time: at(i),
        origin: { model: i % 2 === 0 ? 'm' : 'n', conversation: `c${i}` },
        judged: i === 3 ? [alert] : [],
        projections: i < 5 ? record().projections : [{ ...record().projections[0]!, vector: 'kind', z: -1 }],
      }),
    );
    write(...all);
    const ids = (filter: object): string[] =>
      reader.conversations({ ...first, ...filter }).data.map(({ id }) => id);
    expect(ids({})).toEqual(['c6', 'c5', 'c4', 'c3', 'c2', 'c1', 'c0']);
    expect(ids({ model: 'n' })).toEqual(['c5', 'c3', 'c1']);
    expect(ids({ vector: 'evil', model: 'n' })).toEqual(['c3', 'c1']);
    expect(ids({ vector: 'unknown' })).toEqual([]);
    expect(ids({ alerted: true })).toEqual(['c3']);
    expect(ids({ alerted: false, since: at(4) })).toEqual(['c6', 'c5', 'c4']);
    expect(ids({ vector: 'evil', alerted: false, since: at(2) })).toEqual(['c4', 'c2']);
    expect(ids({ q: 'C5' })).toEqual(['c5']);
    expect(ids({ q: '%' })).toEqual([]);
    const page = reader.conversations({ limit: 3, cursor: null });
    write(record({ time: at(9), origin: { conversation: 'c6' } }), record({ time: at(8) }));
    const next = reader.conversations({ limit: 3, cursor: parseCursor(page.next_cursor!) });
    expect(next.data.map(({ id }) => id)).toEqual(['c3', 'c2', 'c1']);
    const last = reader.conversations({ limit: 3, cursor: parseCursor(next.next_cursor!) });
    expect(last).toMatchObject({ data: [{ id: 'c0' }], next_cursor: null });
    expect(page.data[0]).toMatchObject({ turns: 1, alerts: 0, last: { kind: 1.5 }, peak_z: { kind: -1 } });
    expect(() => parseCursor('x')).toThrow('next_cursor');
  });

  it('of alerts have the newest first', () => {
    write(
      record({ time: 1, judged: [alert, { ...alert, vector: 'kind', rule: 'cusum' }] }),
      record({
        time: 2,
        judged: [{ ...alert, action: 'webhook', url: 'http://localhost/' }],
        origin: { model: 'n' },
      }),
    );
    const shown = reader.alerts({ limit: 2, cursor: null });
    expect(shown.data).toMatchObject([
      { model: 'n', delivered: false, time: '1970-01-01T00:00:00.002Z' },
      { vector: 'kind', rule: 'cusum', delivered: null, turn: 1, value: 4, limit: 3 },
    ]);
    const rest = reader.alerts({ limit: 2, cursor: parseCursor(shown.next_cursor!) });
    expect(rest).toMatchObject({ data: [{ vector: 'evil' }], next_cursor: null });
    expect(reader.alerts({ ...first, model: 'n', vector: 'evil', since: 2 }).data).toHaveLength(1);
    expect(reader.alerts({ ...first, vector: 'kind', since: 2 }).data).toHaveLength(0);
  });

  it('of counts have a conversation once in a stretch of time', () => {
    const hour = 3_600_000;
    const start = 500 * 24 * hour;
    for (const time of [0, 1000, 2 * hour])
      write(
        record({ time: start + time, origin: { conversation: 'a' }, judged: time === 1000 ? [alert] : [] }),
      );
    write(
      record({
        time: start,
        origin: { conversation: 'b' },
        projections: [{ ...record().projections[0]!, z: 4 }],
      }),
    );
    const day = reader.summary(start, start + 3 * hour);
    expect(day.bucket_seconds).toBe(300);
    expect(day.data).toMatchObject([
      { vector: 'evil', model: 'm', conversations: 2, turns: 3, alerts: 1, mean_z: 8 / 3 },
      { conversations: 1, turns: 1, alerts: 0, mean_z: 2 },
    ]);
    const year = reader.summary(start - 400 * 24 * hour, start + 3 * hour);
    expect(year.bucket_seconds).toBe(86_400);
    expect(year.data).toMatchObject([{ conversations: 2, turns: 4 }]);
  });
});

describe('events', () => {
  it('are told after any of them, each once', () => {
    const [a, b] = write(record({ judged: [alert, alert] }), record());
    const [t, u] = [a!.tid, b!.tid];
    const ids = (after: readonly [number, number]): string[] => reader.events(after, 10).map(({ id }) => id);
    expect(ids([0, 0])).toEqual([`${t}`, `${t}.1`, `${t}.2`, `${u}`]);
    expect(ids([t, 0])).toEqual([`${t}.1`, `${t}.2`, `${u}`]);
    expect(ids([t, 1])).toEqual([`${t}.2`, `${u}`]);
    expect(ids([u, 0])).toEqual([]);
    expect(reader.events([0, 0], 10)[0]!.data).not.toHaveProperty('role_text');
  });
});

describe('what is to be sent', () => {
  const now = 2_000_000_000_000;
  const due = { now, limit: 10, retryAt: now + 5000 };

  it('keeps its id from attempt to attempt, and is not sent again once it is confirmed', () => {
    const [turn] = write(
      record({ judged: [{ ...alert, url: 'http://localhost/a' }], forward: ['langfuse'] }),
    );
    const [letter] = store.takeLetters('webhook', due);
    expect(letter).toMatchObject({ id: turn!.alerts[0]!.id, target: 'http://localhost/a', attempt: 1 });
    expect(JSON.parse(letter!.body)).toMatchObject({
      type: 'persona.alert',
      data: { id: letter!.id, value: 4 },
    });
    expect(store.takeLetters('webhook', due)).toEqual([]);
    expect(store.nextDue('webhook')).toBe(now + 5000);
    const later = { ...due, now: now + 5000 };
    expect(store.takeLetters('webhook', later)).toMatchObject([{ id: letter!.id, attempt: 2 }]);
    store.noteDeliveries([{ oid: letter!.oid, state: 'sent' }]);
    expect(store.takeLetters('webhook', { ...due, now: now * 2 })).toEqual([]);
    expect(reader.alerts(first).data[0]!.delivered).toBe(true);
    const [scores] = store.takeLetters('langfuse', due);
    expect(JSON.parse(scores!.body)).toMatchObject({
      index: 1,
      scores: [{ vector: 'evil', z: 2 }],
      text: null,
    });
    expect(store.facts().letters).toEqual([
      { kind: 'langfuse', state: 'waiting', count: 1 },
      { kind: 'webhook', state: 'sent', count: 1 },
    ]);
    store.noteDeliveries([{ oid: scores!.oid, state: 'failed', error: 'gone' }]);
    expect(store.facts().letters).toMatchObject([{ kind: 'webhook' }]);
  });
});

describe('what is old', () => {
  it('and was never sent goes, where nobody sends it', () => {
    write(record({ time: 0, forward: ['langfuse'] }));
    const week = 7 * 24 * 3_600_000;
    store.removeOld({ age: null, bytes: null }, week);
    expect(store.facts().letters).toHaveLength(1);
    store.removeOld({ age: null, bytes: null }, week + 1);
    expect(store.facts().letters).toEqual([]);
  });

  it('goes by age, and what is too much the oldest first', () => {
    const day = 24 * 3_600_000;
    const texts = { user: 'secret', assistant: 'words', tokens: [] };
    for (let i = 0; i < 10; i++)
      write(record({ time: i * day, text: texts, origin: { conversation: `c${i % 2}` }, judged: [alert] }));
    expect(store.removeOld({ age: 4 * day, bytes: null }, 10 * day)).toBe(false);
    expect(reader.alerts(first).data).toHaveLength(4);
    expect(reader.conversation('c0', first)!.turns.map(({ index }) => index)).toEqual([4, 5]);
    expect(reader.conversations(first).data).toMatchObject([
      { turns: 2, alerts: 2 },
      { turns: 2, alerts: 2 },
    ]);
    expect(reader.summary(0, 10 * day).data).toHaveLength(4);
    while (store.removeOld({ age: null, bytes: 1 }, 10 * day));
    expect(reader.conversations(first).data).toEqual([]);
    write(record({ time: 11 * day }));
    expect(reader.events([0, 0], 99)[0]!.id).toBe('11');
  });
});

describe('the file', () => {
  it('is read again as it was left, and holds nothing of what was removed', () => {
    const reopen = (): string => {
      reader.close();
      store.close();
      const content = readFileSync(file, 'latin1');
      store = new MonitorStore(file, judge);
      reader = new MonitorReader(file);
      return content;
    };
    write(record({ text: { user: 'kept words', assistant: '', tokens: [] } }), record());
    expect(reopen()).toContain('kept words');
    expect(reader.conversations(first).data).toHaveLength(2);
    store.removeOld({ age: 0, bytes: null }, Date.now());
    expect(reopen()).not.toContain('kept words');
  });

  it('of a newer version, of another program, or of none is refused', () => {
    const newer = join(folder, 'newer.sqlite');
    new MonitorStore(newer, judge).close();
    const later = new Database(newer);
    later.exec('PRAGMA user_version = 99');
    later.close();
    expect(() => new MonitorStore(newer, judge)).toThrow('newer version');
    const foreign = join(folder, 'foreign.sqlite');
    const other = new Database(foreign);
    other.exec('CREATE TABLE songs (name TEXT)');
    other.close();
    expect(() => new MonitorStore(foreign, judge)).toThrow('another program');
    const text = join(folder, 'text.sqlite');
    writeFileSync(text, 'no database '.repeat(1000));
    expect(() => new MonitorStore(text, judge)).toThrow('it is no database');
    expect(() => new MonitorStore(join(folder, 'none', 'x'), judge)).toThrow('Could not open the store');
  });

  it('keeps what is committed where one turn of several cannot be written', () => {
    write(record({ origin: { conversation: 'x' } }));
    const bad = record({ origin: { conversation: 'x', model: 'other' } });
    const [a, b, c] = store.append([record({ history: 'a' }), bad, record({ history: 'c' })]);
    expect([a, b, c].map((one) => 'failed' in one!)).toEqual([false, true, false]);
    expect(reader.conversations(first).data).toHaveLength(3);
  });
});
