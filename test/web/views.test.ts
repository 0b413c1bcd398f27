/** Every view, filled and empty, light and dark, on a laptop and on a phone: nothing that hinders somebody, nothing too wide. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startServer } from '../../src/server/start.ts';
import { describeWithBrowser, harmTo, openBrowser, seriousFindings } from '../helpers/browser.ts';
import { builtDashboard } from '../helpers/dashboard.ts';
import {
  barePages,
  type DashboardPage,
  filledPages,
  freshPages,
  serveFilled,
  serveFresh,
} from '../helpers/dashboard-scene.ts';
import { modelless } from '../helpers/test-server.ts';

describeWithBrowser('every view', () => {
  let folder: string;
  const closing: (() => Promise<void>)[] = [];
  const served: { readonly name: string; readonly url: string; readonly pages: readonly DashboardPage[] }[] =
    [];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'persona-views-'));
    for (const [name, serve, pages] of [
      ['filled', serveFilled, filledPages],
      ['fresh', serveFresh, freshPages],
    ] as const) {
      await mkdir(join(folder, name));
      const server = await serve(join(folder, name));
      closing.push(server.close);
      served.push({ name, url: server.url, pages });
    }
    const settings = { ...modelless, dashboard: await builtDashboard() };
    const bare = await startServer(settings, { host: '127.0.0.1', port: 0, log: () => undefined });
    closing.push(bare.close);
    served.push({ name: 'bare', url: `http://127.0.0.1:${bare.port}`, pages: barePages });
  });
  afterAll(async () => {
    for (const close of closing) await close();
    await rm(folder, { recursive: true });
  });

  it.each([
    { size: 'laptop', colours: 'light' },
    { size: 'laptop', colours: 'dark' },
    { size: 'phone', colours: 'light' },
    { size: 'phone', colours: 'dark' },
  ] as const)('fits, and has no serious finding of axe: %j', async (options) => {
    const { page, troubles } = await openBrowser('http://127.0.0.1:', options);
    const found: unknown[] = [];
    for (const { name, url, pages } of served)
      for (const { name: view, path, ready } of pages) {
        await page.goto(url + path);
        await ready(page);
        const { tooWide } = await harmTo(page);
        const headings = await page.getByRole('heading', { level: 1 }).count();
        const serious = await seriousFindings(page);
        if (tooWide > 0 || headings !== 1 || serious.length > 0)
          found.push({ view: `${name} ${view}`, tooWide, headings, serious });
      }
    expect(found).toEqual([]);
    // The browser itself tells of what is not there: folders that a server was told of none of, a run and a vector.
    expect(troubles.filter((text) => !text.includes('status of 404'))).toEqual([]);
  });
});
