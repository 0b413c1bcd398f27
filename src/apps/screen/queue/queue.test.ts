import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { compiledCli } from '../../../../test/helpers/build.ts';
import { describeWithRedis, endOf, lineOf, startRedis } from '../../../../test/helpers/redis.ts';
import { writeRandomAdapter } from '../../../../test/helpers/random-adapter.ts';
import { folderContents, screenScene } from '../../../../test/helpers/screen-scene.ts';
import { DataError, UsageError } from '../../../errors.ts';
import { loadCheckpoint } from '../../../model/checkpoint.ts';
import { checkpointFingerprint } from '../../../model/fingerprint.ts';
import { screen } from '../screen.ts';
import { packResult, parsePartJob, unpackResult } from './part-job.ts';
import { parseRedisAddress, queueName } from './redis-address.ts';

/** A worker in a process of its own, with a cache of its own. */
function startWorker(queue: string, cache: string, flags: readonly string[] = []): ChildProcess {
  const args = [compiledCli(), 'worker', '--queue', queue];
  const child = spawn(process.execPath, [...args, '--take-back', '2', ...flags], {
    env: { ...process.env, PERSONA_CACHE: cache },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => endOf(child, 'SIGKILL'));
  return child;
}

describeWithRedis('a screening by workers on a queue', () => {
  it('ends in the bytes of one process, though a worker is killed in the middle of a part', async () => {
    const queue = await startRedis();
    const options = await screenScene();
    const things = ['tomatoes', 'carrots', 'beans', 'roses', 'herbs'];
    const line = (i: number): string =>
      `${JSON.stringify({ id: `r${i}`, prompt: `How do I grow ${things[i % 5]!} in week ${i}?`, answer: `You can water them ${'well '.repeat(i % 9)}.` })}\n`;
    await writeFile(options.data[0]!, Array.from({ length: 200 }, (_, i) => line(i)).join(''));
    const full = { ...options, mode: 'full', shardSamples: 20, maxTokens: 60, extremes: 20 } as const;
    const queued = { ...full, out: join(options.folder, 'queued'), queue };
    const lines: string[] = [];
    const merged = screen({ ...queued, onNotice: (text) => lines.push(text) });
    const first = startWorker(queue, join(options.folder, 'first'));
    await lineOf(first, /, part \d+: 20 samples/);
    await endOf(first, 'SIGKILL');
    const name = queueName(await checkpointFingerprint(await loadCheckpoint(options.model)));
    const looking = new Queue(name, { connection: { ...parseRedisAddress(queue) } });
    // The next part was in its hands.
    expect(await looking.getActiveCount()).toBe(1);
    startWorker(queue, join(options.folder, 'second'));
    await merged;
    expect(await looking.getJobCounts('wait', 'active', 'failed', 'completed')).toEqual({
      wait: 0,
      active: 0,
      failed: 0,
      completed: 0,
    });
    await looking.close();
    expect(lines).toContainEqual(expect.stringContaining('no worker is there yet'));
    await screen(full);
    expect(await folderContents(queued.out)).toEqual(await folderContents(full.out));
  });

  it('is left to workers that have the adapter', async () => {
    const queue = await startRedis();
    const options = await screenScene();
    const adapter = join(options.folder, 'tuned');
    await writeRandomAdapter(options.model, adapter);
    const asked = { ...options, adapter, mode: 'full' } as const;
    const base = startWorker(queue, join(options.folder, 'base'));
    await lineOf(base, /ready/);
    const notices: string[] = [];
    const out = join(options.folder, 'queued');
    const done = screen({ ...asked, out, queue, onNotice: (text) => notices.push(text) });
    const tuned = startWorker(queue, join(options.folder, 'tuned-cache'), ['--adapter', adapter]);
    const scored = lineOf(tuned, /part 1: \d+ samples by persona-tiny\+tuned/);
    await done;
    await scored;
    expect(notices).toContainEqual(expect.stringContaining('no worker is there yet'));
    await screen(asked);
    expect(await folderContents(out)).toEqual(await folderContents(asked.out));
    // The other worker has opened no cache of own replies, which a part in this mode begins with.
    expect(await readdir(options.folder)).not.toContain('base');
    expect(await readdir(options.folder)).toContain('tuned-cache');
  });

  it('has a job that is no job refused by the worker, and goes on', async () => {
    const queue = await startRedis();
    const { folder, model } = await screenScene();
    const fingerprint = await checkpointFingerprint(await loadCheckpoint(model));
    const putting = new Queue(queueName(fingerprint), { connection: { ...parseRedisAddress(queue) } });
    const worker = startWorker(queue, join(folder, 'cache'));
    await putting.add('part', { version: 1, model: '/etc/passwd' });
    expect(await lineOf(worker, /a part failed: .*\n/)).toContain('The job');
    expect(worker.exitCode).toBeNull();
    await putting.close();
  });
});

describe('what travels over a queue', () => {
  const sample = { key: '1:1', id: 'a', source: 'x', prompt: [], reply: 'yes' };
  const counts = { rows: 1, samples: 1, empty: 0, long: 0, refused: 0 };

  it('comes back with the texts of its part, every digit kept', () => {
    const numbers = { tokens: 1, projection: [0.1 + 0.2], reference: [1e-17], base_reply: 'no' };
    const part = { rows: [{ ...sample, ...numbers }], counts };
    expect(unpackResult(packResult(part), [sample])).toEqual(part);
    expect(() => unpackResult(packResult(part), [])).toThrow('a key of its part, got "1:1"');
    expect(() => unpackResult('nonsense', [sample])).toThrow(DataError);
  });

  it.each<[string, unknown]>([
    ['nothing', null],
    ['a path beside what is allowed', { ...job(), model: '/etc/passwd' }],
    ['another mode', { ...job(), mode: 'auto' }],
    ['a vector that is none', { ...job(), vectors: [{ name: 'v', layer: 0, values: '' }] }],
    ['naming a file to read', { ...job(), data: ['https://data.example.org/rows.jsonl'] }],
    [
      'naming a file to read in a sample',
      { ...job(), samples: [{ ...sample, url: 'https://data.example.org/rows.jsonl' }] },
    ],
    ['samples without end', { ...job(), samples: [{ ...sample, reply: 'x'.repeat(64_000_001) }] }],
  ])('is refused where it is %s', (_, data) => {
    expect(parsePartJob(job())).toEqual(job());
    expect(() => parsePartJob(data)).toThrow(DataError);
  });

  function job(): Record<string, unknown> {
    const limits = {
      max_tokens: 1,
      max_prompt_tokens: 1,
      vectors: [{ name: 'v', layer: 1, values: 'AAAAAA==' }],
    };
    const model = { fingerprint: 'f', dtype: 'fp32', block_size: 32 };
    return { version: 1, run: 'r', mode: 'full', ...model, ...limits, part: 0, rows: 1, samples: [sample] };
  }

  it('goes to the address of a Redis server alone', async () => {
    expect(parseRedisAddress('rediss://me:p%40ss@[::1]:7000/2')).toMatchObject({
      host: '::1',
      port: 7000,
      db: 2,
      username: 'me',
      password: 'p@ss',
      tls: {},
    });
    for (const wrong of ['localhost:6379', 'http://localhost', 'redis://', 'redis://host/x'])
      expect(() => parseRedisAddress(wrong)).toThrow(UsageError);
    const options = await screenScene();
    const nowhere = screen({ ...options, queue: 'redis://:secret@127.0.0.1:1' });
    await expect(nowhere).rejects.toThrow(/a Redis server at 127\.0\.0\.1:1, got: .*ECONNREFUSED/);
  });
});
