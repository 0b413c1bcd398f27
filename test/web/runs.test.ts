/** Runs as somebody starts and watches them: in a browser, against a server that trains the model that ships. */
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, it, onTestFinished } from 'vitest';
import { startServer } from '../../src/server/start.ts';
import { describeWithBrowser, harmTo, hostile, openBrowser, seriousFindings } from '../helpers/browser.ts';
import { builtDashboard } from '../helpers/dashboard.ts';
import { type RunScene, serveRuns, short, untilStatus } from '../helpers/run-scene.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';
import { modelless, token } from '../helpers/test-server.ts';

const serve = async (): Promise<RunScene> =>
  serveRuns(await temporaryFolder(), {}, { dashboard: await builtDashboard() });

const giveToken = async (page: Page): Promise<void> => {
  await page.getByLabel('Token').last().fill(token);
  await page.getByRole('button', { name: 'Continue' }).click();
};

describeWithBrowser('runs', () => {
  it('are started from the form, drawn as they run, stopped and resumed', async () => {
    const { url } = await serve();
    const { page, troubles } = await openBrowser(url);
    await page.goto('/app/runs');
    await page.getByRole('link', { name: 'start a run' }).click();
    await page.getByRole('link', { name: 'Training' }).click();
    await page.getByRole('combobox', { name: 'Training file' }).selectOption('long.json');
    await page.getByRole('button', { name: 'Start' }).click();
    // Who may ask for replies may not train.
    await giveToken(page);
    await page.getByRole('heading', { name: 'Training: long.json' }).waitFor();
    expect(new URL(page.url()).pathname).toMatch(/^\/app\/runs\/train-\d{8}-\d{6}-[0-9a-f]{4}$/);
    const loss = page.getByRole('slider', { name: 'Loss by step' });
    const drawn = async (): Promise<number> => Number(await loss.getAttribute('aria-valuemax'));
    await loss.waitFor();
    const first = await drawn();
    await expect.poll(drawn, { timeout: 60_000 }).toBeGreaterThan(first);
    await loss.press('Home');
    expect(await loss.getAttribute('aria-valuetext')).toMatch(/^step \d+: training rows \d/);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('stopped', { exact: true }).waitFor();
    expect(await page.getByRole('log').textContent()).toContain('stopping after the step in hand');
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.getByText(/attempt 2/).waitFor();
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('stopped', { exact: true }).waitFor();
    // The browser itself tells of the call without the token.
    expect(troubles.filter((text) => !text.includes('401'))).toEqual([]);
  });

  it('show their report in a frame, their files, and go away', async () => {
    const { url, client } = await serve();
    const { id } = await client.startRun(short);
    const { page, troubles } = await openBrowser(url);
    await page.goto(`/app/runs/${id}`);
    await page.getByText('done', { exact: true }).waitFor({ timeout: 120_000 });
    await page.getByRole('link', { name: 'Open the report' }).click();
    expect(new URL(page.url()).pathname).toBe(`/app/runs/${id}/report`);
    const report = page.frameLocator('iframe[title="Report of the run"]');
    await report.getByRole('heading', { name: 'Loss' }).waitFor();
    expect(await page.getByTitle('Report of the run').getAttribute('sandbox')).toBe('');
    await page.getByRole('link', { name: 'Log and files' }).click();
    const download = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Download manifest.json' }).click();
    expect((await download).suggestedFilename()).toBe('manifest.json');
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('button', { name: 'Delete with all files?' }).click();
    await giveToken(page);
    await page.getByText('No run yet').waitFor();
    expect((await client.runs()).data).toEqual([]);
    // With the token the run's stream is opened anew, which may come after the run has gone.
    expect(troubles.filter((text) => !/401|404/.test(text))).toEqual([]);
  });

  it('show hostile names as text, on a phone too, and can be used without sight', async () => {
    const { url, client, runs } = await serve();
    const names = [hostile.fileName, hostile.control, hostile.rightToLeft, 'x'.repeat(200)];
    for (const name of names) {
      const file = `${name}.json`;
      await copyFile(join(runs.training!, 'short.json'), join(runs.training!, file));
      const { id } = await client.startRun({ kind: 'train', file });
      await client.stopRun(id).catch(() => undefined);
    }
    const { id } = await client.startRun(short);
    await untilStatus(client, id, 'done');
    const marked = (await client.runs()).data.at(-1)!.id;
    const { page, troubles } = await openBrowser(url, { size: 'phone', colours: 'dark' });
    for (const path of ['/app/runs', '/app/runs/new/train', `/app/runs/${marked}`, `/app/runs/${id}`]) {
      await page.goto(path);
      await page
        .getByText(/short\.json|onerror/)
        .first()
        .waitFor({ state: 'attached' });
      expect([path, await harmTo(page)]).toEqual([path, { ran: false, tooWide: 0 }]);
      expect([path, await seriousFindings(page)]).toEqual([path, []]);
    }
    expect(troubles).toEqual([]);
  });

  it('say what to do where the server starts none', async () => {
    const settings = { ...modelless, dashboard: await builtDashboard() };
    const server = await startServer(settings, { host: '127.0.0.1', port: 0, log: () => undefined });
    onTestFinished(() => server.close(1000));
    const { page } = await openBrowser(`http://127.0.0.1:${server.port}`);
    await page.goto('/app/runs');
    await page.getByText('persona serve --runs').waitFor();
    expect(await seriousFindings(page)).toEqual([]);
  });
});
