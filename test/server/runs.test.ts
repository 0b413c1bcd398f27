/** Runs that a server starts: asked for, watched, stopped, and found again after a kill. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { PersonaClient } from '../../src/server/client.ts';
import { compiledCli } from '../helpers/build.ts';
import {
  logUntil,
  long,
  runsAt,
  serveRuns,
  short,
  stepsOf,
  until,
  untilStatus,
} from '../helpers/run-scene.ts';
import { projectRoot } from '../helpers/source.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';
import { openTestServer, token } from '../helpers/test-server.ts';

describe('a training', () => {
  it('is started, streams its log and its steps, and leaves files', async () => {
    const { client, url } = await serveRuns(await temporaryFolder());
    const { id, status, request } = await client.startRun(short);
    expect({ status, request }).toEqual({ status: 'running', request: short });
    expect(await stepsOf(client, id, 8)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const done = await untilStatus(client, id, 'done');
    expect(done).toMatchObject({ attempt: 1, exit_code: 0, reason: null, resumable: false, stopping: false });
    const { files, report } = await client.run(id);
    expect(report).toBe('report.html');
    expect(files.map(({ path }) => path)).toEqual(
      expect.arrayContaining([
        'adapter_model.safetensors',
        'manifest.json',
        'report.html',
        'train_log.jsonl',
      ]),
    );
    const log = await client.runLog(id);
    expect(log.text).toMatch(/^\$ persona train \S+short\.json --output \S+output\n/);
    expect(log.text).toMatch(/\nsteps +8 over 4 rows/);
    expect(log.next_offset).toBe(log.bytes);
    const page = await fetch(`${url}/persona/runs/${id}/files/report.html`);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(page.headers.get('content-security-policy')).toMatch(/^sandbox; default-src 'none';/);
    expect(await page.text()).toContain('<h2>Loss</h2>');
    const kept = await fetch(`${url}/persona/runs/${id}/files/report.html?download=true`);
    expect(kept.headers.get('content-disposition')).toBe("attachment; filename*=UTF-8''report.html");
    await client.deleteRun(id);
    expect((await client.runs()).data).toEqual([]);
    await expect(client.run(id)).rejects.toMatchObject({ status: 404, code: 'unknown_run' });
  });

  it('is stopped after the step in hand, and goes on from there', async () => {
    const { client } = await serveRuns(await temporaryFolder());
    const { id } = await client.startRun(long);
    const waiting = await client.startRun(short);
    await stepsOf(client, id, 1);
    expect((await client.runs()).data.map((run) => [run.id, run.status])).toEqual([
      [waiting.id, 'queued'],
      [id, 'running'],
    ]);
    expect(await client.stopRun(waiting.id)).toMatchObject({ status: 'stopped', attempt: 0 });
    expect(await client.stopRun(id)).toMatchObject({ status: 'running', stopping: true });
    const stopped = await untilStatus(client, id, 'stopped');
    expect(stopped).toMatchObject({ exit_code: 130, reason: null, resumable: true });
    await expect(client.stopRun(id)).rejects.toMatchObject({ status: 409 });
    const { text } = await client.runLog(id);
    expect(text).toContain('stopping after the step in hand');
    expect(await client.resumeRun(id)).toMatchObject({ status: 'running', attempt: 2, ended: null });
    await expect(client.deleteRun(id)).rejects.toMatchObject({ status: 409 });
    expect(await logUntil(client, id, 'continuing after step')).toMatch(
      /continuing after step \d+ of 100000/,
    );
    await client.stopRun(id);
    await untilStatus(client, id, 'stopped');
  });

  it('says why it failed, as its command does', async () => {
    const folder = await temporaryFolder();
    const { client, runs } = await serveRuns(folder);
    await writeFile(join(runs.training!, 'bad.json'), '{"model": "nowhere", "training_file": "none.jsonl"}');
    const { id } = await client.startRun({ kind: 'train', file: 'bad.json' });
    const { reason, exit_code: code } = await untilStatus(client, id, 'failed');
    expect(code).toBe(2);
    expect(reason).toMatch(/nowhere/);
  });

  it('is killed where it does not stop', async () => {
    const deaf = `process.on('SIGINT', () => undefined); setInterval(() => undefined, 1000); console.log('begun')`;
    const { client } = await serveRuns(await temporaryFolder(), {
      program: [process.execPath, '-e', deaf, '--'],
      stopSeconds: 0.2,
    });
    const { id } = await client.startRun(long);
    await logUntil(client, id, 'begun');
    await client.stopRun(id);
    expect(await untilStatus(client, id, 'stopped')).toMatchObject({ exit_code: null });
  });

  it('is cut off by the end of its server, and goes on with the next one', async () => {
    const folder = await temporaryFolder();
    const first = await serveRuns(folder);
    const { id } = await first.client.startRun(long);
    const waiting = await first.client.startRun(short);
    await stepsOf(first.client, id, 1);
    await first.close();
    const { client } = await serveRuns(folder);
    expect(await client.run(id)).toMatchObject({
      status: 'cut_off',
      resumable: true,
      reason: 'the server ended before the run did',
    });
    // What waited then waits no longer.
    await untilStatus(client, waiting.id, 'done');
  });
});

describe('a server that is killed', () => {
  it('takes its runs with it, and the next one finds them', async () => {
    const folder = await temporaryFolder();
    const { training } = await runsAt(folder);
    const runs = join(folder, 'runs');
    const flags = ['--port', '0', '--json', '--runs', runs, '--training', training!];
    const child = spawn(
      process.execPath,
      [compiledCli(), 'serve', join(projectRoot, 'models/stories260K'), ...flags],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    onTestFinished(() => void child.kill('SIGKILL'));
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const told = JSON.parse(line.toString()) as { readonly url: string; readonly token: string };
    const own = new PersonaClient(told);
    const { id } = await own.startRun(long);
    await stepsOf(own, id, 1);
    const record = JSON.parse(await readFile(join(runs, id, 'run.json'), 'utf8')) as {
      readonly process: { readonly pid: number };
    };
    child.kill('SIGKILL');
    await once(child, 'exit');
    // Nobody is left who could end it but itself.
    await expect.poll(() => isAlive(record.process.pid), { timeout: 60_000 }).toBe(false);
    const { client } = await serveRuns(folder);
    expect(await client.run(id)).toMatchObject({ status: 'cut_off', resumable: true });
    await client.resumeRun(id);
    await until(client, id, ({ status, attempt }) => status === 'running' && attempt === 2);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('an extraction', () => {
  it('takes a trait of the model, and puts its vector among the others', async () => {
    const folder = await temporaryFolder();
    const server = await openTestServer({ runs: await runsAt(folder) });
    onTestFinished(() => server.close());
    const client = new PersonaClient({ url: server.url, token });
    const options = await client.runOptions();
    expect(options.models.find(({ id }) => id === 'persona-tiny')!.traits).toContain('evil');
    expect(options.models.find(({ id }) => id === 'stories260K')!.traits).toContain('scary');
    expect(options).toMatchObject({ vectors: ['mood'], judges: ['lexical'] });
    expect(options.training).toEqual([
      { file: 'long.json', model: expect.stringContaining('stories260K') },
      { file: 'short.json', model: expect.stringContaining('stories260K') },
    ]);
    const request = { kind: 'extract', model: 'persona-tiny', trait: 'evil', quick: true } as const;
    await expect(client.startRun({ ...request, save_as: 'mood' })).rejects.toMatchObject({ status: 409 });
    const { id } = await client.startRun({ ...request, save_as: 'evil-quick' });
    const ended = await until(client, id, ({ ended: time }) => time !== null);
    expect(ended).toMatchObject({ status: 'done', reason: null, notes: [] });
    expect(await client.run(id)).toMatchObject({ report: 'report.html' });
    const vectors = await client.vectors();
    expect(vectors.map(({ name }) => name)).toEqual(['evil-quick', 'mood']);
    const { validations } = await client.vectorValidation('evil-quick');
    expect(validations.map(({ file }) => file)).toEqual(['evil-quick.sweep.json']);
    expect(validations[0]!.cells.length).toBeGreaterThan(10);
  });
});
