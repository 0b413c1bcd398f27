/**
 * Kills a server that writes conversations, again and again, and looks what is left, after `npm run build`:
 *
 *     npx tsx scripts/store-kill.ts [--kills 50] [--store FILE] [--clients 8] [--longest 2500] [--cli dist/cli/main.js]
 *
 * Clients ask for watched replies all the time, every conversation of three turns sets off an alert, and alerts go to a
 * receiver that takes a moment, says 500 to one in eight, and keeps what came. At a random moment the server is killed with
 * SIGKILL, at most `--longest` milliseconds after its start. Then the store has to be whole, with every turn that a client was told of, one alert a conversation that has one,
 * and no alert may come to the receiver once the store says that it was delivered. Prints one line of JSON at the end; exit
 * code 1 where a promise is broken.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Database from 'libsql';
import { PersonaClient } from '../src/server/client.ts';
import { PersonaVector } from '../src/persona/vector.ts';
import { distributionOf } from '../src/persona/projection/baseline.ts';
import { unknownOrigin } from '../src/store/vector-file.ts';
import { directionHash } from '../src/training/directions.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    clients: { type: 'string', default: '8' },
    longest: { type: 'string', default: '2500' },
    store: { type: 'string' },
    cli: { type: 'string', default: fileURLToPath(new URL('../dist/cli/main.js', import.meta.url)) },
  },
});
const kills = Number(values.kills);
const folder = mkdtempSync(join(tmpdir(), 'persona-kill-'));
const store = values.store ?? join(folder, 'monitor.sqlite');
const stories = fileURLToPath(new URL('../models/stories260K', import.meta.url));
const layer = 3;

/** What the receiver got, by the id of the alert. */
const received = new Map<string, number>();
/** Alerts of which the store said, when it was looked at, that they were delivered. */
const confirmed = new Set<string>();
/** Turns that clients were told of. */
const told = new Set<string>();
const faults: string[] = [];
let requests = 0;
let [repeated, refusals] = [0, 0];

const receiver = createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    const id = String(request.headers['webhook-id']);
    if (confirmed.has(id)) faults.push(`alert ${id} came again after it was confirmed`);
    requests++;
    if (requests % 8 === 0) {
      refusals++;
      response.writeHead(500).end();
      return;
    }
    if (received.has(id)) repeated++;
    received.set(id, (received.get(id) ?? 0) + 1);
    setTimeout(() => response.writeHead(200).end(), Math.random() * 60);
  });
});
await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
const host = `127.0.0.1:${(receiver.address() as AddressInfo).port}`;
await prepare();
// A store that is gone on with: what was delivered then may not come now.
if (existsSync(store)) check();
const earlier = new Set(confirmed);

let run = 0;
for (; run < kills && faults.length === 0; run++) {
  const { child, url } = await serve();
  const stop = new AbortController();
  const clients = Array.from({ length: Number(values.clients) }, (_, i) =>
    converse(url, `${Date.now()}-${run}-${i}`, stop.signal),
  );
  await sleep(300 + Math.random() * (Number(values.longest) - 300));
  child.kill('SIGKILL');
  stop.abort();
  await Promise.all(clients);
  check();
}
// What was left to be sent is sent, once.
const last = await serve();
const began = Date.now();
while (waiting() > 0 && Date.now() - began < 60_000) await sleep(200);
last.child.kill('SIGINT');
await new Promise((resolve) => last.child.once('exit', resolve));
check();
const left = waiting();
if (left > 0) faults.push(`${left} alerts were not sent in a minute`);
const missing = [...confirmed].filter((id) => !received.has(id) && !earlier.has(id));
if (missing.length > 0) faults.push(`${missing.length} alerts are marked as delivered and never came`);
receiver.close();
console.log(
  JSON.stringify({
    kills: run,
    turnsTold: told.size,
    turnsStored: count('turns'),
    alerts: count('alerts'),
    delivered: confirmed.size - earlier.size,
    webhookRequests: requests,
    refusedByReceiver: refusals,
    repeatedUnderTheSameId: repeated,
    faults: faults.slice(0, 10),
  }),
);
rmSync(folder, { recursive: true });
process.exitCode = faults.length > 0 ? 1 : 0;

/** A vector, a baseline in which every reply is far out, and a policy that says so. */
async function prepare(): Promise<void> {
  const [layers, width] = [5, 64];
  const numbers = Float32Array.from({ length: (layers + 1) * width }, (_, i) => Math.sin(i * 12.9898));
  const metadata = {
    ...unknownOrigin({ trait: 'mood', model: 'stories260K', pooling: 'response_mean' }),
    recommendedLayer: layer,
  };
  const vector = new PersonaVector(layers, width, numbers, metadata);
  await vector.save(join(folder, 'mood.safetensors'));
  const place = distributionOf([-1001, -999]);
  const known = {
    name: 'mood',
    layer,
    pooling: 'response_mean',
    vector_sha256: directionHash(vector.row(layer)),
  };
  const places = { prompt_last: place, response_mean: place, response_token: place };
  const baseline = {
    format: 'persona-vectors/baseline/1',
    model: 'stories260K',
    model_fingerprint: '',
    input: '',
    input_sha256: '',
    conversations: 2,
    turns: 2,
    vectors: [{ ...known, places }],
  };
  const policy = {
    name: 'everything',
    match: {},
    watch: { vectors: ['mood'], layer },
    rules: [{ type: 'threshold', z: 3 }],
    action: 'webhook',
    webhook: { url: `http://${host}/` },
  };
  writeFileSync(join(folder, 'baseline.json'), JSON.stringify(baseline));
  writeFileSync(join(folder, 'policies.json'), JSON.stringify([policy]));
}

async function serve(): Promise<{ child: ChildProcess; url: string }> {
  const inFolder = (name: string): string => join(folder, name);
  const files = [
    '--vectors',
    folder,
    '--baseline',
    inFolder('baseline.json'),
    '--policies',
    inFolder('policies.json'),
  ];
  const child = spawn(
    process.execPath,
    [
      values.cli,
      'serve',
      stories,
      '--port',
      '0',
      '--json',
      '--store',
      store,
      '--allow-webhook',
      host,
      ...files,
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PERSONA_WEBHOOK_SECRET: `whsec_${Buffer.alloc(32, 1).toString('base64')}` },
    },
  );
  let said = '';
  child.stderr.on('data', (part) => (said += String(part).slice(0, 2000)));
  for await (const line of child.stdout)
    return { child, url: (JSON.parse(String(line)) as { url: string }).url };
  throw new Error(`the server did not start: ${said}`);
}

async function converse(url: string, name: string, signal: AbortSignal): Promise<void> {
  const client = new PersonaClient({ url });
  for (let i = 0; !signal.aborted; i++) {
    const conversation = `${name}-${Math.floor(i / 3)}`;
    const request = {
      model: 'stories260K',
      prompt: 'One day',
      max_tokens: 4,
      persona: { conversation, watch: { vectors: ['mood'], layer } },
    };
    try {
      const { choices } = await client.complete(request, signal);
      const { turn } = choices[0]!.persona!;
      if (turn === undefined) faults.push(`a reply of ${conversation} came without its turn`);
      else told.add(`${turn.conversation} ${turn.index}`);
    } catch {
      // The server is gone.
      return;
    }
  }
}

/** Looks at the store while no server has it. */
function check(): void {
  const db = new Database(store);
  const rows = <Row>(sql: string): Row[] => db.prepare(sql).all([]) as Row[];
  const [integrity] = rows<{ integrity_check: string }>('PRAGMA integrity_check');
  if (integrity!.integrity_check !== 'ok') faults.push(`the store is broken: ${integrity!.integrity_check}`);
  const turns = new Set(
    rows<{ id: string; idx: number }>('SELECT id, idx FROM turns JOIN conversations USING (cid)').map(
      ({ id, idx }) => `${id} ${idx}`,
    ),
  );
  const lost = [...told].filter((turn) => !turns.has(turn));
  if (lost.length > 0)
    faults.push(`${lost.length} turns that clients were told of are lost, such as ${lost[0]}`);
  const wrong = rows<{ n: number }>(
    'SELECT count(*) AS n FROM conversations AS c WHERE turns <> (SELECT count(*) FROM turns AS t WHERE t.cid = c.cid) OR (SELECT count(*) FROM alerts AS a WHERE a.cid = c.cid) <> 1 OR alerts <> 1',
  );
  if (wrong[0]!.n > 0)
    faults.push(`${wrong[0]!.n} conversations have not the turns or the one alert that they should`);
  for (const { id } of rows<{ id: string }>('SELECT id FROM alerts WHERE delivered = 1')) confirmed.add(id);
  db.close();
}

function waiting(): number {
  const db = new Database(store);
  const [row] = db.prepare("SELECT count(*) AS n FROM outbox WHERE state = 'waiting'").all([]) as {
    n: number;
  }[];
  db.close();
  return row!.n;
}

function count(table: 'turns' | 'alerts'): number {
  const db = new Database(store);
  const [row] = db.prepare(`SELECT count(*) AS n FROM ${table}`).all([]) as { n: number }[];
  db.close();
  return row!.n;
}
