/** Who may ask the server, and by which way. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addKey, ApiKeys } from '../../src/server/keys.ts';
import { type RunningServer, startServer } from '../../src/server/start.ts';
import { modelless, openTestServer, type TestServer, token } from '../helpers/test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await openTestServer();
});
afterAll(() => server.close());

const json = { 'content-type': 'application/json' };
const body = JSON.stringify({ model: 'stories260K', prompt: 'One', max_tokens: 2 });
const ask = (path: string, init: RequestInit = {}): Promise<Response> => fetch(`${server.url}${path}`, init);

/** The status of a request with headers or a path that `fetch` does not let through. */
function askRaw(options: {
  path?: string;
  method?: string;
  headers: Record<string, string>;
}): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { port: server.port, host: '127.0.0.1', path: '/v1/models', ...options },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    request.on('error', reject);
    request.end();
  });
}

describe('a host', () => {
  it.each([
    ['localhost', 200],
    ['127.0.0.1:1', 200],
    ['[::1]:8787', 200],
    ['LOCALHOST', 200],
    ['evil.example', 403],
    ['localhost.evil.example', 403],
    ['evil.example:8787', 403],
    ['127.0.0.1.evil.example', 403],
    ['0.0.0.0', 403],
  ])('named %s is answered with %i', async (host, status) => {
    expect(await askRaw({ headers: { host } })).toBe(status);
  });

  it('that is allowed by name is answered', async () => {
    const named = await startServer({ ...modelless, hosts: ['persona.example'] }, anyPort);
    try {
      const headers = { host: 'persona.example:80' };
      const status = await new Promise((resolve) =>
        httpRequest({ port: named.port, host: '127.0.0.1', path: '/v1/models', headers }, (response) =>
          resolve(response.resume().statusCode),
        ).end(),
      );
      expect(status).toBe(200);
    } finally {
      await named.close();
    }
  });

  it('that is missing or another in the request line does not get past it', async () => {
    expect(
      await firstLine('GET http://evil.example/v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n'),
    ).toMatch(/^HTTP\/1.1 403/);
    expect(await firstLine('GET /v1/models HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1.1 400/);
  });
});

/** The first line of the answer to bytes as they are. */
function firstLine(request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1', () => socket.write(request));
    socket.once('data', (data) => {
      resolve(String(data).split('\r\n')[0]!);
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

describe('a page of another site', () => {
  const origin = { origin: 'https://evil.example' };

  it('is refused, whether its browser asks before or not', async () => {
    const post = { method: 'POST', body, headers: { ...json, ...origin } };
    expect((await ask('/v1/completions', post)).status).toBe(403);
    expect((await ask('/v1/completions', { method: 'OPTIONS', headers: origin })).status).toBe(403);
    expect((await ask('/v1/models', { headers: { origin: 'null' } })).status).toBe(403);
    expect((await ask('/v1/models', { headers: { origin: 'http://localhost:1' } })).status).toBe(403);
  });

  it.each(['cross-site', 'same-site'])('is refused by what its browser says of it: %s', async (site) => {
    const answer = await ask('/v1/models', { headers: { 'sec-fetch-site': site } });
    expect(answer.status).toBe(403);
    expect(answer.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('cannot post a form', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
    ]) {
      const simple = { method: 'POST', body, headers: { 'content-type': type } };
      expect((await ask('/v1/completions', simple)).status).toBe(415);
    }
    const packed = { method: 'POST', body, headers: { ...json, 'content-encoding': 'gzip' } };
    expect((await ask('/v1/completions', packed)).status).toBe(415);
  });

  it('learns nothing from answers that it embeds', async () => {
    const { headers } = await ask('/v1/models');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
  });
});

describe('the token', () => {
  const bytes = { 'content-type': 'application/octet-stream' };

  it.each([
    '/persona/vectors/mood',
    '/persona/%76ectors/mood',
    '/persona/./vectors/mood',
    '/persona/vectors/../vectors/mood',
    '/PERSONA/vectors/mood',
    '/anything',
  ])('is needed by what is no reading, however its path is spelled: %s', async (path) => {
    expect(await askRaw({ path, method: 'DELETE', headers: {} })).toBe(401);
    expect(await askRaw({ path, method: 'DELETE', headers: { 'x-persona-token': 'wrong' } })).toBe(401);
    expect(await askRaw({ path, method: 'PUT', headers: bytes })).toBe(401);
    expect(await askRaw({ path, method: 'POST', headers: json })).toBe(401);
    expect((await ask('/persona/vectors/mood')).status).toBe(200);
  });

  it('cannot be one that is guessed', async () => {
    for (const short of ['', 'secret'])
      await expect(startServer({ ...modelless, token: short }, anyPort)).rejects.toThrow(
        /Expected a token of at least 16 characters/,
      );
  });
});

const anyPort = { host: '127.0.0.1', port: 0, log: (): void => undefined };

describe('API keys', () => {
  let folder = '';
  let guarded: RunningServer;
  let key = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'server-keys-'));
    const file = join(folder, 'keys.json');
    key = await addKey(file, 'ann');
    await addKey(file, 'bob');
    guarded = await startServer({ ...modelless, keys: await ApiKeys.read(file) }, anyPort);
  });
  afterAll(async () => {
    await guarded.close();
    await rm(folder, { recursive: true });
  });
  const status = async (headers: Record<string, string>, path = '/v1/models'): Promise<number> =>
    (await fetch(`http://127.0.0.1:${guarded.port}${path}`, { headers })).status;

  it('are needed for all but the health of the server', async () => {
    expect(await status({ authorization: `Bearer ${key}` })).toBe(200);
    for (const wrong of [
      '',
      'Bearer',
      'Bearer wrong',
      `Basic ${key}`,
      `Bearer ${key}x`,
      `Bearer ${key.slice(1)}`,
    ])
      expect(await status({ authorization: wrong })).toBe(401);
    for (const path of ['/v1/models', '/metrics', '/openapi.json', '/persona/vectors', '/nothing'])
      expect(await status({}, path)).toBe(401);
    expect(await status({}, '/healthz')).toBe(200);
  });

  it('stand in no file, only their hashes', async () => {
    const text = await readFile(join(folder, 'keys.json'), 'utf8');
    expect(text).not.toContain(key.slice(3));
    expect(JSON.parse(text)).toMatchObject({ keys: [{ name: 'ann' }, { name: 'bob' }] });
  });

  it.each(['0.0.0.0', '::', '192.0.2.1', '127.evil.example', 'evil.example'])(
    'are needed to listen on %s',
    async (host) => {
      await expect(startServer(modelless, { ...anyPort, host })).rejects.toThrow(/Expected API keys for/);
    },
  );

  it('are not needed beside a token to change nothing, and do not replace it', async () => {
    const headers = { authorization: `Bearer ${key}` };
    const url = `http://127.0.0.1:${guarded.port}/persona/vectors/mood`;
    expect((await fetch(url, { method: 'DELETE', headers })).status).toBe(401);
    const both = { ...headers, 'x-persona-token': token };
    expect((await fetch(url, { method: 'DELETE', headers: both })).status).toBe(404);
  });
});
