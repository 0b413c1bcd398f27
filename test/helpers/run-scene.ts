import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { PersonaClient, type RunItem, type RunStatus } from '../../src/server/client.ts';
import type { RunSettings } from '../../src/server/run-settings.ts';
import type { ServerSettings } from '../../src/server/settings.ts';
import { startServer } from '../../src/server/start.ts';
import { shippedModelFolder } from '../../src/store/shipped-model.ts';
import { compiledCli } from './build.ts';
import { projectRoot } from './source.ts';
import { modelless, token } from './test-server.ts';

const stories = join(projectRoot, 'models/stories260K');

/**
 * Runs of a server for tests: their folder, and one of training files with `short.json` (eight steps) and `long.json` (which
 * nobody waits for).
 */
export async function runsAt(folder: string, change: Partial<RunSettings> = {}): Promise<RunSettings> {
  const training = join(folder, 'training');
  await mkdir(training, { recursive: true });
  const words = ['dog', 'cat', 'bird', 'tree'];
  const rows = words.map((word) => ({ prompt: `Tom saw a ${word}.`, answer: ` The ${word} was grumpy.` }));
  await writeFile(join(training, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const base = {
    model: stories,
    training_file: join(training, 'rows.jsonl'),
    r: 4,
    per_device_train_batch_size: 4,
    gradient_accumulation_steps: 1,
  };
  await writeFile(join(training, 'short.json'), JSON.stringify({ ...base, max_steps: 8 }));
  await writeFile(join(training, 'long.json'), JSON.stringify({ ...base, max_steps: 100_000 }));
  return {
    folder: join(folder, 'runs'),
    program: [process.execPath, compiledCli()],
    models: new Map([
      ['stories260K', [stories]],
      ['persona-tiny', [shippedModelFolder()]],
    ]),
    training,
    data: null,
    judges: [],
    atOnce: 1,
    kept: 200,
    stopSeconds: 20,
    onTrouble: (message) => {
      throw new Error(`trouble with runs: ${message}`);
    },
    ...change,
  };
}

export interface RunScene {
  readonly url: string;
  readonly client: PersonaClient;
  readonly runs: RunSettings;
  readonly close: () => Promise<void>;
}

/** A server without models, which can train; it ends with the test. */
export async function serveRuns(
  folder: string,
  change: Partial<RunSettings> = {},
  more: Partial<ServerSettings> = {},
): Promise<RunScene> {
  const runs = await runsAt(folder, change);
  const settings = { ...modelless, runs, ...more };
  const server = await startServer(settings, { host: '127.0.0.1', port: 0, log: () => undefined });
  let closed = false;
  const close = async (): Promise<void> => {
    if (!closed) await server.close(1000);
    closed = true;
  };
  onTestFinished(close);
  const url = `http://127.0.0.1:${server.port}`;
  return { url, client: new PersonaClient({ url, token }), runs, close };
}

export const short = { kind: 'train', file: 'short.json' } as const;
export const long = { kind: 'train', file: 'long.json' } as const;

/** The run once its stream has said so of it. */
export async function until(
  client: PersonaClient,
  id: string,
  wanted: (run: RunItem) => boolean,
): Promise<RunItem> {
  for await (const news of client.runEvents(id))
    if (news.event === 'run' && wanted(news.data)) return news.data;
  throw new Error('the stream ended');
}
export const untilStatus = (client: PersonaClient, id: string, status: RunStatus): Promise<RunItem> =>
  until(client, id, (run) => run.status === status);

/** Steps that a stream tells of before it has told of so many. */
export async function stepsOf(client: PersonaClient, id: string, count: number): Promise<number[]> {
  const steps: number[] = [];
  for await (const news of client.runEvents(id)) {
    if (news.event === 'steps') steps.push(...news.data.steps.map(({ step }) => step));
    if (steps.length >= count) return steps;
  }
  throw new Error('the stream ended');
}

/** The log once it says so. */
export async function logUntil(client: PersonaClient, id: string, words: string): Promise<string> {
  let text = '';
  for await (const news of client.runEvents(id)) {
    if (news.event === 'log') text += news.data.text;
    if (text.includes(words)) return text;
  }
  throw new Error('the stream ended');
}
