/** Conversations that a server keeps: what it writes, what it shows, and what it does not. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PersonaClient } from '../../src/server/client.ts';
import { monitorAt } from '../helpers/monitor-settings.ts';
import { metric, openTestServer, randomPersona, type TestServer } from '../helpers/test-server.ts';

let folder: string;
let server: TestServer;
let client: PersonaClient;
const troubles: string[] = [];
const onTrouble = (message: string): void => void troubles.push(message);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-monitor-'));
  server = await openTestServer({
    monitor: monitorAt(join(folder, 'store', 'monitor.sqlite'), { onTrouble }),
  });
  await randomPersona(server.chat, 'calm').save(join(server.vectors, 'calm.safetensors'));
  client = new PersonaClient({ url: server.url });
});
afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true });
});

type Message = { role: 'user' | 'assistant'; content: string };
const user = (content: string): Message => ({ role: 'user', content });
const chat = (messages: Message[], persona: object = {}) => ({
  model: 'stories260K',
  messages,
  max_tokens: 6,
  persona: { watch: { vectors: ['mood'], layer: 3 }, ...persona },
});
const story = { model: 'stories260K', prompt: 'One day', max_tokens: 6, persona: { watch: ['mood'] } };

describe('a turn', () => {
  it('is in the store when its reply is there, with the numbers of the reply', async () => {
    const { choices } = await client.complete(story);
    const { projections, turn } = choices[0]!.persona!;
    const { turns, ...facts } = await client.conversation(turn!.conversation);
    expect(facts).toEqual({ id: turn!.conversation, model: 'stories260K', key: null, next_cursor: null });
    const { layer, before, mean } = projections['mood']!;
    const kept = { layer, before, mean, z: null, percentile: null };
    expect(turns).toMatchObject([{ index: 1, role_text: null, projections: { mood: kept }, alerts: [] }]);
    expect(turns[0]).not.toHaveProperty('texts');
  });

  it('of a stream is there when the stream ends', async () => {
    let place: { conversation: string; index: number } | undefined;
    for await (const { choices } of client.streamCompletion(story)) place ??= choices[0]?.persona?.turn;
    expect((await client.conversation(place!.conversation)).turns).toHaveLength(1);
  });

  it('of a stream that its client leaves is kept as far as it came', async () => {
    const persona = { ...story.persona, conversation: 'left' };
    let tokens = 0;
    for await (const _ of client.streamCompletion({ ...story, max_tokens: 400, persona }))
      if (++tokens === 3) break;
    await expect
      .poll(() => client.conversation('left').catch(() => null))
      .toMatchObject({
        turns: [{ index: 1, projections: { mood: { layer: 3, mean: expect.any(Number) as number } } }],
      });
  });

  it('is kept for each of several replies, and for none that nobody watches', async () => {
    const { choices } = await client.complete({
      ...story,
      n: 2,
      persona: { ...story.persona, conversation: 'two' },
    });
    expect(choices.map(({ persona }) => persona!.turn).sort((a, b) => a!.index - b!.index)).toEqual([
      { conversation: 'two', index: 1 },
      { conversation: 'two', index: 2 },
    ]);
    const before = await client.conversations();
    const quiet = await client.complete({ ...story, persona: { conversation: 'quiet' } });
    expect(quiet.choices[0]).not.toHaveProperty('persona');
    expect(await client.conversations()).toEqual(before);
  });
});

describe('a chat', () => {
  it('goes on where its messages begin with an earlier one', async () => {
    const tiny = (messages: Message[]) => ({ ...chat(messages), model: 'persona-tiny', persona: { watch } });
    const watch = { vectors: ['calm'], layer: 2 };
    const one = await client.chat(tiny([user('How do I grow beans?')]));
    const reply = one.choices[0]!.message.content;
    const said: Message[] = [user('How do I grow beans?'), { role: 'assistant', content: ` ${reply}\n` }];
    const two = await client.chat(tiny([...said, user('And peas?')]));
    expect(two.choices[0]!.persona!.turn).toEqual({ ...one.choices[0]!.persona!.turn, index: 2 });
    const other = await client.chat(tiny([user('How do I grow beans!'), said[1]!, user('And peas?')]));
    expect(other.choices[0]!.persona!.turn!.index).toBe(1);
  });
});

describe('the store', () => {
  it('has no words of prompts and replies', async () => {
    const prompt = 'A most peculiar hippopotamus';
    await client.complete({ ...story, prompt });
    const names = (await readdir(join(folder, 'store'))).filter((name) => !name.endsWith('-lock'));
    expect(names).toContain('monitor.sqlite-wal');
    for (const name of names)
      expect(await readFile(join(folder, 'store', name), 'latin1')).not.toContain('hippopotamus');
  });

  it('is used by one server at a time', async () => {
    await expect(
      openTestServer({ monitor: monitorAt(join(folder, 'store', 'monitor.sqlite')) }),
    ).rejects.toThrow('in use by process');
  });

  it('is counted, and had no trouble', async () => {
    expect(troubles).toEqual([]);
    expect(await metric(server, 'persona_turns_total{outcome="written"}')).toBeGreaterThan(0);
    expect(await metric(server, 'persona_turns_total{outcome="failed"}')).toBe(0);
  });
});

describe('requests', () => {
  it.each([
    ['conversations?limit=0', 'in "limit"'],
    ['conversations?limit=9999', 'in "limit"'],
    ['conversations?cursor=x', 'next_cursor'],
    ['conversations?since=yesterday', 'in "since"'],
    ['conversations?colour=red', 'colour'],
    ['alerts?alerted=true', 'alerted'],
  ])('for %s are refused', async (path, sentence) => {
    const response = await fetch(`${server.url}/persona/${path}`);
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { message: string } };
    expect(error.message).toContain(sentence);
  });

  it('for what is not there get 404', async () => {
    await expect(client.conversation('none')).rejects.toMatchObject({ code: 'unknown_conversation' });
  });

  it.each(['a\u0000b', 'a\nb', '', 'x'.repeat(201)])('with the id %j are refused', async (conversation) => {
    const persona = { ...story.persona, conversation };
    await expect(client.complete({ ...story, persona })).rejects.toMatchObject({ status: 400 });
  });

  it('with ids of any script get them back', async () => {
    const conversation = '__proto__/<b>עברית\u202E%2F\\';
    const persona = { ...story.persona, conversation };
    const { choices } = await client.complete({ ...story, persona });
    expect(choices[0]!.persona!.turn).toEqual({ conversation, index: 1 });
    expect((await client.conversation(conversation)).id).toBe(conversation);
  });
});

describe('listeners', () => {
  it('hear of turns, and go on after the last one that they heard of', async () => {
    const said = { ...story, persona: { ...story.persona, conversation: 'heard' } };
    const events = client.events();
    const heard = events.next();
    // The stream is open once the server has counted it.
    await expect.poll(() => metric(server, 'persona_listeners')).toBe(1);
    await client.complete(said);
    const first = (await heard).value!;
    expect(first).toMatchObject({ event: 'turn', data: { conversation: 'heard', index: 1, alerts: [] } });
    await events.return(undefined);
    for (let i = 0; i < 3; i++) await client.complete(said);
    const missed: number[] = [];
    for await (const { event, data } of client.events(first.id)) {
      if (event === 'turn' && missed.push(data.index) === 3) break;
    }
    expect(missed).toEqual([2, 3, 4]);
    await expect.poll(() => metric(server, 'persona_listeners')).toBe(0);
    await expect(client.events('x').next()).rejects.toMatchObject({ status: 400 });
  });
});
