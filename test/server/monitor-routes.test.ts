/** The routes of the monitoring store where there is none. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServer } from '../../src/server/start.ts';
import { modelless, token } from '../helpers/test-server.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer(modelless, { host: '127.0.0.1', port: 0, log: () => undefined });
});
afterAll(() => server.close());

const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`http://127.0.0.1:${server.port}${path}`, init);

describe('a server without a store', () => {
  it.each(['conversations', 'conversations/a', 'alerts', 'policies', 'monitor/summary', 'events'])(
    'says so at %s',
    async (path) => {
      const response = await ask(`/persona/${path}`);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({
        error: { code: 'no_store', message: expect.stringContaining('--store') },
      });
    },
  );

  it('takes policies as JSON, with the token alone', async () => {
    const put = { method: 'PUT', body: '{}', headers: { 'content-type': 'application/json' } };
    expect((await ask('/persona/policies/a', put)).status).toBe(401);
    const allowed = { ...put, headers: { ...put.headers, 'x-persona-token': token } };
    expect((await ask('/persona/policies/a', allowed)).status).toBe(404);
    const bytes = { ...allowed.headers, 'content-type': 'application/octet-stream' };
    expect((await ask('/persona/policies/a', { ...allowed, headers: bytes })).status).toBe(415);
  });
});

describe('the description', () => {
  it('has the routes of the monitoring store', async () => {
    const { paths } = (await (await ask('/openapi.json')).json()) as { paths: Record<string, object> };
    expect(Object.keys(paths['/persona/policies/{name}']!)).toEqual(['put', 'delete']);
    expect(paths).toHaveProperty(['/persona/events', 'get']);
  });
});
