import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import type { App } from './app.ts';
import { readBody, readQuery } from './body.ts';
import { HttpFailure } from './failure.ts';
import { checkToken } from './guard.ts';
import { runOptions } from './run-check.ts';
import { fileInside } from './run-files.ts';
import { partBytes, readLog, tailOffset } from './run-log.ts';
import type { OpenRuns } from './open-runs.ts';
import * as api from './runs-api.ts';
import type { ServerSettings } from './settings.ts';

const root = '/persona/runs';
const one = `${root}/:id`;

/** The routes of runs; a server that starts none says so. */
export function addRuns(
  app: App,
  { keys, token, limits, logText }: Pick<ServerSettings, 'keys' | 'token' | 'limits' | 'logText'>,
  open: OpenRuns | null,
): void {
  for (const path of [root, `${root}/*`]) {
    app.use(path, async (c, next) => {
      // Who may ask for replies may not read what its owner trains on.
      if (keys !== null) checkToken(c.req.raw, token);
      await next();
    });
    if (open === null) app.all(path, refuse);
  }
  if (open === null) return;
  const { runs, events } = open;
  app.get(root, (c) => c.json(runs.list()));
  app.post(root, async (c) => {
    const body = await readBody(c, api.runRequest, { limits, logText });
    return c.json(await runs.start(body));
  });
  app.get(`${root}/options`, async (c) => c.json(await runOptions(runs.scene)));
  app.get(`${root}/events`, () => events.all());
  app.get(one, async (c) => c.json(await runs.detail(c.req.param('id'))));
  app.delete(one, async (c) => {
    const id = c.req.param('id');
    await runs.remove(id);
    return c.json({ id, deleted: true });
  });
  app.post(`${one}/stop`, async (c) => c.json(await runs.stop(c.req.param('id'))));
  app.post(`${one}/resume`, async (c) => c.json(await runs.resume(c.req.param('id'))));
  app.get(`${one}/events`, (c) => events.one(c.req.param('id'), c.req.header('last-event-id') ?? null));
  app.get(`${one}/log`, async (c) => {
    const { log } = runs.places(c.req.param('id'));
    const { offset, limit = partBytes } = readQuery(c, api.logQuery);
    return c.json(await readLog(log, offset ?? (await tailOffset(log, limit)), limit));
  });
  app.get(`${one}/files/:path{.+}`, async (c) => {
    const { output } = runs.places(c.req.param('id'));
    const { download } = readQuery(c, api.fileQuery);
    return answerFile(output, c.req.param('path'), download === 'true');
  });
}

function refuse(): never {
  throw new HttpFailure(404, 'this server starts no runs; start it with --runs FOLDER', { code: 'no_runs' });
}

/** Whatever a file holds, it runs no script, asks for nothing, and has no origin. */
const pagePolicy =
  "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'";

/** A file of a run's output: a page to be looked at, anything else to be kept. */
async function answerFile(output: string, path: string, download: boolean): Promise<Response> {
  const file = await fileInside(output, path);
  if (file === null) throw new HttpFailure(404, 'found no such file of the run', { code: 'unknown_file' });
  const isPage = file.endsWith('.html') && !download;
  const name = encodeURIComponent(basename(file)).replaceAll("'", '%27');
  const { size } = await stat(file);
  return new Response(Readable.toWeb(createReadStream(file)) as ReadableStream<Uint8Array>, {
    headers: {
      'content-type': isPage ? 'text/html; charset=utf-8' : 'application/octet-stream',
      'content-length': String(size),
      'content-security-policy': pagePolicy,
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      ...(!isPage && { 'content-disposition': `attachment; filename*=UTF-8''${name}` }),
    },
  });
}
