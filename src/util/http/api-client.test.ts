import { describe, expect, it, vi } from 'vitest';
import { startLoopbackProvider } from '../../../test/helpers/loopback-provider.ts';
import { RequestGate } from './request-gate.ts';
import { ApiClient } from './api-client.ts';

const patience = { attempts: 3, firstPauseMs: 1, longestPauseMs: 2, stallMs: 5000 };

function clientOf(base: string, gate: RequestGate = new RequestGate({ concurrency: 1 })): ApiClient {
  const key = { variable: 'SOME_KEY', value: null };
  return new ApiClient({ id: 'some:model', base, headers: {}, key, patience, gate });
}

const body = { messages: [{ role: 'user', content: 'Hi' }] };

describe('ApiClient', () => {
  it('has all requests to the server wait when one of them is told to', async () => {
    const { base } = await startLoopbackProvider({
      say: () => ({ text: 'Hello' }),
      trouble: ({ number }) =>
        number === 1 ? { status: 429, headers: { 'retry-after-ms': '7' } } : undefined,
    });
    const gate = new RequestGate({ concurrency: 1 });
    const hold = vi.spyOn(gate, 'hold');
    await clientOf(base, gate).post('chat/completions', body, undefined);
    expect(hold.mock.calls).toEqual([[7]]);
  });

  it('gives a server up at once that is not there at all', async () => {
    const { base, close } = await startLoopbackProvider({ say: () => ({}) });
    await close();
    await expect(clientOf(base).post('chat/completions', body, undefined)).rejects.toThrow(
      /^Could not begin asking some:model: 127\.0\.0\.1:\d+ refused the connection; check its address/,
    );
  });

  it('stops when its caller does', async () => {
    const controller = new AbortController();
    const { base } = await startLoopbackProvider({
      say: () => ({}),
      trouble: () => {
        controller.abort();
        return 'stall';
      },
    });
    await expect(clientOf(base).post('chat/completions', body, controller.signal)).rejects.toThrow(
      /^Stopped/,
    );
  });

  it('says which variable a server without a key may want', async () => {
    const { base } = await startLoopbackProvider({ say: () => ({}), trouble: () => ({ status: 401 }) });
    await expect(clientOf(base).post('chat/completions', body, undefined)).rejects.toThrow(
      /some:model wants a key; set SOME_KEY/,
    );
  });
});
