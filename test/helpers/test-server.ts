import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { loadModel } from '../../src/engine/load.ts';
import type { LanguageModel } from '../../src/engine/model.ts';
import type { LogEntry } from '../../src/server/request-log.ts';
import { defaultLimits, type ServerSettings } from '../../src/server/settings.ts';
import { startServer } from '../../src/server/start.ts';
import { shippedModelFolder } from '../../src/store/shipped-model.ts';
import { PersonaVector } from '../../src/persona/vector.ts';
import { unknownOrigin } from '../../src/store/vector-file.ts';
import { randomVector } from './tiny-models.ts';

const stories = fileURLToPath(new URL('../../models/stories260K', import.meta.url));
export const token = 'token of the tests';

export interface TestServer {
  readonly url: string;
  readonly port: number;
  /** The story teller. */
  readonly model: LanguageModel;
  /** The chat model that ships. */
  readonly chat: LanguageModel;
  readonly vectors: string;
  readonly openai: OpenAI;
  readonly log: LogEntry[];
  readonly close: (patience?: number) => Promise<void>;
}

/** What a server without models is started with. */
export const modelless: ServerSettings = {
  models: [],
  vectors: join(tmpdir(), 'no-such-folder'),
  limits: defaultLimits,
  hosts: [],
  keys: null,
  token,
  version: '0.0.0',
  dashboard: null,
  logText: false,
  monitor: null,
  runs: null,
  screens: [],
};

/** A server over the two models that ship, with one vector, `mood`, in its folder; it listens on any free port of the loopback. */
/** @param folder of the vectors, which stays; otherwise one that is made and removed */
export async function openTestServer(
  change: Partial<ServerSettings> = {},
  folder?: string,
): Promise<TestServer> {
  const chat = await loadModel(shippedModelFolder());
  const vectors = folder ?? (await mkdtemp(join(tmpdir(), 'server-vectors-')));
  const model = await loadModel(stories);
  await randomPersona(model, 'mood').save(join(vectors, 'mood.safetensors'));
  const log: LogEntry[] = [];
  const models = [
    { id: 'stories260K', model },
    { id: 'persona-tiny', model: chat },
  ];
  const settings = { ...modelless, models, vectors, ...change };
  const server = await startServer(settings, { host: '127.0.0.1', port: 0, log: (entry) => log.push(entry) });
  const url = `http://127.0.0.1:${server.port}`;
  return {
    url,
    port: server.port,
    model,
    chat,
    vectors,
    openai: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 }),
    log,
    close: async (patience = 2000) => {
      await server.close(patience);
      await model.close();
      await chat.close();
      if (folder === undefined) await rm(vectors, { recursive: true });
    },
  };
}

/** What the server's metrics say of one of them. */
export async function metric({ url }: TestServer, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length));
}

/** A vector of the model's shape with random numbers, which recommends layer 3. */
export function randomPersona({ checkpoint }: LanguageModel, trait: string): PersonaVector {
  const { layers, width } = checkpoint.config;
  const metadata = unknownOrigin({ trait, model: checkpoint.id, pooling: 'response_mean' });
  return new PersonaVector(layers, width, randomVector((layers + 1) * width, trait), {
    ...metadata,
    recommendedLayer: 3,
  });
}
