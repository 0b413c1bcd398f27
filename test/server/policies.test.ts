/** Policies: what they watch, when they raise an alert, and what they do to the turns after it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PersonaVector } from '../../src/persona/vector.ts';
import { PersonaClient, type PolicyRequest } from '../../src/server/client.ts';
import { addKey, ApiKeys } from '../../src/server/keys.ts';
import { AllowedHosts } from '../../src/util/http/allowed-hosts.ts';
import { baselineAround, monitorAt } from '../helpers/monitor-settings.ts';
import { openTestServer, type TestServer, token } from '../helpers/test-server.ts';

let folder: string;
let server: TestServer;
let client: PersonaClient;
let mood: PersonaVector;
/** Every reply's z is about 1: what is ordinary lies at −1000, a thousand below. */
const usual = { mean: -1000, sd: 1000 };

const settings = () =>
  monitorAt(join(folder, 'monitor.sqlite'), { baselines: [baselineAround(mood, 3, usual)] });

async function open(): Promise<void> {
  server = await openTestServer({ monitor: settings() }, folder);
  client = new PersonaClient({ url: server.url, token });
}
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-policies-'));
  const first = await openTestServer({}, folder);
  mood = await PersonaVector.load(join(folder, 'mood.safetensors'));
  await first.close();
  await open();
});
afterAll(async () => {
  await server?.close();
  await rm(folder, { recursive: true });
});

const base: Omit<PolicyRequest, 'rules' | 'action'> = {
  match: { model: 'stories260K' },
  watch: { vectors: ['mood'], layer: 3 },
};
const threshold = { type: 'threshold', z: 0.5 } as const;
/** Sums of about 0.5, 1 and 1.5 after one, two and three turns. */
const cusum = { type: 'cusum', k: 0.5, h: 1.2 } as const;
const turn = (conversation: string, more: object = {}) => ({
  model: 'stories260K',
  prompt: 'One day',
  max_tokens: 8,
  temperature: 0,
  ...more,
  persona: { conversation },
});
const alertsOf = async (conversation: string) =>
  (await client.alerts()).data.filter((one) => one.conversation === conversation);

describe('a policy', () => {
  it('raises an alert where a limit is crossed, and none while it stays crossed', async () => {
    await client.putPolicy('log', { ...base, rules: [threshold], action: 'log' });
    const { choices } = await client.complete(turn('a'));
    expect(choices[0]!.persona).toEqual({ projections: {}, turn: { conversation: 'a', index: 1 } });
    await client.complete(turn('a'));
    const [alert, ...others] = await alertsOf('a');
    expect(others).toEqual([]);
    expect(alert).toMatchObject({ turn: 1, policy: 'log', vector: 'mood', rule: 'threshold', limit: 0.5 });
    const { turns } = await client.conversation('a');
    expect(turns.map(({ alerts }) => alerts)).toEqual([[alert!.id], []]);
    expect(alert!.value).toBe(turns[0]!.projections['mood']!.z);
    expect(await client.conversations({ alerted: 'true' })).toMatchObject({
      data: [
        { id: 'a', alerts: 1, peak_z: { mood: Math.max(...turns.map((t) => t.projections['mood']!.z!)) } },
      ],
    });
    await client.deletePolicy('log');
    const quiet = await client.complete({ ...turn('a'), persona: {} });
    expect(quiet.choices[0]!.persona).toBeUndefined();
  });

  it('adds up from turn to turn, also across a restart', async () => {
    await client.putPolicy('drift', { ...base, rules: [cusum], action: 'log' });
    await client.complete(turn('b'));
    await client.complete(turn('b'));
    expect(await alertsOf('b')).toEqual([]);
    await server.close();
    await open();
    expect(await client.policies()).toMatchObject([{ name: 'drift', rules: [cusum] }]);
    await client.complete(turn('b'));
    const [alert] = await alertsOf('b');
    const zs = (await client.conversation('b')).turns.map(({ projections }) => projections['mood']!.z!);
    expect(alert).toMatchObject({ turn: 3, rule: 'cusum', limit: 1.2 });
    expect(alert!.value).toBeCloseTo(zs[0]! + zs[1]! + zs[2]! - 1.5, 10);
    await client.deletePolicy('drift');
  });

  it('that refuses lets no turn follow, and others alone', async () => {
    await client.putPolicy('stop', { ...base, rules: [threshold], action: 'refuse' });
    await client.complete(turn('c'));
    const refused = server.openai.completions.create(turn('c') as OpenAI.CompletionCreateParamsNonStreaming);
    await expect(refused).rejects.toThrow('policy "stop" of this server refuses further turns');
    await expect(refused).rejects.toMatchObject({
      status: 403,
      code: 'refused_by_policy',
      type: 'permission_error',
    });
    await expect(client.streamCompletion(turn('c')).next()).rejects.toMatchObject({ status: 403 });
    await client.complete(turn('d'));
    await client.deletePolicy('stop');
    expect((await client.complete(turn('c'))).choices).toHaveLength(1);
    expect((await client.conversation('c')).turns).toHaveLength(1);
  });

  it('that caps keeps the next replies below its limit, and says so', async () => {
    const watched = {
      ...turn('e'),
      persona: { conversation: 'e', watch: { vectors: ['mood'], layer: 3, tokens: true } },
    };
    // Ordinary tokens lie lower by far than any that this model writes.
    await client.putPolicy('cap', { ...base, rules: [threshold], action: 'cap', cap: { z: 0.9 } });
    const first = await client.complete(watched);
    const second = await client.complete(watched);
    const tokens = (of: typeof first): number[] => of.choices[0]!.persona!.projections['mood']!.tokens!;
    const limit = usual.mean + 0.9 * usual.sd;
    expect(Math.min(...tokens(first))).toBeGreaterThan(limit);
    for (const value of tokens(second)) expect(value).toBeCloseTo(limit, 3);
    expect(second.persona!.notes).toEqual(['policy cap keeps mood below what is usual']);
    expect(first.persona).toBeUndefined();
    await client.deletePolicy('cap');
  });
});

describe('a policy that cannot hold', () => {
  const { match, watch } = base;
  it.each<[string, object, RegExp]>([
    ['another model', { match: { model: 'x' } }, /one of the models served/],
    ['a key that is none', { match: { key: 'ann' } }, /--add-key/],
    ['another vector', { watch: { vectors: ['moot'] } }, /did you mean "mood"/],
    ['a layer without a baseline', { watch: { ...watch, layer: 2 } }, /`persona calibrate --vector mood`/],
    ['a vector of another model', { match: {}, watch: { vectors: ['mood'] } }, /of another model/],
    ['no address', { action: 'webhook' }, /"webhook": \{"url"/],
    ['a cap for nothing', { cap: { z: 1 } }, /make the action cap/],
    ['no rules', { rules: [] }, /in "rules"/],
    ['an unknown key', { rule: [] }, /rule/],
    ['another name', { name: 'other' }, /expected the name "p"/],
  ])('for %s is refused', async (_, change, sentence) => {
    const policy = { match, watch, rules: [threshold], action: 'log', ...change } as PolicyRequest;
    const error = await client.putPolicy('p', policy).catch((thrown: unknown) => thrown as Error);
    expect(error).toMatchObject({ status: 400 });
    expect((error as Error).message).toMatch(sentence);
    expect(await client.policies()).toEqual([]);
  });

  it('by its name is refused', async () => {
    const policy: PolicyRequest = { ...base, rules: [threshold], action: 'log' };
    for (const name of ['__proto__', 'a b', '<b>', 'x'.repeat(65)])
      await expect(client.putPolicy(name, policy)).rejects.toMatchObject({ status: 400 });
    await expect(client.deletePolicy('none')).rejects.toMatchObject({ status: 404, code: 'unknown_policy' });
  });
});

describe('where there are keys', () => {
  it('a policy holds for its key, ids are those of a key, and the token alone reads', async () => {
    const keyFile = join(folder, 'keys.json');
    const [ann, bob] = [await addKey(keyFile, 'ann'), await addKey(keyFile, 'bob')];
    const file = join(folder, 'keyed.sqlite');
    const baselines = [baselineAround(mood, 3, usual)];
    const item = {
      ...base,
      name: 'ann-only',
      match: { key: 'ann', model: 'stories260K' },
      rules: [threshold],
    };
    const policies = [{ ...item, action: 'refuse' as const }];
    const keyed = await openTestServer(
      { keys: await ApiKeys.read(keyFile), monitor: monitorAt(file, { baselines, policies }) },
      folder,
    );
    try {
      const as = (apiKey: string, more: object = {}) =>
        new PersonaClient({ url: keyed.url, apiKey, ...more });
      const reader = as(bob, { token });
      const asked = { ...turn('x'), persona: { conversation: 'x', watch: { vectors: ['mood'], layer: 3 } } };
      for (const key of [ann, bob]) await as(key).complete(asked);
      await expect(as(ann).complete(asked)).rejects.toMatchObject({ status: 403 });
      await as(bob).complete(asked);
      await expect(as(ann).conversations()).rejects.toMatchObject({ status: 401, code: 'invalid_token' });
      const escaped = await fetch(`${keyed.url}/persona/%63onversations`, {
        headers: { authorization: `Bearer ${ann}` },
      });
      expect(escaped.status).toBe(401);
      const { data } = await reader.conversations();
      expect(data.map(({ id, key, turns }) => [id, key, turns])).toEqual([
        ['bob/x', 'bob', 2],
        ['ann/x', 'ann', 1],
      ]);
      await expect(reader.putPolicy('ann-only', policies[0]!)).rejects.toMatchObject({ status: 409 });
      await expect(reader.deletePolicy('ann-only')).rejects.toMatchObject({ code: 'given_policy' });
    } finally {
      await keyed.close();
    }
  });
});

describe('a webhook', () => {
  it('tells its receiver of an alert, whatever the action', async () => {
    const received: string[] = [];
    const receiver = createServer((request, response) => {
      request.on('data', (part) => received.push(String(part)));
      request.on('end', () => response.end());
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const host = `127.0.0.1:${(receiver.address() as AddressInfo).port}`;
    const webhooks = { hosts: new AllowedHosts([host]), key: Buffer.alloc(32) };
    const baselines = [baselineAround(mood, 3, usual)];
    const hooked = await openTestServer(
      { monitor: monitorAt(join(folder, 'hooked.sqlite'), { baselines, webhooks }) },
      folder,
    );
    try {
      const own = new PersonaClient({ url: hooked.url, token });
      const policy: PolicyRequest = { ...base, rules: [threshold], action: 'log' };
      const elsewhere = { ...policy, webhook: { url: 'https://elsewhere.example.com/' } };
      await expect(own.putPolicy('tell', elsewhere)).rejects.toThrow('--allow-webhook elsewhere.example.com');
      await own.putPolicy('tell', { ...policy, webhook: { url: `http://${host}/` } });
      await own.complete(turn('w'));
      await expect.poll(async () => (await own.alerts()).data.map((one) => one.delivered)).toEqual([true]);
      expect(received.map((text) => JSON.parse(text) as object)).toMatchObject([
        { type: 'persona.alert', data: { conversation: 'w', turn: 1, policy: 'tell' } },
      ]);
    } finally {
      await hooked.close();
      receiver.close();
    }
  });
});
