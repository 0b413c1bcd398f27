/**
 * Fills a store with a week of synthetic traffic and times what a dashboard asks of it, after `npm run build`:
 *
 *     npx tsx scripts/store-week.ts [--store FILE] [--turns 1000000] [--limit 200] [--most 600000]
 *
 * Turns are written by the code that a server writes them by, five hundred a commit; a store that has some already gets the
 * rest, at most `--most` in one run. Then a server over it, without a model, is asked each query twenty times. Prints a line
 * of JSON a query, with its slowest answer in milliseconds; exit code 1 where one took longer than `--limit`, or where
 * SQLite sorts or scans what it should look up.
 */

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Database from 'libsql';
import { judgeTurn, type JudgedScore } from '../src/server/monitor-judge.ts';
import type * as Start from '../src/server/start.ts';
import type { TurnRecord } from '../src/store/monitor/append.ts';
import { MonitorReader, MonitorStore } from '../src/store/monitor/store.ts';
import { randomStream } from '../src/util/random.ts';
import { monitorAt } from '../test/helpers/monitor-settings.ts';
import { modelless } from '../test/helpers/test-server.ts';

const { values } = parseArgs({
  options: {
    store: { type: 'string' },
    turns: { type: 'string', default: '1000000' },
    most: { type: 'string', default: '600000' },
    limit: { type: 'string', default: '200' },
  },
});
const folder = mkdtempSync(join(tmpdir(), 'persona-week-'));
const file = values.store ?? join(folder, 'week.sqlite');
const wanted = Number(values.turns);
const limit = Number(values.limit);
const week = 7 * 24 * 3_600_000;
const start = Date.UTC(2026, 0, 5);
const turnsEach = 8;
const batch = 500;
const models = ['assistant-small', 'assistant-large', 'assistant-tuned'] as const;
const vectors = ['evil', 'sycophantic', 'hallucinating'] as const;
const chance = randomStream('week');

fill();
const broken = [...(await timeQueries()), ...plans()];
rmSync(folder, { recursive: true });
process.exitCode = broken.length > 0 ? 1 : 0;

/** Conversations of eight turns, some two thousand open at a time; one in twenty goes astray. */
function fill(): void {
  const store = new MonitorStore<JudgedScore>(file, judgeTurn);
  const reader = new MonitorReader(file);
  const have = countTurns();
  const began = performance.now();
  let slowest = 0;
  const goal = Math.min(wanted, have + Number(values.most));
  for (let at = have; at < goal; at += batch) {
    const records = Array.from({ length: Math.min(batch, goal - at) }, (_, i) => turnAt(at + i));
    const commit = performance.now();
    for (const one of store.append(records)) if ('failed' in one) throw one.failed;
    slowest = Math.max(slowest, performance.now() - commit);
  }
  const written = goal - have;
  const seconds = (performance.now() - began) / 1000;
  reader.close();
  store.close();
  const bytes = statSync(file).size;
  print({
    part: 'fill',
    turns: countTurns(),
    written,
    seconds: round(seconds),
    perSecond: Math.round(written / seconds),
    slowestCommitMs: round(slowest),
    megabytes: round(bytes / 2 ** 20),
  });
}

function countTurns(): number {
  const db = new Database(file);
  const [row] = db.prepare('SELECT coalesce(max(tid), 0) AS n FROM turns').all([]) as { n: number }[];
  db.close();
  return row!.n;
}

/** Turn `n` of the week: which conversation it belongs to follows from its number, so that a later run goes on. */
function turnAt(n: number): TurnRecord<JudgedScore> {
  const open = 2048;
  const block = Math.floor(n / (open * turnsEach));
  const conversation = block * open + (n % open);
  const index = Math.floor(n / open) % turnsEach;
  const astray = conversation % 20 === 0 && index > 3;
  const model = models[conversation % 50 === 0 ? 2 : conversation % 2]!;
  const scores = vectors.map((vector, v) => {
    const z = chance.normal() + (astray && v === 0 ? 4 : 0);
    return { vector, layer: 4, before: z - 1, mean: z, z, percentile: 100 / (1 + Math.exp(-1.7 * z)) };
  });
  return {
    origin: { model, key: null, conversation: `week-${conversation}`, prefixes: [] },
    time: Math.floor(start + (n / 1e6) * week),
    history: `h${n}`,
    projections: scores,
    text: null,
    judged: [
      {
        policy: 'drift',
        action: 'log',
        url: null,
        vector: 'evil',
        rule: { type: 'cusum', k: 0.5, h: 7 },
        z: scores[0]!.z,
        percentile: null,
      },
    ],
    forward: [],
    forwardText: false,
    trace: null,
  };
}

/** What a dashboard asks, of a real server. */
async function timeQueries(): Promise<string[]> {
  // Not there before a build, so its type is that of the source.
  const compiled: string = '../dist/server/start.js';
  const { startServer } = (await import(compiled)) as typeof Start;
  const onTrouble = (message: string): void => print({ trouble: message });
  const settings = { ...modelless, vectors: folder, monitor: monitorAt(file, { onTrouble }) };
  const server = await startServer(settings, { host: '127.0.0.1', port: 0, log: () => undefined });
  const base = `http://127.0.0.1:${server.port}/persona`;
  const slow: string[] = [];
  for (const path of await queries(base)) {
    const times: number[] = [];
    let items = 0;
    for (let i = 0; i < 20; i++) {
      const began = performance.now();
      const answer = (await (await fetch(`${base}/${path}`)).json()) as { data?: object[]; turns?: object[] };
      times.push(performance.now() - began);
      items = (answer.data ?? answer.turns ?? []).length;
    }
    times.sort((a, b) => a - b);
    const slowest = times.at(-1)!;
    print({
      query: path.replace(/cursor=[^&]+/, 'cursor=…'),
      items,
      medianMs: round(times[10]!),
      slowestMs: round(slowest),
    });
    if (slowest > limit) slow.push(path);
  }
  await server.close();
  return slow;
}

async function queries(base: string): Promise<string[]> {
  const day = new Date(start + 6 * 24 * 3_600_000).toISOString();
  const filters = [
    '',
    'model=assistant-tuned',
    'vector=evil',
    'alerted=true',
    'alerted=false',
    `since=${day}`,
  ];
  const both = [
    'model=assistant-tuned&vector=evil',
    'vector=evil&alerted=true',
    'model=assistant-tuned&alerted=true&vector=evil',
    'q=week-7',
    'q=nothing-like-it',
    'q=nothing-like-it&vector=evil&model=assistant-tuned',
  ];
  const lists = [...filters, ...both].map((filter) => `conversations?limit=50&${filter}`);
  const alerts = ['', 'model=assistant-tuned', 'vector=evil', 'vector=sycophantic', `since=${day}`].map(
    (filter) => `alerts?limit=50&${filter}`,
  );
  const summaries = [0, 5, 6.9].map(
    (days) => `monitor/summary?since=${new Date(start + days * 24 * 3_600_000).toISOString()}`,
  );
  const deep: string[] = [];
  for (const path of [...lists.slice(0, 4), alerts[0]!]) {
    const cursor = await far(base, path);
    if (cursor !== '') deep.push(`${path}&cursor=${cursor}`);
  }
  return [...lists, ...alerts, ...deep, ...summaries, 'conversations/week-77', 'policies'];
}

/** A cursor twenty pages of five hundred down a list. */
async function far(base: string, path: string): Promise<string> {
  let cursor = '';
  for (let page = 0; page < 20; page++) {
    const query = `${path.replace('limit=50', 'limit=500')}${cursor === '' ? '' : `&cursor=${cursor}`}`;
    const { next_cursor: next } = (await (await fetch(`${base}/${query}`)).json()) as {
      next_cursor: string | null;
    };
    if (next === null) break;
    cursor = next;
  }
  return cursor;
}

/** How SQLite goes about each of the queries that lists are made of; gives those that sort or scan a table. */
function plans(): string[] {
  const db = new Database(file);
  const listed = [
    'SELECT cid, updated FROM conversations WHERE (updated, cid) < (9e15, 1) ORDER BY updated DESC, cid DESC LIMIT 51',
    "SELECT cid, updated FROM conversations WHERE model = 'a' AND updated >= 1 ORDER BY updated DESC, cid DESC LIMIT 51",
    'SELECT cid, updated FROM conversations WHERE alerts > 0 ORDER BY updated DESC, cid DESC LIMIT 51',
    "SELECT cid, updated FROM conversation_vectors WHERE vid = 1 AND model = 'a' ORDER BY updated DESC, cid DESC LIMIT 51",
    'SELECT cid, updated FROM conversation_vectors WHERE vid = 1 AND alerts > 0 ORDER BY updated DESC, cid DESC LIMIT 51',
    'SELECT aid FROM alerts WHERE vid = 1 AND (time, aid) < (9e15, 1) ORDER BY time DESC, aid DESC LIMIT 51',
    'SELECT aid FROM alerts WHERE time >= 1 ORDER BY time DESC, aid DESC LIMIT 51',
    "SELECT tid FROM turns WHERE history = 'h' ORDER BY tid DESC LIMIT 20",
    'SELECT tid FROM turns WHERE cid = 1 AND idx > 0 ORDER BY idx LIMIT 51',
    'SELECT * FROM buckets WHERE seconds = 300 AND time >= 1 ORDER BY time',
    "SELECT oid FROM outbox WHERE state = 'waiting' AND kind = 'webhook' AND due <= 1 ORDER BY due LIMIT 8",
  ];
  const bad: string[] = [];
  for (const sql of listed) {
    const steps = (db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all([]) as { detail: string }[]).map(
      (row) => row.detail,
    );
    print({ sql, plan: steps });
    if (steps.some((step) => /TEMP B-TREE|SCAN (?!.*USING)/.test(step))) bad.push(sql);
  }
  db.close();
  return bad;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function print(value: object): void {
  console.log(JSON.stringify(value));
}
