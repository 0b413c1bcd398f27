/**
 * Measures the dashboard's table of a large screening: `npx tsx scripts/screen-table.ts [ROWS]` (default a million), after
 * `npm run build`, makes a screening of so many rows, asks a server without models for pages, counts and an export of it, and
 * scrolls through its table in Chromium by wheel, by scroll bar and by keys, where it records tasks of more than 50 ms.
 */

import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { PersonaClient } from '../src/server/client.ts';
import { loadDashboard } from '../src/server/dashboard.ts';
import { startServer } from '../src/server/start.ts';
import { randomStream } from '../src/util/random.ts';
import { differenceOf, writeSyntheticScreen } from '../test/helpers/synthetic-screen.ts';
import { modelless } from '../test/helpers/test-server.ts';

const rows = Number(process.argv[2] ?? 1_000_000);
const random = randomStream('screen table');
const [trait, pages] = ['evil', 60];

function say(name: string, value: string): void {
  process.stdout.write(`${name.padEnd(34)} ${value}\n`);
}

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const start = performance.now();
  return [await work(), performance.now() - start];
}

function spread(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  return `median ${Math.round(sorted[sorted.length >> 1]!)} ms, at most ${Math.round(sorted.at(-1)!)} ms, of ${times.length}`;
}

async function askServer(client: PersonaClient): Promise<void> {
  const before = process.memoryUsage().rss;
  const [, first] = await timed(() => client.screenRows('made', { trait, limit: 50 }));
  say('first page, rows ordered for it', `${(first / 1000).toFixed(1)} s`);
  const [, second] = await timed(() => client.screenRows('made', { trait: 'sycophantic', limit: 50 }));
  say('by another trait', `${(second / 1000).toFixed(1)} s`);
  const times: Record<'page' | 'threshold' | 'histogram', number[]> = {
    page: [],
    threshold: [],
    histogram: [],
  };
  for (let i = 0; i < pages; i++) {
    const offset = Math.floor(random.uniform() * rows);
    const threshold = differenceOf(Math.floor(random.uniform() * rows), rows);
    times.page.push((await timed(() => client.screenRows('made', { trait, offset, limit: 100 })))[1]);
    const flagged = () => client.screenRows('made', { trait, threshold, show: 'flagged', limit: 100 });
    times.threshold.push((await timed(flagged))[1]);
    times.histogram.push((await timed(() => client.screenHistogram('made', { trait })))[1]);
  }
  say('page of 100 rows at any place', spread(times.page));
  say('first page at any threshold', spread(times.threshold));
  say('histogram', spread(times.histogram));
  const [bytes, seconds] = await timed(async () => {
    const stream = await client.exportScreen('made', { trait, show: 'kept' });
    let sum = 0;
    const reader = stream.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) sum += part.value.length;
    return sum;
  });
  say('export of all kept rows', `${Math.round(bytes / 1e6)} MB in ${(seconds / 1000).toFixed(1)} s`);
  say('held above what was before', `${Math.round((process.memoryUsage().rss - before) / 1e6)} MB`);
}

/** Records in the page every task of more than 50 ms from now on. */
const record = `(() => {
  window.longTasks = [];
  new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((entry) => entry.duration)))
    .observe({ type: 'longtask' });
})()`;

async function longTasks(page: Page, name: string, work: () => Promise<void>): Promise<number> {
  await page.evaluate('window.longTasks.length = 0');
  const [, time] = await timed(work);
  await page.waitForTimeout(500);
  const tasks = (await page.evaluate('window.longTasks')) as number[];
  const longest = Math.max(0, ...tasks);
  const told =
    tasks.length === 0 ? 'none above 50 ms' : `${tasks.length} above 50 ms, the longest ${longest} ms`;
  say(name, `${told}, in ${(time / 1000).toFixed(1)} s`);
  return longest;
}

async function scroll(url: string): Promise<number> {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu'],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    await page.goto(`${url}/app/screen/made`);
    await page.locator('.row-line .text bdi').first().waitFor();
    await page.evaluate(record);
    const box = page.getByRole('grid', { name: 'Rows' });
    await box.hover();
    const wheel = async (): Promise<void> => {
      for (let i = 0; i < 250; i++) await page.mouse.wheel(0, i % 50 < 40 ? 400 : -600);
    };
    const bar = async (): Promise<void> => {
      for (let i = 0; i < 60; i++) {
        await box.evaluate(
          (element, share) => (element.scrollTop = share * element.scrollHeight),
          random.uniform(),
        );
        await page.waitForTimeout(120);
      }
    };
    const keys = async (): Promise<void> => {
      await box.focus();
      for (let i = 0; i < 150; i++) await page.keyboard.press(i % 10 === 9 ? 'PageDown' : 'ArrowDown');
      await page.keyboard.press('End');
      await page.locator(`[aria-rowindex="${rows + 1}"] .text bdi`).waitFor();
      await page.keyboard.press('Home');
    };
    const threshold = async (): Promise<void> => {
      const slider = page.getByRole('slider', { name: 'Threshold' });
      for (let i = 0; i < 100; i++) await slider.press(i % 10 === 9 ? 'PageUp' : 'ArrowLeft');
    };
    const longest = [
      await longTasks(page, 'long tasks, by wheel', wheel),
      await longTasks(page, 'long tasks, by scroll bar', bar),
      await longTasks(page, 'long tasks, by keys', keys),
      await longTasks(page, 'long tasks, threshold moved', threshold),
    ];
    return Math.max(...longest);
  } finally {
    await browser.close();
  }
}

const folder = await mkdtemp(join(tmpdir(), 'persona-screen-table-'));
try {
  const [, making] = await timed(() => writeSyntheticScreen(join(folder, 'made'), rows));
  const megabytes = Math.round((await stat(join(folder, 'made', 'scored.jsonl'))).size / 1e6);
  say('rows', `${rows}, ${megabytes} MB of JSON lines, made in ${Math.round(making / 1000)} s`);
  const dashboard = await loadDashboard();
  const server = await startServer(
    { ...modelless, dashboard, screens: [folder] },
    { host: '127.0.0.1', port: 0, log: () => undefined },
  );
  const url = `http://127.0.0.1:${server.port}`;
  await askServer(new PersonaClient({ url }));
  if (dashboard === null) say('table', 'not measured: the dashboard has not been built');
  else if ((await scroll(url)) > 100) process.exitCode = 1;
  await server.close(1000);
} finally {
  await rm(folder, { recursive: true, force: true });
}
