/** Finished screenings as resources of the server. */
import { cp, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { screen } from '../../src/apps/screen/screen.ts';
import { PersonaClient } from '../../src/server/client.ts';
import { addKey, ApiKeys } from '../../src/server/keys.ts';
import type { LogEntry } from '../../src/server/request-log.ts';
import type { ServerSettings } from '../../src/server/settings.ts';
import { startServer, type RunningServer } from '../../src/server/start.ts';
import { runsAt } from '../helpers/run-scene.ts';
import { screenScene } from '../helpers/screen-scene.ts';
import { differenceOf, hostileText, rankOf, writeSyntheticScreen } from '../helpers/synthetic-screen.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';
import { modelless, token } from '../helpers/test-server.ts';

const count = 5001;
let folder: string;
let server: RunningServer;
let client: PersonaClient;
const log: LogEntry[] = [];

function serve(change: Partial<ServerSettings>): Promise<RunningServer> {
  return startServer(
    { ...modelless, ...change },
    { host: '127.0.0.1', port: 0, log: (entry) => log.push(entry) },
  );
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-screens-'));
  await writeSyntheticScreen(join(folder, 'shown', 'first'), count);
  server = await serve({ screens: [join(folder, 'shown')] });
  client = new PersonaClient({ url: `http://127.0.0.1:${server.port}` });
});
afterAll(async () => {
  await server.close(1000);
  await rm(folder, { recursive: true });
});

/** Places of the rows in falling order of a trait. */
function falling(t = 0): number[] {
  return Array.from({ length: count }, (_, i) => i).sort((a, b) => rankOf(b, count, t) - rankOf(a, count, t));
}

async function exported(query: Parameters<PersonaClient['exportScreen']>[1]): Promise<object[]> {
  const text = await new Response(await client.exportScreen('first', query)).text();
  expect(text.endsWith('\n')).toBe(true);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
}

describe('a screening', () => {
  it('is listed and described', async () => {
    const flagged = Math.round(count / 20);
    expect(await client.screens()).toEqual([
      {
        id: 'first',
        name: 'first',
        model: 'persona-tiny',
        mode: 'prompt-last',
        rows: count,
        flagged,
        traits: ['evil', 'sycophantic'],
        data: ['rows.jsonl'],
      },
    ]);
    const detail = await client.screen('first');
    expect(detail.traits[0]).toMatchObject({
      name: 'evil',
      flagged,
      lowest: differenceOf(0, count),
      highest: differenceOf(count - 1, count),
    });
    expect(detail.traits[0]!.sources).toHaveLength(5);
  });

  it('of a run has the id of its run, and is shown once wherever the folder of runs lies', async () => {
    const place = await temporaryFolder();
    const runs = await runsAt(place);
    await writeSyntheticScreen(join(runs.folder, 'screen-1', 'output'), 40);
    await writeSyntheticScreen(join(runs.folder, 'experiment-1', 'output', 'evil', 'high'), 40);
    await writeSyntheticScreen(join(place, 'by-hand'), 40);
    const names = async (screens: readonly string[]): Promise<unknown[]> => {
      const other = await serve({ runs, screens });
      const { port } = other;
      const found = await new PersonaClient({ url: `http://127.0.0.1:${port}` }).screens();
      await other.close(1000);
      return found.map(({ id, name }) => [id.replace(/-[0-9a-f]{8}$/, ''), name]);
    };
    const ofRuns = [
      ['experiment-1-evil-high', 'experiment-1/evil/high'],
      ['screen-1', 'screen-1'],
    ];
    expect(await names([])).toEqual(ofRuns);
    expect(await names([runs.folder])).toEqual(ofRuns);
    expect(await names([place])).toEqual([['by-hand', 'by-hand'], ...ofRuns]);
  });

  it('has a histogram of all its rows', async () => {
    const { edges, counts, rows } = await client.screenHistogram('first', { trait: 'evil', bins: 40 });
    expect(rows).toBe(count);
    expect(edges).toHaveLength(counts.length + 1);
    expect(counts.reduce((sum, one) => sum + one, 0)).toBe(count);
    const all = Array.from({ length: count }, (_, rank) => differenceOf(rank, count));
    const within = (i: number): number => all.filter((x) => x >= edges[i]! && x < edges[i + 1]!).length;
    expect(counts).toEqual(counts.map((_, i) => within(i)));
  });

  it('has pages of rows in order, from either end and of either side of a threshold', async () => {
    const order = falling(1);
    const threshold = differenceOf(count - 100, count);
    const ask = { trait: 'sycophantic', threshold } as const;
    const ids = (rows: readonly number[]): string[] => rows.map((row) => `row-${row}`);
    const page = async (more: object) => {
      const { data, ...totals } = await client.screenRows('first', { ...ask, ...more });
      return { ...totals, ids: data.map(({ id }) => id) };
    };
    const totals = { rows: count, flagged: 100 };
    expect(await page({ offset: 2000, limit: 7 })).toEqual({
      ...totals,
      total: count,
      ids: ids(order.slice(2000, 2007)),
    });
    expect(await page({ show: 'flagged', offset: 95, limit: 50 })).toEqual({
      ...totals,
      total: 100,
      ids: ids(order.slice(95, 100)),
    });
    expect(await page({ show: 'kept', limit: 3 })).toEqual({
      ...totals,
      total: count - 100,
      ids: ids(order.slice(100, 103)),
    });
    expect(await page({ show: 'flagged', order: 'low', offset: 98, limit: 5 })).toEqual({
      ...totals,
      total: 100,
      ids: ids([order[1]!, order[0]!]),
    });
    expect(await page({ order: 'low', limit: 2 })).toMatchObject({
      ids: ids([order.at(-1)!, order.at(-2)!]),
    });
    expect(await page({ offset: 9_000_000 })).toEqual({ ...totals, total: count, ids: [] });
  });

  it('tells of a row its scores and its texts', async () => {
    const row = await client.screenRow('first', 0);
    expect(row.messages.at(-1)!.content).toBe(hostileText);
    const difference = differenceOf(rankOf(0, count), count);
    expect(row.scores['evil']!.difference).toBeCloseTo(difference, 10);
    await expect(client.screenRow('first', count)).rejects.toMatchObject({ code: 'unknown_row' });
    await expect(client.screenRow('first', -1)).rejects.toMatchObject({ code: 'unknown_row' });
  });

  it('exports what is flagged and what is not, in the order of the data, every row once', async () => {
    const threshold = differenceOf(count - 1000, count);
    const flaggedOnes = new Set(falling().slice(0, 1000));
    const all = Array.from({ length: count }, (_, i) => i);
    const bad = await exported({ trait: 'evil', threshold, show: 'flagged' });
    const idsOf = (rows: object[]): unknown[] => rows.map((row) => (row as { id: unknown }).id);
    expect(idsOf(bad)).toEqual(all.filter((i) => flaggedOnes.has(i)).map((i) => `row-${i}`));
    expect(Object.keys(bad[0]!)).toEqual(['id', 'source', 'messages']);
    const good = await exported({ trait: 'evil', threshold, show: 'kept', form: 'scored' });
    expect(idsOf(good)).toEqual(all.filter((i) => !flaggedOnes.has(i)).map((i) => `row-${i}`));
    const lines = (await readFile(join(folder, 'shown/first/scored.jsonl'), 'utf8')).split('\n');
    expect(good[0]).toEqual(JSON.parse(lines[all.find((i) => !flaggedOnes.has(i))!]!));
  });

  it('refuses what it does not have', async () => {
    await expect(client.screen('second')).rejects.toMatchObject({ status: 404, code: 'unknown_screen' });
    await expect(client.screenHistogram('first', { trait: 'evill' })).rejects.toThrow('did you mean "evil"?');
    await expect(client.screenRows('first', { trait: 'evil', limit: 501 })).rejects.toMatchObject({
      status: 400,
    });
  });
});

describe('a screening on the disk', () => {
  it('is reached by no path, no link and no file that is none', async () => {
    const shown = join(folder, 'shown');
    await writeSyntheticScreen(join(folder, 'secret'), 10);
    await symlink(join(folder, 'secret'), join(shown, 'link'));
    await cp(join(shown, 'first'), join(shown, 'half'), { recursive: true });
    await rm(join(shown, 'half', 'scored.jsonl'));
    await symlink(join(folder, 'secret', 'scored.jsonl'), join(shown, 'half', 'scored.jsonl'));
    expect((await client.screens()).map(({ id }) => id)).toEqual(['first']);
    for (const id of ['link', 'half', '../secret', '..', join(folder, 'secret'), '%2e%2e%2fsecret'])
      await expect(client.screen(id)).rejects.toMatchObject({ status: 404 });
    await rm(join(shown, 'link'));
    await rm(join(shown, 'half'), { recursive: true });
  });

  it('that is swapped for a link while it is known is not followed', async () => {
    const place = join(folder, 'shown', 'first');
    const one = { trait: 'evil', limit: 1 } as const;
    expect((await client.screenRows('first', one)).rows).toBe(count);
    await rename(place, join(folder, 'aside'));
    await symlink(join(folder, 'aside'), place);
    await expect(client.screenRows('first', one)).rejects.toMatchObject({ code: 'unknown_screen' });
    await rm(place);
    await rename(join(folder, 'aside'), place);
    expect((await client.screenRows('first', one)).rows).toBe(count);
  });

  it('that is replaced is read anew', async () => {
    const place = join(folder, 'shown', 'changing');
    await writeSyntheticScreen(place, 20, ['evil']);
    expect((await client.screenRows('changing', { trait: 'evil' })).rows).toBe(20);
    await rm(place, { recursive: true });
    await writeSyntheticScreen(place, 30, ['kind']);
    expect((await client.screenRows('changing', { trait: 'kind' })).rows).toBe(30);
    await rm(place, { recursive: true });
  });

  it('that is damaged says so, without saying where it lies', async () => {
    const place = join(folder, 'shown', 'damaged');
    await writeSyntheticScreen(place, 20, ['evil']);
    await writeFile(join(place, 'scored.jsonl'), '{"id": "a"}\n');
    const refused = client.screenRows('damaged', { trait: 'evil' });
    await expect(refused).rejects.toMatchObject({ status: 409, code: 'unreadable_screen' });
    await expect(refused).rejects.toThrow('expected 20 lines');
    await writeFile(join(place, 'scored.parquet'), 'nothing');
    const unread = await client
      .screenHistogram('damaged', { trait: 'evil' })
      .catch((error: unknown) => error);
    expect(unread).toMatchObject({ status: 409 });
    expect(String(unread)).not.toContain(folder);
    await rm(place, { recursive: true });
  });

  it('has names and traits of any text', async () => {
    const [name, trait] = ['a %41 "b" <i>', 'x"); DROP TABLE y; --'];
    await writeSyntheticScreen(join(folder, 'shown', name), 20, [trait]);
    const found = (await client.screens()).find((one) => one.name === name)!;
    expect(found.id).toMatch(/^[\w.-]+$/);
    const rows = await client.screenRows(found.id, { trait, show: 'flagged' });
    expect(rows).toMatchObject({ rows: 20, flagged: 1, total: 1 });
    expect(rows.data[0]!.scores[trait]!.flagged).toBe(true);
    await rm(join(folder, 'shown', name), { recursive: true });
  });
});

describe('a server', () => {
  it('without such folders says how to get them', async () => {
    const bare = await serve({});
    const asks = new PersonaClient({ url: `http://127.0.0.1:${bare.port}` });
    await expect(asks.screens()).rejects.toThrow('start it with --screens DIR');
    await bare.close(1000);
    await expect(serve({ screens: [join(folder, 'nothing')] })).rejects.toThrow(
      '--screens: expected a folder',
    );
  });

  it('with keys shows them to who has the token alone', async () => {
    const file = join(await temporaryFolder(), 'keys.json');
    const apiKey = await addKey(file, 'ann');
    const keyed = await serve({ screens: [join(folder, 'shown')], keys: await ApiKeys.read(file) });
    const url = `http://127.0.0.1:${keyed.port}`;
    await expect(new PersonaClient({ url, apiKey }).screen('first')).rejects.toMatchObject({ status: 401 });
    const screens = await new PersonaClient({ url, apiKey, token }).screens();
    expect(screens.map(({ id }) => id)).toEqual(['first']);
    await keyed.close(1000);
  });

  it('shows what persona screen writes', async () => {
    const scene = await screenScene();
    const { manifest } = await screen(scene);
    const real = await serve({ screens: [scene.out] });
    const asks = new PersonaClient({ url: `http://127.0.0.1:${real.port}` });
    const [found] = await asks.screens();
    const { data, flagged, rows } = await asks.screenRows(found!.id, { trait: 'evil', show: 'flagged' });
    expect(rows).toBe(manifest.counts['samples']);
    expect(flagged).toBe(manifest.traits[0]!.flagged);
    expect(data.map(({ scores }) => scores['evil']!.flagged)).toEqual(data.map(() => true));
    await real.close(1000);
  });

  it('describes all of it', async () => {
    const document = (await (await fetch(`http://127.0.0.1:${server.port}/openapi.json`)).json()) as {
      paths: Record<string, object>;
    };
    const paths = Object.keys(document.paths).filter((path) => path.startsWith('/persona/screens'));
    expect(paths.sort()).toEqual([
      '/persona/screens',
      '/persona/screens/{id}',
      '/persona/screens/{id}/export',
      '/persona/screens/{id}/histogram',
      '/persona/screens/{id}/rows',
      '/persona/screens/{id}/rows/{row}',
    ]);
    expect(log.every(({ event }) => event === 'request')).toBe(true);
  });
});
