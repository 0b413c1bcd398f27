/**
 * Holds `persona serve` to its promises under load, after `npm run build`:
 *
 *     npx tsx scripts/serve-soak.ts [MODEL] [--parts share,health,soak] [--streams 64] [--seconds 120] [--tokens 48] [--rounds 4]
 *
 * `share`: tokens a second of so many clients that each ask for a stream, and then the next, beside the same rows in one call
 * of `generate`. `health`: how long `/healthz` takes while 16 replies run. `soak`: streams come all the time, half of them
 * steered, a quarter of them aborted at random; every one that ends must be its solo run, and afterwards places and memory
 * must be free. Prints one line of JSON a part; exit code 1 where a promise is broken.
 */

import { spawn } from 'node:child_process';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadModel } from '../src/engine/load.ts';
import type { LanguageModel } from '../src/engine/model.ts';
import type { GenerateRow } from '../src/engine/types.ts';
import { randomStream } from '../src/util/random.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    parts: { type: 'string', default: 'share,health,soak' },
    seconds: { type: 'string', default: '120' },
    streams: { type: 'string', default: '64' },
    tokens: { type: 'string', default: '48' },
    rounds: { type: 'string', default: '4' },
  },
});
const folder = positionals[0] ?? fileURLToPath(new URL('../models/persona-tiny', import.meta.url));
const parts = values.parts.split(',');
const seconds = Number(values.seconds);
const streams = Number(values.streams);
const maxTokens = Number(values.tokens);
const rounds = Number(values.rounds);
const chance = randomStream('soak');
const agent = new Agent({ keepAlive: true });

/** A request and the row that it becomes. */
interface Scene {
  readonly body: string;
  readonly row: GenerateRow;
  /** Of the row alone. */
  text: string;
}

const model = await loadModel(folder, { worker: false });
const scenes = makeScenes(model);
if (parts.includes('soak')) {
  for (const scene of scenes)
    for await (const { text } of model.generate([scene.row], { maxTokens })) scene.text = text ?? '';
}
const offline = parts.includes('share') ? await offlineRate(model) : null;
await model.close();

const cli = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const child = spawn(process.execPath, [cli, 'serve', folder, '--port', '0', '--json'], {
  stdio: ['ignore', 'pipe', 'ignore'],
});
const first = (await child.stdout[Symbol.asyncIterator]().next()) as { value: Buffer };
const { port } = new URL((JSON.parse(String(first.value)) as { url: string }).url);
await play(scenes[0]!, null);
let broken = false;
if (offline !== null) await measureShare(offline);
if (parts.includes('health')) await measureHealth();
if (parts.includes('soak')) await soak();
child.kill('SIGINT');
await new Promise((resolve) => child.once('exit', resolve));
process.exitCode = broken ? 1 : 0;

function makeScenes({ checkpoint }: LanguageModel): Scene[] {
  const { vocabSize, width, layers } = checkpoint.config;
  return Array.from({ length: 16 }, (_, i) => {
    const ids = Array.from({ length: 8 + 3 * i }, () => 3 + Math.floor(chance.uniform() * (vocabSize - 3)));
    const vector = Array.from({ length: width }, () => Math.fround(chance.normal()));
    const intervention = { layer: 1 + (i % layers), coef: 0.1 * (1 + i), positions: 'response' as const };
    const steered = i % 2 === 1;
    const body = {
      model: checkpoint.id,
      prompt: ids,
      temperature: 0,
      max_tokens: maxTokens,
      stream: true,
      ...(steered && { persona: { steer: [{ vector, ...intervention }] } }),
    };
    const interventions = steered ? [{ vector: Float32Array.from(vector), ...intervention }] : [];
    return { body: JSON.stringify(body), row: { ids, interventions }, text: '' };
  });
}

/** Tokens a second of the rows that the clients of `measureShare` ask for, in one call; the better of two. */
async function offlineRate(loaded: LanguageModel): Promise<number> {
  const rows = Array.from({ length: streams * rounds }, (_, i) => scenes[i % scenes.length]!.row);
  const rates: number[] = [];
  for (let round = 0; round < 2; round++) {
    let tokens = 0;
    const begin = performance.now();
    for await (const { ids } of loaded.generate(rows, { maxTokens, batchRows: streams }))
      tokens += ids.length;
    rates.push((tokens * 1000) / (performance.now() - begin));
  }
  return Math.max(...rates);
}

async function measureShare(alone: number): Promise<void> {
  const rates: number[] = [];
  for (let round = 0; round < 2; round++) {
    const before = await metric('persona_tokens_total{kind="reply"}');
    const begin = performance.now();
    await Promise.all(
      Array.from({ length: streams }, async (_, client) => {
        for (let i = 0; i < rounds; i++) await play(scenes[(client + i * streams) % scenes.length]!, null);
      }),
    );
    const took = performance.now() - begin;
    rates.push((((await metric('persona_tokens_total{kind="reply"}')) - before) * 1000) / took);
  }
  const served = Math.max(...rates);
  print({ part: 'share', served, alone, share: served / alone });
}

async function measureHealth(): Promise<void> {
  const controller = new AbortController();
  const busy = Array.from({ length: 16 }, async (_, client) => {
    while (!controller.signal.aborted) await play(scenes[client]!, null);
  });
  const times: number[] = [];
  const until = performance.now() + Math.min(seconds, 30) * 1000;
  while (performance.now() < until) {
    const begin = performance.now();
    await get('/healthz');
    times.push(performance.now() - begin);
    await sleep(20);
  }
  controller.abort();
  await Promise.all(busy);
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor(share * (times.length - 1))]!;
  print({ part: 'health', asked: times.length, median: at(0.5), p99: at(0.99), most: at(1) });
  broken ||= at(0.99) >= 50;
}

async function soak(): Promise<void> {
  const before = await metric('persona_resident_bytes');
  const counts = { ended: 0, aborted: 0, different: 0 };
  const until = performance.now() + seconds * 1000;
  await Promise.all(
    Array.from({ length: streams }, async () => {
      while (performance.now() < until) {
        const scene = scenes[Math.floor(chance.uniform() * scenes.length)]!;
        const text = await play(scene, chance.uniform() < 0.25 ? Math.floor(chance.uniform() * 400) : null);
        if (text === null) counts.aborted++;
        else counts.ended++;
        if (text !== null && text !== scene.text) counts.different++;
      }
    }),
  );
  await sleep(3000);
  const [replies, after] = [await metric('persona_replies'), await metric('persona_resident_bytes')];
  print({ part: 'soak', seconds, ...counts, replies, residentMB: [before / 1e6, after / 1e6] });
  broken ||= counts.different > 0 || counts.ended === 0 || replies !== 0;
}

/** The text of one stream; null where it was aborted, which is after so many bytes. */
function play({ body }: Scene, abortAfter: number | null): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const path = '/v1/completions';
    const asked = request({ port, method: 'POST', path, headers, agent }, (answer) => {
      const bytes: Buffer[] = [];
      let size = 0;
      answer.on('data', (some: Buffer) => {
        bytes.push(some);
        size += some.length;
        if (abortAfter === null || size < abortAfter) return;
        resolve(null);
        asked.destroy();
      });
      answer.on('end', () => {
        const text = Buffer.concat(bytes).toString();
        if (answer.statusCode === 200 && text.endsWith('data: [DONE]\n\n')) resolve(textOf(text));
        else reject(new Error(`status ${answer.statusCode}: ${text.slice(-300)}`));
      });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

function textOf(stream: string): string {
  const events = stream.split('\n\n').slice(0, -2);
  return events
    .map((event) => JSON.parse(event.slice('data: '.length)) as { choices: { text: string }[] })
    .map(({ choices }) => choices[0]!.text)
    .join('');
}

async function get(path: string): Promise<string> {
  return (await fetch(`http://127.0.0.1:${port}${path}`)).text();
}

async function metric(name: string): Promise<number> {
  const line = (await get('/metrics')).split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length) ?? NaN);
}

function print(result: object): void {
  process.stdout.write(`${JSON.stringify({ model: folder, streams, maxTokens, ...result })}\n`);
}
