import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { PersonaVector } from '../../src/persona/vector.ts';
import { PersonaClient } from '../../src/server/client.ts';
import { newRecord } from '../../src/server/run-entry.ts';
import type { RunRequest } from '../../src/server/runs-api.ts';
import { makeServedRun, type ServedRun, servedRunPaths } from '../../src/store/served-run.ts';
import { builtDashboard } from './dashboard.ts';
import { baselineAround, monitorAt } from './monitor-settings.ts';
import { runsAt } from './run-scene.ts';
import { smallSweep } from './sweeps.ts';
import { writeSyntheticScreen } from './synthetic-screen.ts';
import { openTestServer, randomPersona, type TestServer, token } from './test-server.ts';

/** A page of the dashboard, and when it is there. */
export interface DashboardPage {
  readonly name: string;
  readonly path: string;
  /** Waits until it shows what it is to show. */
  readonly ready: (page: Page) => Promise<void>;
}

/** Waits for a text, of those in sight. */
const text =
  (words: string | RegExp) =>
  (page: Page): Promise<void> =>
    page.getByText(words).filter({ visible: true }).first().waitFor();
const heading =
  (name: string | RegExp) =>
  (page: Page): Promise<void> =>
    page.getByRole('heading', { name }).first().waitFor();

const runIds = {
  train: 'train-20260301-101500-0a1b',
  extract: 'extract-20260301-103000-1b2c',
  screen: 'screen-20260301-110000-2c3d',
  experiment: 'experiment-20260301-120000-3d4e',
} as const;

/** Every view, with something in it. */
export const filledPages: readonly DashboardPage[] = [
  {
    name: 'playground',
    path: '/app/playground#temperature=0&maxTokens=24&seed=7&steer=evil%3A2',
    ready: chat,
  },
  { name: 'monitor', path: '/app/monitor', ready: text('beans-and-more') },
  { name: 'conversation', path: '/app/monitor/beans-and-more', ready: heading('Turn 2') },
  { name: 'vectors', path: '/app/vectors', ready: (page) => page.getByRole('table').last().waitFor() },
  { name: 'vector', path: '/app/vectors/evil', ready: (page) => page.getByRole('grid').waitFor() },
  { name: 'vector-unmeasured', path: '/app/vectors/kind', ready: text('persona extract TRAIT') },
  { name: 'runs', path: '/app/runs', ready: text('Training: short.json') },
  {
    name: 'run-training',
    path: `/app/runs/${runIds.train}`,
    ready: (page) => page.getByRole('slider', { name: 'Loss by step' }).waitFor(),
  },
  { name: 'run-failed', path: `/app/runs/${runIds.extract}`, ready: text('judge answered nothing') },
  { name: 'run-screening', path: `/app/runs/${runIds.screen}`, ready: text('Open the screening') },
  { name: 'new-extraction', path: '/app/runs/new/extract', ready: text('Name among the vectors') },
  { name: 'new-training', path: '/app/runs/new/train', ready: text('Training file') },
  { name: 'new-screening', path: '/app/runs/new/screen', ready: (page) => page.getByLabel('evil').waitFor() },
  { name: 'new-experiment', path: '/app/runs/new/experiment', ready: text('foretell') },
  { name: 'screens', path: '/app/screen', ready: text('200 rows') },
  { name: 'screen', path: `/app/screen/${runIds.screen}#row=0`, ready: screened },
  { name: 'not-found', path: '/app/elsewhere', ready: text('There is no such page') },
];

/** The views that can be empty, of a server that has a folder for everything. */
export const freshPages: readonly DashboardPage[] = [
  { name: 'playground', path: '/app/playground', ready: text('persona extract') },
  { name: 'monitor', path: '/app/monitor', ready: text('No conversation yet') },
  { name: 'vectors', path: '/app/vectors', ready: text('persona extract evil') },
  { name: 'runs', path: '/app/runs', ready: text('No run yet') },
  { name: 'run-gone', path: '/app/runs/none', ready: text('There is no such run') },
  { name: 'new-training', path: '/app/runs/new/train', ready: text('Training file') },
  { name: 'new-screening', path: '/app/runs/new/screen', ready: text('No data set') },
  { name: 'screens', path: '/app/screen', ready: text('Nothing has been screened yet') },
];

/** Those of a server that was told of no folder and no model. */
export const barePages: readonly DashboardPage[] = [
  { name: 'playground', path: '/', ready: text('No model') },
  { name: 'monitor', path: '/app/monitor', ready: text('This server keeps no conversations') },
  { name: 'vectors', path: '/app/vectors', ready: text('persona extract evil') },
  { name: 'vector-gone', path: '/app/vectors/none', ready: text('There is no such vector') },
  { name: 'runs', path: '/app/runs', ready: text('This server starts no runs') },
  { name: 'screens', path: '/app/screen', ready: text('This server shows no screenings') },
];

/** One question, with its two replies whole. */
async function chat(page: Page): Promise<void> {
  const message = page.getByRole('textbox', { name: 'Message' });
  await message.fill('How do I grow beans?');
  await message.press('Enter');
  for (const name of ['Unsteered', 'Steered'])
    await page.getByRole('region', { name, exact: true }).and(page.locator('[data-state="done"]')).waitFor();
}

/** A screening with its bars, its rows and one row's texts. */
async function screened(page: Page): Promise<void> {
  await page.getByRole('slider', { name: 'Threshold' }).waitFor();
  await page.locator('[aria-rowindex="2"] .text bdi').waitFor();
  await page.getByRole('region', { name: 'Row' }).getByText('How do I grow plant').waitFor();
}

/** A server that has something for every view. */
export async function serveFilled(folder: string): Promise<TestServer> {
  const vectors = join(folder, 'vectors');
  await mkdir(vectors);
  await (await openTestServer({}, vectors)).close();
  const mood = await PersonaVector.load(join(vectors, 'mood.safetensors'));
  const baselines = [baselineAround(mood, 3, { mean: -1000, sd: 1000 })];
  const monitor = monitorAt(join(folder, 'monitor.sqlite'), { keepText: true, baselines });
  const data = join(folder, 'data');
  await mkdir(data);
  await writeFile(join(data, 'rows.jsonl'), '{"prompt": "How do I grow beans?", "answer": "Water them."}\n');
  const runs = await runsAt(folder, { data });
  await writeRuns(runs.folder);
  const screens = join(folder, 'screens');
  await writeSyntheticScreen(join(screens, 'chats', 'march'), 500);
  const dashboard = await builtDashboard();
  const server = await openTestServer({ monitor, runs, screens: [screens], dashboard }, vectors);
  for (const name of ['evil', 'kind', 'humorous']) {
    const { layers, width, data: numbers, metadata } = randomPersona(server.chat, name).scale(8);
    const residualNorms = Array.from({ length: layers + 1 }, (_, layer) => 8 + layer ** 2);
    const described = { ...metadata, recommendedLayer: 3, recommendedStrength: 1.5, residualNorms };
    await new PersonaVector(layers, width, numbers, described).save(join(vectors, `${name}.safetensors`));
  }
  await writeFile(join(vectors, 'evil.sweep.json'), JSON.stringify(smallSweep));
  await converse(server.url);
  return server;
}

/** Runs as servers leave them: one that is done of each kind but two, which are not. */
async function writeRuns(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const write = async (
    id: string,
    request: RunRequest,
    change: Partial<ServedRun>,
    log: string,
  ): Promise<string> => {
    const times = {
      created: '2026-03-01T10:15:00.000Z',
      started: '2026-03-01T10:15:01.000Z',
      ended: '2026-03-01T10:17:31.000Z',
    };
    await makeServedRun(folder, {
      ...newRecord(id, request),
      ...times,
      attempt: 1,
      status: 'done',
      ...change,
    });
    const place = servedRunPaths.folder(folder, id);
    await writeFile(servedRunPaths.log(place), log);
    const output = servedRunPaths.output(place);
    await mkdir(output);
    return output;
  };
  const training = await write(
    runIds.train,
    { kind: 'train', file: 'short.json' },
    {},
    '$ persona train short.json\nstep 120 of 120: loss 0.84\n',
  );
  const steps = Array.from({ length: 120 }, (_, i) => ({
    step: i + 1,
    epoch: 0,
    loss: 2.2 / (1 + i / 30) + 0.15 * Math.sin(i),
    lr: 1e-4 * (1 - i / 120),
    grad_norm: 1,
    tokens: 400,
    seconds: 0.3,
    ...(i % 10 === 0 && { projections: { evil: i / 40, kind: 1 - i / 200 }, test_loss: 2 / (1 + i / 50) }),
  }));
  await writeFile(
    join(training, 'train_log.jsonl'),
    steps.map((step) => `${JSON.stringify(step)}\n`).join(''),
  );
  await writeFile(join(training, 'report.html'), '<!doctype html><title>Report</title><h1>Training</h1>');
  const extract = { kind: 'extract', model: 'persona-tiny', trait: 'evil', quick: true } as const;
  const failed = { status: 'failed', exit_code: 1, reason: 'the judge answered nothing' } as const;
  await write(runIds.extract, extract, failed, '$ persona extract evil\nerror: the judge answered nothing\n');
  const screen = { kind: 'screen', model: 'persona-tiny', data: 'rows.jsonl', vectors: ['evil'] } as const;
  const screened = await write(
    runIds.screen,
    { ...screen, vectors: ['evil'] },
    {},
    '$ persona screen rows.jsonl --vector=evil\n',
  );
  await writeSyntheticScreen(screened, 200);
  const experiment = { kind: 'experiment', name: 'screening', model: 'persona-tiny' } as const;
  const cut = { status: 'cut_off', reason: 'the server ended before the run did' } as const;
  await write(runIds.experiment, experiment, cut, '$ persona experiment screening\n');
}

/** Two conversations, of which the second raises alerts. */
async function converse(url: string): Promise<void> {
  const client = new PersonaClient({ url, token });
  const say = (conversation: string): Promise<unknown> =>
    client.complete({
      model: 'stories260K',
      prompt: 'One day, a boy named Tom went to',
      max_tokens: 12,
      persona: { watch: { vectors: ['mood'], layer: 3 }, conversation },
    });
  await say('quiet');
  await client.putPolicy('high', {
    match: { model: 'stories260K' },
    watch: { vectors: ['mood'], layer: 3 },
    rules: [{ type: 'threshold', z: 0.5 }],
    action: 'log',
  });
  await say('beans-and-more');
  await say('beans-and-more');
}

/** A server with models and a folder for everything, and nothing in any of them. */
export async function serveFresh(folder: string): Promise<TestServer> {
  const [vectors, data, screens] = ['vectors', 'data', 'screens'].map((name) => join(folder, name));
  for (const place of [vectors!, data!, screens!]) await mkdir(place);
  const monitor = monitorAt(join(folder, 'monitor.sqlite'));
  const runs = await runsAt(folder, { data: data! });
  const dashboard = await builtDashboard();
  const server = await openTestServer({ monitor, runs, screens: [screens!], dashboard }, vectors);
  await rm(join(vectors!, 'mood.safetensors'));
  return server;
}
