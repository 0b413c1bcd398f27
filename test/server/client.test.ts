/** The package's own client, and what it asks for. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatRequest, completionRequest } from '../../src/server/api.ts';
import { type ChatChunk, PersonaClient } from '../../src/server/client.ts';
import { metric, openTestServer, type TestServer } from '../helpers/test-server.ts';

let server: TestServer;
let client: PersonaClient;
beforeAll(async () => {
  server = await openTestServer();
  client = new PersonaClient({ url: server.url });
});
afterAll(() => server.close());

const story = { model: 'stories260K', prompt: 'One day', max_tokens: 12, temperature: 0 };
const chat = {
  model: 'persona-tiny',
  messages: [{ role: 'user', content: 'How do I bake bread?' }],
  max_tokens: 12,
  temperature: 0,
} satisfies Parameters<PersonaClient['chat']>[0];

describe('the client', () => {
  it('streams what comes whole', async () => {
    const whole = await client.chat(chat);
    const chunks: ChatChunk[] = [];
    for await (const chunk of client.streamChat({ ...chat, stream_options: { include_usage: true } }))
      chunks.push(chunk);
    const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
    expect(text).toBe(whole.choices[0]!.message.content);
    expect(chunks.at(-1)!.usage).toEqual(whole.usage);
    let story260 = '';
    for await (const { choices } of client.streamCompletion(story)) story260 += choices[0]!.text;
    expect(story260).toBe((await client.complete(story)).choices[0]!.text);
  });

  it('ends a reply by taking no more of it', async () => {
    for await (const _ of client.streamCompletion({ ...story, max_tokens: 400 })) break;
    await expect.poll(() => metric(server, 'persona_replies'), { timeout: 10_000 }).toBe(0);
  });

  it('throws what the server says', async () => {
    await expect(client.complete({ ...story, model: 'x' })).rejects.toMatchObject({
      name: 'ServerRefusal',
      status: 404,
      code: 'model_not_found',
    });
    await expect(client.streamChat({ ...chat, model: 'x' }).next()).rejects.toMatchObject({ status: 404 });
    const proxy = new PersonaClient({
      fetch: () => Promise.resolve(new Response('<html>', { status: 502 })),
    });
    await expect(proxy.models()).rejects.toMatchObject({ status: 502, code: null });
    const cut = new PersonaClient({ fetch: () => Promise.resolve(new Response('data: {"choices":[]}\n\n')) });
    const stream = cut.streamChat(chat);
    expect(await stream.next()).toMatchObject({ done: false });
    await expect(stream.next()).rejects.toThrow('the stream ended before the reply');
  });

  it('knows what there is', async () => {
    expect((await client.models()).data.map(({ id }) => id)).toEqual(['stories260K', 'persona-tiny']);
    const can = await client.capabilities();
    expect(can.vectors).toEqual(['mood']);
    expect(can.models[0]).toMatchObject({ id: 'stories260K', layers: 5, width: 64, chat: false });
    expect(can.steering.forms).toContain('ablate');
  });
});

describe('activations', () => {
  const request = { model: 'stories260K', input: [{ prompt: 'One day', answer: ' Tim ran.' }], layers: [3] };

  it('are those of the engine, as numbers and as bytes', async () => {
    const { data, shape, usage } = await client.activations(request);
    const packed = await client.activations({ ...request, encoding_format: 'base64' });
    expect(shape).toEqual([1, 64]);
    const numbers = data[0]!.pooled['response_mean'] as number[];
    expect(numbers).toHaveLength(64);
    const bytes = Buffer.from(packed.data[0]!.pooled['response_mean'] as string, 'base64');
    expect([...new Float32Array(bytes.buffer, bytes.byteOffset, 64)]).toEqual(numbers);
    const { tokenizer } = server.model.checkpoint;
    const prompt = tokenizer!.encodePrompt('One day');
    const row = {
      ids: [...prompt, ...tokenizer!.encode(' Tim ran.', { special: false })],
      responseStart: prompt.length,
    };
    expect(usage.prompt_tokens).toBe(row.ids.length);
    for await (const { pooled } of server.model.forward([row], { pool: ['response_mean'] }))
      expect([...pooled.response_mean!.subarray(3 * 64, 4 * 64)]).toEqual(numbers);
  });

  it('of conversations and of ids are given in the order of the rows', async () => {
    const input = [
      {
        messages: [
          { role: 'user' as const, content: 'Hi' },
          { role: 'assistant' as const, content: 'Yes.' },
        ],
      },
      { ids: [1, 5, 9, 12], response_start: 2 },
    ];
    const answer = await client.activations({
      model: 'persona-tiny',
      input,
      pool: ['response_mean', 'prompt_last'],
    });
    expect(answer.data.map(({ index }) => index)).toEqual([0, 1]);
    expect(Object.keys(answer.data[1]!.pooled)).toEqual(['response_mean', 'prompt_last']);
    expect(answer.layers).toHaveLength(answer.shape[0]!);
  });

  it('are refused where a layer is none, or too many numbers are asked for', async () => {
    await expect(client.activations({ ...request, layers: [9] })).rejects.toThrow(
      'expected layers from 0 to 5',
    );
    const input = Array.from({ length: 256 }, () => request.input[0]!);
    const many = {
      model: 'stories260K',
      input,
      pool: ['response_mean' as const, 'prompt_mean' as const, 'prompt_last' as const],
    };
    await expect(client.activations(many)).rejects.toThrow('expected at most 250000 numbers');
  });
});

interface OpenApi {
  readonly paths: Record<string, object>;
  readonly components: { readonly schemas: Record<string, { readonly properties?: object }> };
}

describe('the OpenAPI document', () => {
  const read = async (): Promise<OpenApi> =>
    (await (await fetch(`${server.url}/openapi.json`)).json()) as OpenApi;

  it('has every route', async () => {
    const { paths } = await read();
    const methods = Object.entries(paths).flatMap(([path, some]) =>
      Object.keys(some).map((method) => `${method} ${path}`),
    );
    expect(methods).toEqual([
      'get /v1/models',
      'post /v1/chat/completions',
      'post /v1/completions',
      'post /v1/activations',
      'get /persona/capabilities',
      'get /persona/vectors',
      'get /persona/vectors/{name}',
      'put /persona/vectors/{name}',
      'delete /persona/vectors/{name}',
      'get /persona/vectors/{name}/layers',
      'get /persona/vectors/{name}/validation',
      'get /persona/vectors/{name}/file',
      'get /persona/cosines',
      'get /persona/conversations',
      'get /persona/conversations/{id}',
      'get /persona/alerts',
      'get /persona/policies',
      'put /persona/policies/{name}',
      'delete /persona/policies/{name}',
      'get /persona/monitor/summary',
      'get /persona/events',
      'get /persona/screens',
      'get /persona/screens/{id}',
      'get /persona/screens/{id}/histogram',
      'get /persona/screens/{id}/rows',
      'get /persona/screens/{id}/rows/{row}',
      'get /persona/screens/{id}/export',
      'get /persona/runs',
      'post /persona/runs',
      'get /persona/runs/options',
      'get /persona/runs/events',
      'get /persona/runs/{id}',
      'delete /persona/runs/{id}',
      'post /persona/runs/{id}/stop',
      'post /persona/runs/{id}/resume',
      'get /persona/runs/{id}/log',
      'get /persona/runs/{id}/events',
      'get /persona/runs/{id}/files/{path}',
    ]);
  });

  it('is made of the schemas that requests are checked by, and refers to nothing that is not in it', async () => {
    const document = await read();
    const { schemas } = document.components;
    expect(Object.keys(schemas['ChatCompletionRequest']!.properties!)).toEqual(
      Object.keys(chatRequest.shape),
    );
    expect(Object.keys(schemas['CompletionRequest']!.properties!)).toEqual(
      Object.keys(completionRequest.shape),
    );
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)];
    expect(references.length).toBeGreaterThan(5);
    for (const [, name] of references) expect(Object.keys(schemas)).toContain(name);
  });
});
