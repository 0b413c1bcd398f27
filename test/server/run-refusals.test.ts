/** What a server refuses of runs, and what of their folder nobody reaches. */
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { PersonaClient } from '../../src/server/client.ts';
import { startServer } from '../../src/server/start.ts';
import { long, runsAt, serveRuns, short, untilStatus } from '../helpers/run-scene.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';
import { modelless, openTestServer, type TestServer, token } from '../helpers/test-server.ts';

const asked = { kind: 'extract', model: 'persona-tiny', trait: 'evil' } as const;

const screening = { kind: 'screen', model: 'persona-tiny', data: 'rows.jsonl', vectors: ['mood'] };

describe('a request', () => {
  let folder = '';
  let server: TestServer;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'persona-runs-'));
    const data = join(folder, 'data');
    await mkdir(data);
    await writeFile(join(data, 'rows.jsonl'), '');
    await writeFile(join(data, 'rows.txt'), '');
    await writeFile(join(folder, 'outside.jsonl'), '');
    await symlink(join(folder, 'outside.jsonl'), join(data, 'link.jsonl'));
    server = await openTestServer({ runs: await runsAt(folder, { data }) });
  });
  afterAll(async () => {
    await server.close();
    await rm(folder, { recursive: true });
  });

  it.each([
    [{ kind: 'train', file: '../short.json' }, 'file'],
    [{ kind: 'train', file: '/etc/passwd.json' }, 'file'],
    [{ kind: 'train', file: 'out.json' }, 'file'],
    [{ kind: 'train', file: 'rows.jsonl' }, 'file'],
    [{ kind: 'train', file: 'short.json', output: '/tmp' }, null],
    [{ kind: 'delete' }, 'kind'],
    [{ ...asked, trait: '--out=/tmp' }, 'trait'],
    [{ ...asked, trait: '../../traits/default/evil.json' }, 'trait'],
    [{ ...asked, trait: { name: '../evil', description: 'mean' } }, 'trait.name'],
    [{ ...asked, trait: { name: 'mean', description: 'It is mean.' } }, 'judge'],
    [{ ...asked, judge: 'http://elsewhere.example/v1#model' }, 'judge'],
    [{ ...asked, save_as: '../evil' }, 'save_as'],
    [{ kind: 'experiment', name: 'steering', model: 'persona-tiny', trait: 'evil' }, 'vector'],
    [
      { kind: 'experiment', name: 'steering', model: 'persona-tiny', trait: 'evil', vector: '../mood' },
      'vector',
    ],
    [{ kind: 'experiment', name: 'rm -rf', model: 'persona-tiny' }, 'name'],
    [{ ...screening, data: '../outside.jsonl' }, 'data'],
    [{ ...screening, data: '/etc/passwd' }, 'data'],
    [{ ...screening, data: 'link.jsonl' }, 'data'],
    [{ ...screening, data: 'rows.txt' }, 'data'],
    [{ ...screening, data: 'none.jsonl' }, 'data'],
    [{ ...screening, data: 'https://data.example.org/rows.jsonl' }, 'data'],
    [{ ...screening, vectors: ['../mood'] }, 'vectors'],
    [{ ...screening, vectors: ['mood', 'none'] }, 'vectors'],
    [{ ...screening, vectors: [] }, 'vectors'],
    [{ ...screening, percentile: 101 }, 'percentile'],
    [{ ...screening, where: '1 = 1' }, null],
  ])('is refused as %j', async (request, param) => {
    const response = await post(server.url, '/persona/runs', request);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { param } });
    expect((await new PersonaClient({ url: server.url }).runs()).data).toEqual([]);
  });
});

describe('what is refused', () => {
  it('without the token', async () => {
    const { url, client } = await serveRuns(await temporaryFolder());
    for (const [method, path] of [
      ['POST', '/persona/runs'],
      ['POST', '/persona/runs/a/stop'],
      ['POST', '/persona/runs/a/resume'],
      ['DELETE', '/persona/runs/a'],
    ] as const) {
      const headers = { 'content-type': 'application/json' };
      const body = method === 'POST' ? { body: JSON.stringify(short) } : {};
      expect((await fetch(url + path, { method, headers, ...body })).status).toBe(401);
      expect(
        (await fetch(url + path, { method, headers: { ...headers, 'x-persona-token': 'guess' }, ...body }))
          .status,
      ).toBe(401);
    }
    expect((await client.runs()).data).toEqual([]);
  });

  it('beyond as many runs as are kept', async () => {
    const { client } = await serveRuns(await temporaryFolder(), { kept: 1 });
    const { id } = await client.startRun(long);
    await expect(client.startRun(long)).rejects.toMatchObject({ status: 409, code: 'too_many_runs' });
    await client.stopRun(id);
    await untilStatus(client, id, 'stopped');
  });

  it('where the server starts none', async () => {
    const server = await startServer(modelless, { host: '127.0.0.1', port: 0, log: () => undefined });
    onTestFinished(() => server.close());
    const response = await fetch(`http://127.0.0.1:${server.port}/persona/runs/options`);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: 'no_runs' } });
  });

  it('a second server on the same folder', async () => {
    const folder = await temporaryFolder();
    await serveRuns(folder);
    await expect(serveRuns(folder)).rejects.toThrow(/is in use by/);
  });

  it('a screening where no data sets are served', async () => {
    const { client } = await serveRuns(await temporaryFolder());
    expect((await client.runOptions()).data).toBeNull();
    await expect(client.startRun({ ...screening, kind: 'screen' })).rejects.toMatchObject({
      code: 'no_data',
    });
  });
});

describe('files of a run', () => {
  it('lead nowhere else', async () => {
    const folder = await temporaryFolder();
    const { url, client, runs } = await serveRuns(folder, { program: [process.execPath, '-e', '0', '--'] });
    const { id } = await client.startRun(short);
    await untilStatus(client, id, 'done');
    const output = join(runs.folder, id, 'output');
    await mkdir(join(output, 'deep'), { recursive: true });
    await writeFile(join(output, 'deep', 'fine.txt'), 'fine');
    await writeFile(join(output, '.hidden'), 'hidden');
    await symlink('/etc/passwd', join(output, 'link.txt'));
    await symlink(join(folder, 'training'), join(output, 'linked'));
    const status = async (path: string): Promise<number> =>
      (await fetch(`${url}/persona/runs/${id}/files/${path}`)).status;
    expect(await status('deep/fine.txt')).toBe(200);
    for (const path of [
      '..%2frun.json',
      '%2e%2e/run.json',
      '..%2f..%2f..%2ftraining%2fshort.json',
      'deep/..%2f..%2frun.json',
      '%2fetc%2fpasswd',
      '..%5crun.json',
      'deep%00/fine.txt',
      'deep',
      '.hidden',
      'link.txt',
      'linked/short.json',
      'nothing.txt',
    ])
      expect([path, await status(path)]).toEqual([path, 404]);
    expect((await fetch(`${url}/persona/runs/..%2f..%2ftraining/files/short.json`)).status).toBe(404);
    expect((await client.run(id)).files).toEqual([{ path: 'deep/fine.txt', bytes: 4 }]);
  });

  it('that are no pages are kept and not shown, whatever they hold', async () => {
    const { url, client, runs } = await serveRuns(await temporaryFolder(), {
      program: [process.execPath, '-e', '0', '--'],
    });
    const { id } = await client.startRun(short);
    await untilStatus(client, id, 'done');
    const output = join(runs.folder, id, 'output');
    await mkdir(output, { recursive: true });
    await writeFile(join(output, 'a"b\'ü.svg'), '<svg onload="alert(1)"/>');
    const file = await fetch(`${url}/persona/runs/${id}/files/${encodeURIComponent('a"b\'ü.svg')}`);
    expect(file.headers.get('content-type')).toBe('application/octet-stream');
    expect(file.headers.get('content-disposition')).toBe("attachment; filename*=UTF-8''a%22b%27%C3%BC.svg");
    expect(file.headers.get('x-content-type-options')).toBe('nosniff');
  });
});

describe('records', () => {
  it('that are damaged hide no others, and are told of', async () => {
    const folder = await temporaryFolder();
    const first = await serveRuns(folder);
    const { id } = await first.client.startRun(short);
    await untilStatus(first.client, id, 'done');
    await first.close();
    for (const [name, text] of [
      ['damaged', '{'],
      ['foreign', '{"a":1}'],
    ] as const) {
      await mkdir(join(first.runs.folder, name));
      await writeFile(join(first.runs.folder, name, 'run.json'), text);
    }
    const told: string[] = [];
    const { client } = await serveRuns(folder, { onTrouble: (message) => told.push(message) });
    expect((await client.runs()).data.map((run) => run.id)).toEqual([id]);
    expect(told.sort()).toEqual([expect.stringContaining('damaged"'), expect.stringContaining('foreign"')]);
    expect((await readdir(first.runs.folder)).sort()).toContain('damaged');
  });
});

function post(url: string, path: string, body: unknown): Promise<Response> {
  return fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-persona-token': token },
    body: JSON.stringify(body),
  });
}
