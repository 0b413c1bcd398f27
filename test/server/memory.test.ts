/** What requests leave behind in memory: nothing, whether they end or are broken off. */
import v8 from 'node:v8';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GenerateCall } from '../../src/engine/generate-call.ts';
import { RunningRow } from '../../src/engine/running-row.ts';
import { Deadline } from '../../src/server/deadline.ts';
import { metric, openTestServer, type TestServer } from '../helpers/test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await openTestServer();
});
afterAll(() => server.close());

const kinds = { GenerateCall, RunningRow, Deadline };

/** How many objects of each kind live, after a collection. */
function living(): Record<string, number> {
  return Object.fromEntries(
    Object.entries(kinds).map(([name, kind]) => [name, v8.queryObjects(kind as never, { format: 'count' })]),
  );
}

/** So many streams at once, every third of them broken off at its first bytes, every other one steered. */
async function round(count: number): Promise<void> {
  const vector = Array.from({ length: 64 }, (_, i) => Math.sin(i));
  const steer = [{ vector, layer: 2, coef: 0.5 }];
  await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const controller = new AbortController();
      const answer = await fetch(`${server.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        signal: controller.signal,
        body: JSON.stringify({
          model: 'stories260K',
          prompt: 'One day',
          max_tokens: 40,
          stream: true,
          ...(i % 2 === 0 && { persona: { steer, watch: { vectors: ['mood'], layer: 2, tokens: true } } }),
        }),
      });
      expect(answer.status).toBe(200);
      if (i % 3 !== 0) return answer.text();
      const reader = answer.body!.getReader();
      await reader.read();
      return controller.abort();
    }),
  );
}

it('is seen where it is there', () => {
  const kept = [new Deadline(new AbortController().signal, 600)];
  expect(living()['Deadline']).toBe(1);
  kept.pop()!.clear();
});

it('is nothing once they are over', { timeout: 120_000 }, async () => {
  await round(24);
  await expect.poll(() => metric(server, 'persona_replies'), { timeout: 20_000 }).toBe(0);
  // To count objects takes seconds, so that another round would find its connections timed out.
  const none = Object.fromEntries(Object.keys(kinds).map((name) => [name, 0]));
  await expect.poll(living, { timeout: 60_000, interval: 1000 }).toEqual(none);
});
