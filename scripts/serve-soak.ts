/**
 * Holds `persona serve` to its promises under load, after `npm run build`:
 *
 *     npx tsx scripts/serve-soak.ts [MODEL] [--parts share,health,soak] [--streams 64] [--seconds 120] [--tokens 48]
 *         [--rounds 4] [--repeats 3] [--sides alone,served] [--soaks 1] [--dtype int8]
 *
 * `share`: tokens a second of so many clients that each ask for a stream, and then the next, beside the same rows in one call
 * of `generate`, in turns (or one side alone: `--sides`); the medians. No two rows have the same prompt. `health`: how long `/healthz` takes while 16 replies
 * run. `soak`: streams come all the time, half of them steered, a quarter of them aborted at random; every one that ends must
 * be its solo run, and afterwards places and memory must be free: what lives in the server's threads once they have collected their
 * garbage is at most 8 MB more than after ten such seconds at the start, and the process half as large again. Prints one line of
 * JSON a part; exit code 1 where a promise is broken. Prompts are questions of the model's traits, or random tokens where it has no tokenizer.
 */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadModel } from '../src/engine/load.ts';
import { dtypes, type LanguageModel } from '../src/engine/model.ts';
import type { GenerateRow } from '../src/engine/types.ts';
import type { Checkpoint } from '../src/model/checkpoint.ts';
import { encodePrompt, systemTexts } from '../src/persona/prompt.ts';
import { resolveTrait } from '../src/persona/trait.ts';
import { traitSet } from '../src/persona/trait-set.ts';
import { defined } from '../src/util/defined.ts';
import { randomStream } from '../src/util/random.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    parts: { type: 'string', default: 'share,health,soak' },
    seconds: { type: 'string', default: '120' },
    streams: { type: 'string', default: '64' },
    tokens: { type: 'string', default: '48' },
    rounds: { type: 'string', default: '4' },
    repeats: { type: 'string', default: '3' },
    sides: { type: 'string', default: 'alone,served' },
    soaks: { type: 'string', default: '1' },
    dtype: { type: 'string' },
  },
});
const folder = positionals[0] ?? fileURLToPath(new URL('../models/persona-tiny', import.meta.url));
const parts = values.parts.split(',');
const seconds = Number(values.seconds);
const streams = Number(values.streams);
const maxTokens = Number(values.tokens);
const rounds = Number(values.rounds);
const sides = values.sides.split(',');
const dtype = dtypes.find((one) => one === values.dtype);
const chance = randomStream('soak');
/** Connections that stay open between two requests. */
let agent = new Agent({ keepAlive: true });

/** A request and the row that it becomes. */
interface Scene {
  readonly body: string;
  readonly row: GenerateRow;
  /** Of the row alone. */
  text: string;
}

/** What a number of tokens took. */
interface Rate {
  /** Tokens a second. */
  readonly wall: number;
  /** Tokens a second of the processor, of the process that makes them: other load on the machine leaves it as it is. */
  readonly cpu: number;
}

const model = await loadModel(folder, { worker: false, ...defined({ dtype }) });
const scenes = await makeScenes(model, parts.includes('share') ? streams * rounds : 16);
if (parts.includes('soak')) {
  for (const scene of scenes.slice(0, 16))
    for await (const { text } of model.generate([scene.row], { maxTokens })) scene.text = text ?? '';
}
const compares = parts.includes('share') && sides.includes('alone');
if (!compares) await model.close();

const cli = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const precision = dtype === undefined ? [] : ['--dtype', dtype];
const child = spawn(process.execPath, [cli, 'serve', folder, '--port', '0', '--json', ...precision], {
  stdio: ['ignore', 'pipe', 'ignore', 'ipc'],
  env: {
    ...process.env,
    NODE_OPTIONS: `--expose-gc --import ${new URL('serve-memory.mjs', import.meta.url).href}`,
  },
});
process.once('exit', () => child.kill());
const first = (await child.stdout![Symbol.asyncIterator]().next()) as { value: Buffer };
const { port } = new URL((JSON.parse(String(first.value)) as { url: string }).url);
await play(scenes[0]!, null);
let broken = false;
if (parts.includes('share')) await measureShare(model);
if (parts.includes('health')) await measureHealth();
if (parts.includes('soak')) await measureSoaks();
child.kill('SIGINT');
await new Promise((resolve) => child.once('exit', resolve));
process.exitCode = broken ? 1 : 0;

async function makeScenes({ checkpoint }: LanguageModel, count: number): Promise<Scene[]> {
  const { width, layers } = checkpoint.config;
  const prompts = await makePrompts(checkpoint, count);
  return prompts.map((ids, i) => {
    const vector = Array.from({ length: width }, () => Math.fround(chance.normal()));
    const kind = i % 16;
    const intervention = {
      layer: 1 + (kind % layers),
      coef: 0.1 * (1 + kind),
      positions: 'response' as const,
    };
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

/** So many different prompts, in no order of length. */
async function makePrompts(checkpoint: Checkpoint, count: number): Promise<number[][]> {
  if (checkpoint.tokenizer === null) {
    const { vocabSize } = checkpoint.config;
    const id = (): number => 3 + Math.floor(chance.uniform() * (vocabSize - 3));
    return Array.from({ length: count }, (_, i) => Array.from({ length: 8 + 3 * (i % 16) }, id));
  }
  const prompts: { ids: number[]; at: number }[] = [];
  for (const { name } of await traitSet({ modelFolder: folder })) {
    const trait = await resolveTrait(name, { modelFolder: folder });
    for (const system of [null, ...Object.values(systemTexts(checkpoint, trait)).flat()])
      for (const question of trait.questions) {
        const { ids } = encodePrompt(checkpoint, trait, { system, question });
        prompts.push({ ids: [...ids], at: chance.uniform() });
      }
  }
  return prompts
    .sort((a, b) => a.at - b.at)
    .slice(0, count)
    .map(({ ids }) => ids);
}

async function measureShare(alone: LanguageModel): Promise<void> {
  const rates: { alone: Rate[]; served: Rate[] } = { alone: [], served: [] };
  // What the first time compiles and reads is no part of either.
  if (compares) await offlineRate(alone, 1);
  for (let repeat = 0; repeat < Number(values.repeats); repeat++) {
    if (sides.includes('alone')) rates.alone.push(await offlineRate(alone, streams * rounds));
    if (sides.includes('served')) rates.served.push(await servedRate());
  }
  if (compares) await alone.close();
  const of = (kind: keyof Rate): object => {
    const [there, here] = [rates.served, rates.alone].map((some) => median(some.map((rate) => rate[kind])));
    return { served: there, alone: here, share: there! / here! };
  };
  print({ part: 'share', rounds, ...of('wall'), processor: of('cpu') });
}

/** The first rows of those that the clients of `servedRate` ask for, in one call. */
async function offlineRate(alone: LanguageModel, count: number): Promise<Rate> {
  const rows = Array.from({ length: count }, (_, i) => scenes[i % scenes.length]!.row);
  let tokens = 0;
  const [begin, before] = [performance.now(), process.cpuUsage()];
  for await (const { ids } of alone.generate(rows, { maxTokens, batchRows: streams })) tokens += ids.length;
  const { user, system } = process.cpuUsage(before);
  return { wall: (tokens * 1000) / (performance.now() - begin), cpu: (tokens * 1e6) / (user + system) };
}

async function servedRate(): Promise<Rate> {
  renewConnections();
  const tokensBefore = await metric('persona_tokens_total{kind="reply"}');
  const [begin, before] = [performance.now(), processorSeconds()];
  await Promise.all(
    Array.from({ length: streams }, async (_, client) => {
      for (let i = 0; i < rounds; i++) await play(scenes[(client + i * streams) % scenes.length]!, null);
    }),
  );
  const [end, after] = [performance.now(), processorSeconds()];
  const tokens = (await metric('persona_tokens_total{kind="reply"}')) - tokensBefore;
  return { wall: (tokens * 1000) / (end - begin), cpu: tokens / (after - before) };
}

/** What the server has taken of the processor until now; on Linux, NaN elsewhere. */
function processorSeconds(): number {
  try {
    const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    // In ticks of a hundredth of a second.
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return Number.NaN;
  }
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
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

/** What a server holds, in bytes, when its threads have collected their garbage. */
interface Memory {
  /** In use, of all threads. */
  readonly live: number;
  readonly threads: number;
  /** Of the process, with what its allocators keep. */
  readonly resident: number;
}

async function measureSoaks(): Promise<void> {
  // Threads, sessions and code have their size once all has run: the start level.
  await soak(10);
  const start = await memory();
  for (let i = 0; i < Number(values.soaks); i++) {
    const counts = await soak(seconds);
    const replies = await metric('persona_replies');
    const busy = await metric('persona_resident_bytes');
    const end = await memory();
    const megabytes = { live: [start.live, end.live], resident: [start.resident, busy, end.resident] };
    const inMB = Object.entries(megabytes).map(([name, some]) => [name, some.map((one) => round(one / 1e6))]);
    print({ part: 'soak', seconds, ...counts, replies, threads: end.threads, ...Object.fromEntries(inMB) });
    broken ||= counts.different > 0 || counts.ended === 0 || replies !== 0 || end.threads < 2;
    broken ||= end.live > start.live + 8e6 || end.resident > 1.5 * start.resident;
  }
}

async function soak(length: number): Promise<{ ended: number; aborted: number; different: number }> {
  renewConnections();
  const counts = { ended: 0, aborted: 0, different: 0 };
  const until = performance.now() + length * 1000;
  await Promise.all(
    Array.from({ length: streams }, async () => {
      while (performance.now() < until) {
        const scene = scenes[Math.floor(chance.uniform() * 16)]!;
        const text = await play(scene, chance.uniform() < 0.25 ? Math.floor(chance.uniform() * 400) : null);
        if (text === null) counts.aborted++;
        else counts.ended++;
        if (text !== null && text !== scene.text) counts.different++;
      }
    }),
  );
  await sleep(3000);
  return counts;
}

async function memory(): Promise<Memory> {
  const answer = new Promise<Memory>((resolve) =>
    child.once('message', (found) => resolve(found as unknown as Memory)),
  );
  child.send('collect');
  return answer;
}

/** The server closes those that have had nothing to do for a while. */
function renewConnections(): void {
  agent.destroy();
  agent = new Agent({ keepAlive: true });
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
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
