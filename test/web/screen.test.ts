/** Screened data as somebody uses it: in a browser, against a server. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startServer, type RunningServer } from '../../src/server/start.ts';
import { describeWithBrowser, harmTo, hostile, openBrowser, seriousFindings } from '../helpers/browser.ts';
import { builtDashboard } from '../helpers/dashboard.ts';
import { differenceOf, rankOf, writeSyntheticScreen } from '../helpers/synthetic-screen.ts';
import { modelless } from '../helpers/test-server.ts';

/** More than a browser draws as one element. */
const count = 300_000;

describeWithBrowser('screened data', () => {
  let folder: string;
  let server: RunningServer;
  let url: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'persona-screens-'));
    await writeSyntheticScreen(join(folder, 'large'), count);
    await writeSyntheticScreen(join(folder, hostile.fileName), 60, [
      hostile.markup,
      hostile.control,
      hostile.long,
    ]);
    const settings = { ...modelless, screens: [folder], dashboard: await builtDashboard() };
    server = await startServer(settings, { host: '127.0.0.1', port: 0, log: () => undefined });
    url = `http://127.0.0.1:${server.port}`;
  });
  afterAll(async () => {
    await server.close(1000);
    await rm(folder, { recursive: true });
  });

  const grid = (page: Page) => page.getByRole('grid', { name: 'Rows' });
  /** Places of the rows in falling order of the trait `evil`. */
  const falling = new Uint32Array(count);
  for (let i = 0; i < count; i++) falling[count - 1 - rankOf(i, count)] = i;
  /** The first cells and the scores of the rows that stand in the window of the table, from its top. */
  const inSight = (page: Page): Promise<string[]> =>
    grid(page).evaluate((element) => {
      const { top, bottom } = element.getBoundingClientRect();
      return [...element.querySelectorAll('.row-line')]
        .filter(
          (row) =>
            row.getBoundingClientRect().top >= top + 30 && row.getBoundingClientRect().bottom <= bottom,
        )
        .map((row) => `${row.querySelector('.nr')!.textContent} ${row.querySelector('.score')!.textContent}`);
    });
  const line = (rank: number): string => {
    const value = differenceOf(count - 1 - rank, count);
    const text = Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
    return `${(rank + 1).toLocaleString('en')} ${value > 0 ? '+' : ''}${text.replace('-', '−')}`;
  };

  it('are flagged from a threshold on that keys move, shown, and exported', async () => {
    const { page, troubles } = await openBrowser(url);
    await page.goto('/app/screen');
    await page.getByRole('link', { name: 'large' }).click();
    await page.getByText('15,000 flagged (5.00 %), 285,000 kept').waitFor();
    const slider = page.getByRole('slider', { name: 'Threshold' });
    await slider.focus();
    await slider.press('End');
    await page.getByText('0 flagged (0.00 %), 300,000 kept', { exact: true }).waitFor();
    for (let i = 0; i < 4; i++) await slider.press('PageDown');
    await slider.press('ArrowRight');
    const threshold = Number(await slider.getAttribute('aria-valuenow'));
    const flagged = Array.from({ length: count }, (_, rank) => differenceOf(rank, count)).filter(
      (value) => value >= threshold,
    ).length;
    expect(flagged).toBeGreaterThan(0);
    expect(flagged).toBeLessThan(15_000);
    await page.getByText(new RegExp(`^${flagged.toLocaleString('en')} flagged`)).waitFor();
    await page.getByText('Flagged', { exact: true }).click();
    await page.locator(`[aria-rowcount="${flagged + 1}"]`).waitFor();
    await page.locator('[aria-rowindex="3"] .text bdi').waitFor();
    expect((await inSight(page))[1]).toBe(`${line(1)}, flagged`);
    const downloading = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Flagged rows' }).click();
    const lines = (await readFile(await (await downloading).path(), 'utf8')).trimEnd().split('\n');
    expect(lines).toHaveLength(flagged);
    const highest = [...falling.subarray(0, flagged)].sort((a, b) => a - b);
    expect(lines.map((text) => (JSON.parse(text) as { id: string }).id)).toEqual(
      highest.map((i) => `row-${i}`),
    );
    await page.reload();
    await page.getByText(new RegExp(`^${flagged.toLocaleString('en')} flagged`)).waitFor();
    expect(await page.getByRole('radio', { name: 'Flagged' }).isChecked()).toBe(true);
    expect(troubles).toEqual([]);
  });

  it('are scrolled through to any place, row by row and by the bar', async () => {
    const { page, troubles } = await openBrowser(url);
    await page.goto('/app/screen/large');
    await page.locator('[aria-rowindex="2"] .text bdi').waitFor();
    const table = grid(page);
    await table.focus();
    await table.press('End');
    await page.locator(`[aria-rowindex="${count + 1}"] .text bdi`).waitFor();
    expect((await inSight(page)).at(-1)).toBe(line(count - 1));
    await table.press('ArrowUp');
    await table.press('Enter');
    const detail = page.getByRole('region', { name: 'Row' });
    await detail.getByText(`How do I grow plant ${falling[count - 2]!}?`).waitFor();
    await detail.getByRole('button', { name: 'Close' }).click();
    // By the bar: the middle of it is the middle of the rows.
    await table.evaluate(
      (element) => (element.scrollTop = (element.scrollHeight - element.clientHeight) / 2),
    );
    await page.locator(`[aria-rowindex="${count / 2}"] .text bdi`).waitFor();
    const [before] = await inSight(page);
    await table.hover();
    for (let i = 0; i < 20; i++) await page.mouse.wheel(0, 340);
    const rank = Number(before!.split(' ')[0]!.replaceAll(',', '')) - 1;
    await expect.poll(async () => (await inSight(page))[0]).toBe(line(rank + 200));
    await table.press('Home');
    await page.locator('[aria-rowindex="2"] .text bdi').waitFor();
    expect((await inSight(page))[0]).toContain('1 +');
    expect(troubles).toEqual([]);
  });

  it('have what is chosen in their address at once, for whoever loads the page again next', async () => {
    const { page } = await openBrowser(url);
    await page.goto('/app/screen/large');
    await page.locator('[aria-rowindex="2"] .text bdi').waitFor();
    const hash = await page.getByText('Flagged', { exact: true }).evaluate(async (label) => {
      label.click();
      await new Promise((resolve) => setTimeout(resolve, 0));
      return label.ownerDocument.location.hash;
    });
    expect(hash).toBe('#show=flagged');
    await page.reload();
    await page.locator('[aria-rowcount="15001"]').waitFor();
    expect(await page.getByRole('radio', { name: 'Flagged' }).isChecked()).toBe(true);
  });

  it('are not covered by the head of the table when they are scrolled to', async () => {
    const { page } = await openBrowser(url);
    await page.goto('/app/screen/large');
    const row = page.locator('[aria-rowindex="9"]');
    await row.locator('.text bdi').waitFor();
    const isClear = await row.evaluate((element) => {
      element.scrollIntoView({ block: 'start' });
      const { left, top } = element.getBoundingClientRect();
      return element.contains(element.ownerDocument.elementFromPoint(left + 8, top + 2));
    });
    expect(isClear).toBe(true);
  });

  it('of any text show as text, are accessible and fit on a phone', async () => {
    for (const [size, colours] of [
      ['laptop', 'dark'],
      ['phone', 'light'],
    ] as const) {
      const { page, troubles } = await openBrowser(url, { size, colours });
      await page.goto('/app/screen');
      await page.getByRole('link', { name: hostile.fileName }).click();
      await page.locator('[aria-rowindex="2"] .text bdi').click();
      await page.getByRole('region', { name: 'Row' }).getByText('⟨U+0007⟩').first().waitFor();
      expect(await harmTo(page)).toEqual({ ran: false, tooWide: 0 });
      expect(await page.title()).toBe('Screen · persona');
      expect(await seriousFindings(page)).toEqual([]);
      expect(troubles).toEqual([]);
    }
  });

  it('that there are none of say what to do', async () => {
    const bare = await startServer(
      { ...modelless, dashboard: await builtDashboard() },
      { host: '127.0.0.1', port: 0, log: () => undefined },
    );
    const { page } = await openBrowser(`http://127.0.0.1:${bare.port}`);
    await page.goto('/app/screen');
    await page.getByText('This server shows no screenings').waitFor();
    expect(await page.locator('pre').textContent()).toContain('persona serve --screens');
    await bare.close(1000);
  });
});
