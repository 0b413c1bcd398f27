/** `persona serve` as a process: what it says, how it ends, and that a kill leaves nothing broken. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterEach, describe, expect, it } from 'vitest';
import type { ModelList } from '../../src/server/api.ts';
import { compiledCli } from '../helpers/build.ts';
import { runCli } from '../helpers/cli.ts';
import { writeRandomAdapter } from '../helpers/random-adapter.ts';
import { projectRoot } from '../helpers/source.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';

interface Served {
  readonly url: string;
  readonly token: string;
  readonly models: readonly string[];
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
}

const running: ChildProcess[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
});

async function serve(args: readonly string[]): Promise<Served> {
  const child = spawn(process.execPath, [compiledCli(), 'serve', '--json', ...args], {
    cwd: projectRoot,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  running.push(child);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  for await (const line of child.stdout) return { ...JSON.parse(String(line)), child, ended };
  throw new Error(`persona serve ended with ${await ended}`);
}

const stories = join(projectRoot, 'models/stories260K');
const story = { model: 'stories260K', prompt: 'One day, a girl', max_tokens: 30, temperature: 0.8, seed: 5 };
const openai = (url: string): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });

describe('persona serve', () => {
  it('says what `persona generate` says, and ends when it is told to', async () => {
    const server = await serve([stories, '--port', '0']);
    expect(server.models).toEqual(['stories260K']);
    const { choices } = await openai(server.url).completions.create(story);
    const flags = [
      '--prompt',
      story.prompt,
      '--max-tokens',
      '30',
      '--temperature',
      '0.8',
      '--seed',
      '5',
      '--json',
    ];
    const { stdout } = await runCli(['generate', stories, ...flags]);
    expect(choices[0]!.text).toBe((JSON.parse(stdout) as { text: string }).text);
    server.child.kill('SIGINT');
    expect(await server.ended).toBe(0);
  });

  it('serves the model that ships where none is named', async () => {
    const server = await serve(['--port', '0']);
    expect(server.models).toEqual(['persona-tiny']);
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
  });

  it('serves adapters beside their base, each by its own name', async () => {
    const folder = await temporaryFolder();
    const [tuned, runs] = [join(folder, 'tuned'), join(folder, 'runs')];
    await writeRandomAdapter(stories, tuned, 0.05);
    const adapters = ['--adapter', tuned, '--adapter', `short=${tuned}`];
    const server = await serve([stories, ...adapters, '--runs', runs, '--port', '0']);
    expect(server.models).toEqual(['stories260K', 'stories260K+tuned', 'short']);
    const listed = (await (await fetch(`${server.url}/v1/models`)).json()) as ModelList;
    expect(listed.data.map(({ id, parent }) => [id, parent])).toEqual([
      ['stories260K', null],
      ['stories260K+tuned', 'stories260K'],
      ['short', 'stories260K'],
    ]);
    const greedy = { ...story, temperature: 0 };
    const text = async (model: string): Promise<string> =>
      (await openai(server.url).completions.create({ ...greedy, model })).choices[0]!.text;
    const texts = await Promise.all(server.models.map(text));
    const flags = ['--prompt', story.prompt, '--max-tokens', '30', '--temperature', '0', '--json'];
    const { stdout } = await runCli(['generate', stories, '--adapter', tuned, ...flags]);
    const expected = (JSON.parse(stdout) as { text: string }).text;
    expect(texts.slice(1)).toEqual([expected, expected]);
    expect(texts[0]).not.toBe(expected);
    const refused = await fetch(`${server.url}/persona/runs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-persona-token': server.token },
      body: JSON.stringify({ kind: 'experiment', name: 'finetuning', model: 'short' }),
    });
    expect(refused.status).toBe(400);
    expect(await refused.text()).toContain('a model without an adapter for finetuning');
  });

  it('serves again after a kill in mid-stream', async () => {
    const vectors = await temporaryFolder();
    const first = await serve([stories, '--port', '0', '--vectors', vectors]);
    const expected = await openai(first.url).completions.create(story);
    const stream = await openai(first.url).completions.create({
      ...story,
      max_tokens: 400,
      n: 8,
      stream: true,
    });
    await expect(async () => {
      for await (const _ of stream) first.child.kill('SIGKILL');
    }).rejects.toThrow(/terminated|closed/);
    expect(await first.ended).toBeNull();
    const { port } = new URL(first.url);
    const second = await serve([stories, '--port', port, '--vectors', vectors]);
    const again = await openai(second.url).completions.create(story);
    expect(again.choices[0]!.text).toBe(expected.choices[0]!.text);
    expect(await readdir(vectors)).toEqual([]);
  });

  it.each([
    [['--host', '0.0.0.0'], /Expected API keys for 0.0.0.0/],
    [['--add-key', 'ann'], /Expected --keys FILE/],
    [['--keys', 'nowhere.json'], /nowhere.json/],
    [['no-such-model'], /no-such-model/],
    [[stories, stories], /"stories260K" twice/],
    [
      [stories, '--adapter', 'a=models', '--adapter', 'a=models'],
      /adapter_config.json in the adapter folder/,
    ],
    [['--port', '99999'], /whole number from 0 to 65535/],
  ])('refuses %j with one sentence', async (args, sentence) => {
    const { code, stdout, stderr } = await runCli(['serve', ...args]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(sentence);
  });

  it('refuses a port that is taken', async () => {
    const server = await serve([stories, '--port', '0']);
    const { code, stderr } = await runCli(['serve', stories, '--port', new URL(server.url).port]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/it is taken; choose another with --port/);
  });

  it('makes keys that let their owner in from elsewhere', async () => {
    const folder = await temporaryFolder();
    const keys = join(folder, 'keys.json');
    const { stdout } = await runCli(['serve', '--keys', keys, '--add-key', 'ann']);
    const args = [
      stories,
      '--port',
      '0',
      '--host',
      '0.0.0.0',
      '--keys',
      keys,
      '--allow-host',
      'persona.example',
    ];
    const server = await serve(args);
    const url = `http://127.0.0.1:${new URL(server.url).port}/v1/models`;
    expect((await fetch(url)).status).toBe(401);
    expect((await fetch(url, { headers: { authorization: `Bearer ${stdout.trim()}` } })).status).toBe(200);
  });
});
