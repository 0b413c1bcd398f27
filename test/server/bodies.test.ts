/** Whatever comes as a body is answered or refused, and is never a fault. `PERSONA_BODIES` says how many are tried. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatRequest, completionRequest } from '../../src/server/api.ts';
import { openTestServer, type TestServer } from '../helpers/test-server.ts';

const numRuns = Number(process.env['PERSONA_BODIES'] ?? 300);
/** A body that is not answered by then hangs. */
const patience = 20_000;

let server: TestServer;
beforeAll(async () => {
  server = await openTestServer();
});
afterAll(() => server.close());

async function ask(path: string, body: string): Promise<number> {
  const answer = await fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    signal: AbortSignal.timeout(patience),
  });
  const text = await answer.text();
  const refused = answer.status !== 200;
  expect(refused ? JSON.parse(text) : { error: { message: '' } }).toMatchObject({
    error: { message: expect.any(String) },
  });
  return answer.status;
}

const odd = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(null, -1, 0, 1, 0.5, 2 ** 53, 1e308, -1e308, '', 'mood', [], {}, true, [[]], ['a', 1]),
);
const names = (schema: { shape: object }): fc.Arbitrary<string> =>
  fc.constantFrom(...Object.keys(schema.shape), '__proto__', 'constructor', 'tools');
const messages = fc.array(
  fc.record(
    {
      role: fc.oneof(fc.constantFrom('user', 'assistant', 'system', 'tool'), odd),
      content: fc.oneof(fc.string({ unit: 'binary' }), odd),
    },
    { requiredKeys: [] },
  ),
  { maxLength: 4 },
);
const entry = fc.dictionary(
  fc.constantFrom(
    'vector',
    'coef',
    'norm',
    'layer',
    'ablate',
    'cap',
    'min',
    'max',
    'when',
    'positions',
    'pooling',
  ),
  fc.oneof(odd, fc.constantFrom<unknown>('mood', { above: 0 }, { above: 1, below: 0 }, 'all', 3, [1, 5])),
);
const sane = fc.record({
  vector: fc.oneof(fc.constant('mood'), fc.array(fc.double(), { minLength: 64, maxLength: 64 })),
  coef: fc.double(),
  layer: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant('all')),
  positions: fc.constantFrom('all', 'prompt', 'response', 'boundary'),
});
const persona = fc.record(
  {
    steer: fc.oneof(fc.array(fc.oneof(entry, sane), { maxLength: 6 }), odd),
    watch: fc.oneof(odd, fc.constantFrom<unknown>(['mood'], { vectors: ['mood'], tokens: true, layer: 2 })),
  },
  { requiredKeys: [] },
);
const changed = (base: object, schema: { shape: object }): fc.Arbitrary<object> =>
  fc
    .tuple(fc.dictionary(names(schema), odd, { maxKeys: 4 }), fc.option(persona, { nil: undefined }))
    .map(([some, field]) => ({ ...base, ...some, ...(field !== undefined && { persona: field }) }));

const story = { model: 'stories260K', prompt: 'One', max_tokens: 1 };
const chat = { model: 'persona-tiny', max_tokens: 1 };
const requests = fc.oneof(
  fc.record({
    path: fc.constant('/v1/completions'),
    body: changed(story, completionRequest).map((one) => JSON.stringify(one)),
  }),
  fc.record({
    path: fc.constant('/v1/chat/completions'),
    body: fc
      .tuple(messages, changed(chat, chatRequest))
      .map(([some, one]) => JSON.stringify({ messages: some, ...one })),
  }),
  fc.record({
    path: fc.constant('/v1/activations'),
    body: fc
      .dictionary(fc.constantFrom('input', 'pool', 'layers', 'encoding_format'), odd)
      .map((one) => JSON.stringify({ model: 'stories260K', input: [{ prompt: 'a', answer: 'b' }], ...one })),
  }),
  fc.record({
    path: fc.constantFrom('/v1/completions', '/v1/chat/completions', '/v1/activations'),
    body: fc.oneof(
      fc.string({ unit: 'binary' }),
      odd.map((one) => JSON.stringify(one)),
    ),
  }),
);

describe('bodies', () => {
  it('of any kind are answered or refused', { timeout: 3_600_000 }, async () => {
    const counts = new Map<number, number>();
    const property = fc.asyncProperty(requests, async ({ path, body }) => {
      const status = await ask(path, body);
      counts.set(status, (counts.get(status) ?? 0) + 1);
      expect([200, 400, 404, 503]).toContain(status);
    });
    await fc.assert(property, { numRuns });
    // Both ways are gone.
    expect(counts.get(200)).toBeGreaterThan(0);
    expect(counts.get(400)).toBeGreaterThan(0);
    expect(server.log.filter(({ event }) => event === 'error')).toEqual([]);
    expect(await ask('/v1/completions', JSON.stringify(story))).toBe(200);
  });

  it.each([
    ['lists in lists', `{"model":"stories260K","prompt":${'['.repeat(50_000)}${']'.repeat(50_000)}}`],
    ['objects in objects', `{"persona":${'{"steer":'.repeat(50_000)}1${'}'.repeat(50_000)}}`],
    [
      'an entry of a steering in which much lies',
      `{"model":"stories260K","prompt":"One","persona":{"steer":[{"vector":"mood","coef":1,${'"when":{'.repeat(5000)}${'}'.repeat(5000)}}]}}`,
    ],
    [
      'many names',
      JSON.stringify(Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, i]))),
    ],
    ['half a JSON', '{"model":'],
    ['nothing', ''],
    ['a null byte', '\u0000'],
    ['a number of many digits', `{"model":"stories260K","prompt":"One","n":${'9'.repeat(10_000)}}`],
    ['keys twice', '{"model":"stories260K","prompt":"One","prompt":1}'],
  ])('that are hostile are refused: %s', async (_, body) => {
    expect(await ask('/v1/completions', body)).toBe(400);
  });

  describe('that steer', () => {
    const steered = async (coef: number): Promise<Response> => {
      const steer = [{ vector: Array.from({ length: 64 }, () => 1), layer: 2, coef }];
      return fetch(`${server.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ...story, max_tokens: 5, persona: { steer } }),
      });
    };

    it.each([3e38, -1e19, 2e16])('beyond what numbers hold are refused with the reason: %d', async (coef) => {
      const answer = await steered(coef);
      expect(answer.status).toBe(400);
      const message = expect.stringContaining('at most 1e+17') as string;
      expect(await answer.json()).toMatchObject({ error: { message } });
    });

    it('as strongly as they may are answered with words', async () => {
      const answer = await steered(1e16);
      expect(answer.status).toBe(200);
      expect(await answer.json()).toMatchObject({
        choices: [{ text: expect.stringMatching(/./) as string }],
      });
    });
  });

  it('with half a character are taken', async () => {
    expect(
      await ask('/v1/completions', JSON.stringify({ ...story, prompt: 'One \ud83d', stop: '\udc00' })),
    ).toBe(200);
  });
});
