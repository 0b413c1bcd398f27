import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { MonitorReader, MonitorStore } from '../store/monitor/store.ts';
import { forwardCourier, parseForward } from './forward.ts';
import { type Courier, Outbox } from './outbox.ts';
import { parseWebhookSecret, webhookCourier, webhookHeaders } from './webhook.ts';
import { AllowedHosts } from '../util/http/allowed-hosts.ts';

let folder: string;
let store: MonitorStore<string>;
let reader: MonitorReader;
const troubles: string[] = [];
beforeEach(() => {
  troubles.length = 0;
  folder = mkdtempSync(join(tmpdir(), 'persona-outbox-'));
  const file = join(folder, 'monitor.sqlite');
  store = new MonitorStore(file, (urls) => ({
    memory: null,
    alerts: urls.map((url) => ({
      policy: 'p',
      vector: 'evil',
      rule: 'threshold',
      value: 3,
      limit: 2,
      action: 'webhook',
      url,
    })),
  }));
  reader = new MonitorReader(file);
});
afterEach(() => {
  reader.close();
  store.close();
  rmSync(folder, { recursive: true });
});

interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A service on this machine that takes requests and answers as it is told. */
async function receiver(
  answer: (
    request: Received,
    number: number,
  ) => { status: number; body?: object; headers?: Record<string, string> },
): Promise<{ readonly base: string; readonly host: string; readonly received: Received[] }> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => (body += String(part)));
    request.on('end', () => {
      const one = { path: request.url ?? '', headers: request.headers, body };
      const { status, body: said, headers } = answer(one, received.push(one));
      response.writeHead(status, headers).end(said === undefined ? '' : JSON.stringify(said));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { base: `http://${host}`, host, received };
}

/** Writes a turn that raises an alert for every address. */
function turn(
  urls: readonly string[],
  change: { forward?: string[]; trace?: string; text?: boolean } = {},
): void {
  const { forward = [], trace, text = false } = change;
  const projections = [
    { vector: 'evil', layer: 3, before: 0.25, mean: 1.5, z: 2, percentile: 97.5 },
    { vector: 'kind', layer: 2, before: 0.5, mean: null, z: null, percentile: null },
  ];
  const [written] = store.append([
    {
      origin: { model: 'm', key: null, conversation: 'talk', prefixes: [] },
      time: 1_700_000_000_000,
      history: null,
      projections,
      text: text ? { user: 'secret question', assistant: 'secret answer', tokens: [] } : null,
      judged: urls,
      forward,
      forwardText: text,
      trace: trace === undefined ? null : { trace_id: trace, span_id: 'b'.repeat(16) },
    },
  ]);
  if ('failed' in written!) throw written.failed;
}

function open(...couriers: Courier[]): Outbox {
  const call = (method: keyof MonitorStore, ...args: unknown[]): Promise<unknown> =>
    Promise.resolve((store[method] as (...args: unknown[]) => unknown).apply(store, args));
  const outbox = new Outbox({ call } as never, couriers, {
    retries: { first: 2, longest: 5, attempts: 3 },
    onTrouble: (message) => troubles.push(message),
  });
  onTestFinished(() => outbox.close());
  return outbox;
}

const secret = 'whsec_plJ3nmyCDGBKInavdOK15jsl';
// The example's secret is of eighteen bytes; ours have to be longer.
const key = Buffer.from(secret.slice(6), 'base64');
const delivered = () => reader.alerts({ limit: 9, cursor: null }).data.map((one) => one.delivered);

describe('a signature', () => {
  it("is that of Standard Webhooks' example", () => {
    const body = '{"event_type":"ping","data":{"success":true}}';
    expect(webhookHeaders(key, { id: 'msg_loFOjxBNrRLzqYUf', seconds: 1_731_705_121, body })).toEqual({
      'webhook-id': 'msg_loFOjxBNrRLzqYUf',
      'webhook-timestamp': '1731705121',
      'webhook-signature': 'v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=',
    });
  });

  it('needs a secret that nobody guesses', () => {
    expect(parseWebhookSecret(`whsec_${Buffer.alloc(32, 7).toString('base64')}`)).toEqual(
      Buffer.alloc(32, 7),
    );
    for (const bad of [undefined, '', 'secret', secret, 'whsec_'])
      expect(() => parseWebhookSecret(bad)).toThrow('openssl rand');
  });
});

describe('a webhook', () => {
  it('is sent once, signed, and noted', async () => {
    const { base, host, received } = await receiver(() => ({ status: 200 }));
    const outbox = open(webhookCourier(new AllowedHosts([host]), key));
    turn([`${base}/hook`]);
    expect(delivered()).toEqual([false]);
    outbox.wake();
    await expect.poll(delivered).toEqual([true]);
    outbox.wake();
    expect(received).toHaveLength(1);
    const [{ path, headers, body }] = received as [Received];
    const id = String(headers['webhook-id']);
    const seconds = Number(headers['webhook-timestamp']);
    expect(headers['webhook-signature']).toBe(
      webhookHeaders(key, { id, seconds, body })['webhook-signature'],
    );
    expect([path, headers['content-type'], headers['persona-attempt']]).toEqual([
      '/hook',
      'application/json',
      '1',
    ]);
    const [alert] = reader.alerts({ limit: 1, cursor: null }).data;
    const { delivered: _, ...data } = alert!;
    expect(JSON.parse(body)).toEqual({ type: 'persona.alert', timestamp: alert!.time, data });
    expect(id).toBe(alert!.id);
  });

  it('is tried again under the same id, and given up', async () => {
    const { base, host, received } = await receiver(({ path }, number) => ({
      status: path === '/ok' && number > 2 ? 204 : 503,
    }));
    const outbox = open(webhookCourier(new AllowedHosts([host]), key));
    turn([`${base}/ok`]);
    outbox.wake();
    await expect.poll(delivered).toEqual([true]);
    expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(received.map(({ headers }) => headers['persona-attempt'])).toEqual(['1', '2', '3']);
    turn([`${base}/never`]);
    outbox.wake();
    await expect.poll(() => troubles).toHaveLength(1);
    expect(troubles[0]).toMatch(/gave up sending alert-\S+ after 3 attempts: status 503/);
    expect(received).toHaveLength(6);
    expect(delivered()).toEqual([false, true]);
  });

  it('follows nobody elsewhere, and goes to no host that is not allowed', async () => {
    const elsewhere = await receiver(() => ({ status: 200 }));
    const { base, host, received } = await receiver(({ path }) =>
      path === '/gone' ? { status: 410 } : { status: 307, headers: { location: `${elsewhere.base}/` } },
    );
    const outbox = open(webhookCourier(new AllowedHosts([host]), key));
    turn([`${base}/away`, `${base}/gone`, `${elsewhere.base}/`]);
    outbox.wake();
    await expect.poll(() => troubles).toHaveLength(3);
    expect(troubles.join('\n')).toMatch(/after 3 attempts: status 307/);
    expect(troubles.join('\n')).toMatch(/after 1 attempts: status 410/);
    expect(troubles.join('\n')).toMatch(/after 1 attempts: .*--allow-webhook/);
    expect(received).toHaveLength(4);
    expect(elsewhere.received).toEqual([]);
  });

  it('whose attempt was noted by nobody is sent again under the same id', async () => {
    turn(['http://127.0.0.1:9/']);
    const [letter] = store.takeLetters('webhook', { now: Date.now(), limit: 1, retryAt: Date.now() - 1 });
    const ids: string[] = [];
    const outbox = open({
      kind: 'webhook',
      atOnce: 1,
      deliver: (letters) => {
        ids.push(...letters.map(({ id, attempt }) => `${id} ${attempt}`));
        return Promise.resolve(letters.map(() => ({ sent: true as const })));
      },
    });
    outbox.wake();
    await expect.poll(delivered).toEqual([true]);
    expect(ids).toEqual([`${letter!.id} 2`]);
  });
});

const keys = {
  LANGFUSE_PUBLIC_KEY: 'pk-lf-1',
  LANGFUSE_SECRET_KEY: 'sk-lf-2',
  PHOENIX_API_KEY: 'px',
  PHOENIX_PROJECT_NAME: 'my app',
};
const left = () => store.facts().letters;

describe('Langfuse', () => {
  it('gets numeric scores of the session, or of the trace, and no words', async () => {
    const { base, received } = await receiver(() => ({ status: 207, body: { successes: [], errors: [] } }));
    turn([], { forward: ['langfuse'], text: true });
    turn([], { forward: ['langfuse'], text: true, trace: 'a'.repeat(32) });
    open(forwardCourier(parseForward(`langfuse=${base}/`, false, keys)));
    await expect.poll(left).toEqual([]);
    const [{ path, headers, body }] = received as [Received];
    expect([received.length, path]).toEqual([1, '/api/public/ingestion']);
    expect(headers.authorization).toBe(`Basic ${Buffer.from('pk-lf-1:sk-lf-2').toString('base64')}`);
    expect(body).not.toContain('secret');
    const { batch } = JSON.parse(body) as {
      batch: { id: string; type: string; timestamp: string; body: Record<string, unknown> }[];
    };
    expect(batch.map(({ body: { name, value, dataType } }) => [name, value, dataType])).toEqual([
      ['persona.evil.projection', 1.5, 'NUMERIC'],
      ['persona.evil.z', 2, 'NUMERIC'],
      ['persona.evil.percentile', 97.5, 'NUMERIC'],
      ['persona.evil.projection', 1.5, 'NUMERIC'],
      ['persona.evil.z', 2, 'NUMERIC'],
      ['persona.evil.percentile', 97.5, 'NUMERIC'],
    ]);
    expect(batch[0]).toMatchObject({
      type: 'score-create',
      timestamp: '2023-11-14T22:13:20.000Z',
      body: { sessionId: 'talk' },
    });
    expect(batch[3]!.body).toMatchObject({ traceId: 'a'.repeat(32), observationId: 'b'.repeat(16) });
    expect(new Set(batch.map(({ id }) => id)).size).toBe(6);
    expect(new Set(batch.map(({ body: { id } }) => id)).size).toBe(6);
  });

  it('gets texts where that is asked for', async () => {
    const { base, received } = await receiver(() => ({ status: 207, body: { successes: [], errors: [] } }));
    turn([], { forward: ['langfuse'], text: true });
    open(forwardCourier(parseForward(`langfuse=${base}`, true, keys)));
    await expect.poll(left).toEqual([]);
    const { batch } = JSON.parse(received[0]!.body) as {
      batch: { type: string; body: Record<string, unknown> }[];
    };
    const [trace, score] = batch;
    expect(trace).toMatchObject({
      type: 'trace-create',
      body: { sessionId: 'talk', input: 'secret question', output: 'secret answer' },
    });
    expect(score!.body['traceId']).toBe(trace!.body['id']);
  });

  it('says of each turn whether it was taken', async () => {
    const { base } = await receiver(({ body }) => {
      const { batch } = JSON.parse(body) as { batch: { id: string }[] };
      return {
        status: 207,
        body: { errors: [{ id: batch.at(-1)!.id, status: 400, message: 'no such thing' }] },
      };
    });
    turn([], { forward: ['langfuse'] });
    turn([], { forward: ['langfuse'] });
    open(forwardCourier(parseForward(`langfuse=${base}`, false, keys)));
    await expect.poll(() => troubles).toEqual(['gave up sending turn-2 after 1 attempts: no such thing']);
    expect(left()).toEqual([]);
  });

  it('that is down is asked again', async () => {
    const { base, received } = await receiver((_, number) => ({
      status: number < 3 ? 502 : 207,
      body: { errors: [] },
    }));
    turn([], { forward: ['langfuse'] });
    open(forwardCourier(parseForward(`langfuse=${base}`, false, keys)));
    await expect.poll(left).toEqual([]);
    expect(new Set(received.map(({ body }) => body)).size).toBe(1);
  });
});

describe('Phoenix', () => {
  it('gets a span for each turn of no trace, and annotations of spans', async () => {
    const { base, received } = await receiver(({ path }) => ({
      status: path.endsWith('/spans') ? 202 : 200,
      body: { data: [] },
    }));
    turn([], { forward: ['phoenix'], text: true });
    turn([], { forward: ['phoenix'], trace: 'a'.repeat(32) });
    open(forwardCourier(parseForward(`phoenix=${base}`, false, keys)));
    await expect.poll(left).toEqual([]);
    expect(received.map(({ path, headers }) => [path, headers.authorization])).toEqual([
      ['/v1/projects/my%20app/spans', 'Bearer px'],
      ['/v1/span_annotations', 'Bearer px'],
    ]);
    expect(received.map(({ body }) => body).join()).not.toContain('secret');
    const [spans, annotations] = received.map(
      ({ body }) => (JSON.parse(body) as { data: Record<string, unknown>[] }).data,
    );
    expect(spans).toMatchObject([
      { span_kind: 'LLM', attributes: { 'session.id': 'talk' }, status_code: 'OK' },
    ]);
    const own = (spans![0]!['context'] as { span_id: string }).span_id;
    expect(own).toMatch(/^[0-9a-f]{16}$/);
    expect(annotations!.map(({ span_id, name, result }) => [span_id, name, result])).toEqual([
      [own, 'persona.evil.projection', { score: 1.5 }],
      [own, 'persona.evil.z', { score: 2 }],
      [own, 'persona.evil.percentile', { score: 97.5 }],
      ['b'.repeat(16), 'persona.evil.projection', { score: 1.5 }],
      ['b'.repeat(16), 'persona.evil.z', { score: 2 }],
      ['b'.repeat(16), 'persona.evil.percentile', { score: 97.5 }],
    ]);
    expect(annotations![0]).toMatchObject({ annotator_kind: 'CODE', identifier: 'persona-vectors' });
  });

  it('that has a span of an attempt before is given the others', async () => {
    let known: string | null = null;
    const { base, received } = await receiver(({ path, body }) => {
      if (!path.endsWith('/spans')) return { status: 200, body: { data: [] } };
      const { data } = JSON.parse(body) as { data: { context: { span_id: string } }[] };
      known ??= data[0]!.context.span_id;
      const duplicate_spans = data.flatMap(({ context }) => (context.span_id === known ? [context] : []));
      if (duplicate_spans.length === 0) return { status: 202 };
      const detail = JSON.stringify({ total_invalid: 0, total_duplicates: 1, duplicate_spans });
      return { status: 400, body: { detail } };
    });
    turn([], { forward: ['phoenix'] });
    turn([], { forward: ['phoenix'] });
    open(forwardCourier(parseForward(`phoenix=${base}`, false, {})));
    await expect.poll(left).toEqual([]);
    expect(received.map(({ path }) => path.split('/').at(-1))).toEqual([
      'spans',
      'spans',
      'span_annotations',
    ]);
    expect((JSON.parse(received[1]!.body) as { data: object[] }).data).toHaveLength(1);
  });
});

describe('a service', () => {
  it.each<[string, Record<string, string>, string]>([
    ['langfuse', keys, 'langfuse=URL'],
    ['datadog=https://x', keys, 'langfuse=URL'],
    ['langfuse=ftp://x', keys, 'langfuse=URL'],
    ['langfuse=https://x', {}, 'LANGFUSE_PUBLIC_KEY'],
    ['langfuse=http://langfuse.example.com', keys, 'Expected https'],
    ['phoenix=http://phoenix.example.com', keys, 'Expected https'],
  ])('%s is refused', (text, environment, sentence) => {
    expect(() => parseForward(text, false, environment)).toThrow(sentence);
  });
});
