/** How much the server takes and gives, and how it ends. */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Admission } from '../../src/server/admission.ts';
import type { HttpFailure } from '../../src/server/failure.ts';
import type { ReplyEvent } from '../../src/server/replies.ts';
import { defaultLimits, type Limits } from '../../src/server/settings.ts';
import { streamReplies } from '../../src/server/sse.ts';
import { metric, openTestServer, type TestServer } from '../helpers/test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await openTestServer({
    limits: { ...defaultLimits, bodyBytes: 20_000, replies: 8, context: 500 },
  });
});
afterAll(() => server.close());

const one = { model: 'stories260K', prompt: 'One', max_tokens: 2, temperature: 0 };
const post = (body: object | string, more: RequestInit = {}, at: TestServer = server): Promise<Response> =>
  fetch(`${at.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...more,
  });
/** Eight replies, which are all that may be under way. */
const all = { ...one, max_tokens: 400, n: 8 };
const free = async (at: TestServer = server): Promise<void> => {
  await expect.poll(() => metric(at, 'persona_replies'), { timeout: 20_000 }).toBe(0);
};

describe('limits', () => {
  it('bound a body, whether it says its length or not', async () => {
    const large = JSON.stringify({ ...one, prompt: 'x'.repeat(30_000) });
    expect((await post(large)).status).toBe(413);
    const stream = new Blob([large]).stream();
    expect((await post('', { body: stream, duplex: 'half' })).status).toBe(413);
  });

  it('bound prompt and reply together', async () => {
    const answer = await post({ ...one, max_tokens: 499 });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      error: { code: 'context_length_exceeded', message: expect.stringContaining('context of 500 tokens') },
    });
  });

  it('bound the replies to one request, and those under way', async () => {
    expect((await post({ ...one, n: 9 })).status).toBe(400);
    const controller = new AbortController();
    const first = await post({ ...all, stream: true }, { signal: controller.signal });
    expect(first.status).toBe(200);
    const second = await post(one);
    expect(second.status).toBe(503);
    expect(second.headers.get('retry-after')).toBe('1');
    expect(await second.json()).toMatchObject({ error: { code: 'overloaded', type: 'server_error' } });
    controller.abort();
    await free();
    expect((await post(one)).status).toBe(200);
  });

  it('leave no place taken by a request that is refused', async () => {
    for (let i = 0; i < 10; i++)
      expect((await post({ ...one, persona: { watch: ['nothing'] } })).status).toBe(400);
    expect(await metric(server, 'persona_replies')).toBe(0);
  });
});

describe('the rate', () => {
  it('of one client is bounded, and comes back with time', () => {
    let now = 0;
    const admission = new Admission({ ...defaultLimits, requestsPerMinute: 2 }, () => now);
    const ask = (who: string): number | null => {
      try {
        admission.checkRate(who);
        return null;
      } catch (error) {
        return (error as HttpFailure).retryAfter;
      }
    };
    expect([ask('ann'), ask('ann'), ask('ann'), ask('bob')]).toEqual([null, null, 30, null]);
    now = 30_000;
    expect([ask('ann'), ask('ann')]).toEqual([null, 30]);
  });

  it('is answered with 429', async () => {
    const slow = await openTestServer({ limits: { ...defaultLimits, requestsPerMinute: 2 } });
    try {
      const statuses: number[] = [];
      for (let i = 0; i < 3; i++) statuses.push((await fetch(`${slow.url}/v1/models`)).status);
      expect(statuses).toEqual([200, 200, 429]);
    } finally {
      await slow.close();
    }
  });
});

describe('a client', () => {
  it('that goes away frees its places, whether it has asked for a stream or not', async () => {
    for (const stream of [false, true]) {
      const controller = new AbortController();
      const asked = post({ ...all, stream }, { signal: controller.signal });
      await expect.poll(() => metric(server, 'persona_replies'), { timeout: 10_000 }).toBe(8);
      controller.abort();
      await expect(asked.then((answer) => answer.text())).rejects.toThrow(/aborted/);
      await free();
    }
    expect((await post(one)).status).toBe(200);
  });

  it('that sends too slowly is cut off, and holds nobody up', async () => {
    const strict = await openTestServer({ limits: { ...defaultLimits, sendSeconds: 0.5 } });
    try {
      const head = 'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
      const slow = ['', 'POST /v1', `${head}Content-Length: 100\r\n\r\n{`].map(
        (start) =>
          new Promise<string>((resolve) => {
            let answer = '';
            const socket = connect(strict.port, '127.0.0.1', () => socket.write(start));
            socket.on('data', (data) => (answer += String(data)));
            socket.on('close', () => resolve(answer.split('\r\n')[0]!));
            socket.on('error', () => undefined);
          }),
      );
      expect((await post(one, {}, strict)).status).toBe(200);
      const lines = await Promise.all(slow.slice(1));
      expect(lines).toEqual(['HTTP/1.1 408 Request Timeout', 'HTTP/1.1 408 Request Timeout']);
      expect((await post(one, {}, strict)).status).toBe(200);
    } finally {
      await strict.close();
    }
  });

  it('that does not read is cut off when too much waits for it', async () => {
    const calls: string[] = [];
    const events = async function* (): AsyncGenerator<ReplyEvent> {
      for (let i = 0; i < 1000 && !calls.includes('abort'); i++)
        yield await Promise.resolve({ token: { index: 0, id: 1, text: 'x'.repeat(1000) } });
    };
    const answer = streamReplies({
      chunks: { begin: () => [], next: (event) => [event], usage: () => ({}) },
      events: events(),
      withUsage: false,
      waitingBytes: 100_000,
      abort: () => calls.push('abort'),
      disconnect: () => calls.push('disconnect'),
      explain: (error) => error,
      onEnd: () => calls.push('end'),
    });
    await expect.poll(() => calls).toEqual(['abort', 'disconnect', 'end']);
    expect(answer.status).toBe(200);
  });
});

describe('a request that takes too long', () => {
  let hasty: TestServer;
  beforeAll(async () => {
    const limits: Limits = { ...defaultLimits, seconds: 0.02 };
    hasty = await openTestServer({ limits });
  });
  afterAll(() => hasty.close());
  const long = { ...one, max_tokens: 400, n: 4 };

  it('is told so, in a stream by its last event', async () => {
    const answer = await post(long, {}, hasty);
    expect(answer.status).toBe(408);
    expect(await answer.json()).toMatchObject({ error: { code: 'timeout' } });
    const streamed = await (await post({ ...long, stream: true }, {}, hasty)).text();
    const last = streamed.trim().split('\n\n').at(-1)!;
    expect(JSON.parse(last.slice('data: '.length))).toMatchObject({
      error: { code: 'timeout', message: expect.stringContaining('within 0.02 seconds') },
    });
    await free(hasty);
  });
});

describe('the end', () => {
  it('waits for replies under way, lets nobody in, and then nobody is there', async () => {
    const ending = await openTestServer();
    const answer = await post({ ...one, max_tokens: 300, stream: true }, {}, ending);
    const closing = ending.close(60_000);
    const late = await post(one, {}, ending).catch(() => null);
    expect(late?.status ?? 503).toBe(503);
    expect(await answer.text()).toMatch(/data: \[DONE\]\n\n$/);
    await closing;
    await expect(fetch(`${ending.url}/healthz`)).rejects.toThrow('fetch failed');
  });

  it('does not wait for ever', async () => {
    const stuck = await openTestServer();
    const answer = await post({ ...one, max_tokens: 400, n: 100, stream: true }, {}, stuck);
    await stuck.close(50);
    await expect(answer.text()).rejects.toThrow(/terminated/);
  });
});

describe('the log and the metrics', () => {
  it('have no word of a prompt, and one label for all made-up paths', async () => {
    await post({ ...one, prompt: 'Sesame' });
    await fetch(`${server.url}/Sesame?Sesame`);
    await fetch(`${server.url}/made/up`, { headers: { origin: 'https://evil.example' } });
    const lines = server.log.filter(({ path }) => path !== '/Sesame');
    expect(lines.length).toBeGreaterThan(0);
    expect(JSON.stringify(lines)).not.toContain('Sesame');
    const text = await (await fetch(`${server.url}/metrics`)).text();
    expect(text).toContain('persona_requests_total{route="other",status="404"} 1');
    expect(text).toContain('persona_requests_total{route="other",status="403"} 1');
    expect(text).not.toMatch(/Sesame|made/);
  });

  it('have the bodies where that is asked for, of those alone that were let in', async () => {
    const open = await openTestServer({ logText: true });
    try {
      await post({ ...one, prompt: 'Sesame' }, {}, open);
      await fetch(`${open.url}/v1/completions`, { method: 'POST', body: 'Hidden' });
      expect(JSON.stringify(open.log)).toContain('Sesame');
      expect(JSON.stringify(open.log)).not.toContain('Hidden');
    } finally {
      await open.close();
    }
  });

  it('count tokens and seconds of streams', async () => {
    const before = await metric(server, 'persona_tokens_total{kind="reply"}');
    await (await post({ ...one, max_tokens: 7, stream: true })).text();
    expect(await metric(server, 'persona_tokens_total{kind="reply"}')).toBe(before + 7);
    expect(server.log.at(-2)).toMatchObject({ path: '/v1/completions', status: 200, who: null });
  });
});
