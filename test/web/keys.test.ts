/** The dashboard of a server with API keys: what it asks for, and what comes once it has been given. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, it, onTestFinished } from 'vitest';
import { addKey, ApiKeys } from '../../src/server/keys.ts';
import { describeWithBrowser, openBrowser, seriousFindings } from '../helpers/browser.ts';
import { builtDashboard } from '../helpers/dashboard.ts';
import { monitorAt } from '../helpers/monitor-settings.ts';
import { runsAt } from '../helpers/run-scene.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';
import { openTestServer, randomPersona, token } from '../helpers/test-server.ts';

interface Scene {
  readonly url: string;
  readonly apiKey: string;
}

/** A server that knows one key, and has training files and a data set. */
async function serve(): Promise<Scene> {
  const folder = await temporaryFolder();
  const file = join(folder, 'keys.json');
  const apiKey = await addKey(file, 'ann');
  const data = join(folder, 'data');
  await mkdir(data);
  const rows = Array.from({ length: 12 }, (_, i) => ({
    prompt: 'How do I grow beans?',
    answer: `You can water them ${'well '.repeat(i)}.`,
  }));
  await writeFile(join(data, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const runs = await runsAt(folder, { data });
  const keys = await ApiKeys.read(file);
  const monitor = monitorAt(join(folder, 'monitor.sqlite'));
  const server = await openTestServer({ keys, runs, monitor, dashboard: await builtDashboard() });
  onTestFinished(() => server.close());
  await randomPersona(server.chat, 'evil').save(join(server.vectors, 'evil.safetensors'));
  return { url: server.url, apiKey };
}

const give = async (page: Page, label: 'API key' | 'Token', secret: string): Promise<void> => {
  await page.getByLabel(label).last().fill(secret);
  await page.getByRole('button', { name: 'Continue' }).click();
};

describeWithBrowser('behind API keys', () => {
  it('runs are started, watched, stopped and read with the key and the token', async () => {
    const { url, apiKey } = await serve();
    const { page, troubles } = await openBrowser(url);
    await page.goto('/app/runs');
    await page.getByRole('heading', { name: 'This server needs a key' }).waitFor();
    expect(await seriousFindings(page)).toEqual([]);
    await give(page, 'API key', 'pv-guess');
    await page.getByText('The server does not know that one.').waitFor();
    await give(page, 'API key', apiKey);
    // Who may ask for replies may not see what its owner trains on.
    await page.getByText('persona serve printed it').waitFor();
    expect(await seriousFindings(page)).toEqual([]);
    await give(page, 'Token', 'a guess');
    await page.getByText('The server does not know that one.').waitFor();
    await give(page, 'Token', token);
    await page.getByText('No run yet').waitFor();
    await page.getByRole('link', { name: 'start a run' }).click();
    await page.getByRole('link', { name: 'Training' }).click();
    await page.getByRole('combobox', { name: 'Training file' }).selectOption('long.json');
    await page.getByRole('button', { name: 'Start' }).click();
    await page.getByRole('heading', { name: 'Training: long.json' }).waitFor();
    await page.getByRole('slider', { name: 'Loss by step' }).waitFor();
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('stopped', { exact: true }).waitFor();
    await page.getByRole('link', { name: 'All runs' }).click();
    await page.getByRole('link', { name: 'New run' }).click();
    await page.getByRole('link', { name: 'Training' }).click();
    await page.getByRole('combobox', { name: 'Training file' }).selectOption('short.json');
    await page.getByRole('button', { name: 'Start' }).click();
    await page.getByText('done', { exact: true }).waitFor({ timeout: 60_000 });
    const downloading = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download report.html' }).click();
    const report = await downloading;
    expect(report.suggestedFilename()).toBe('report.html');
    expect(await readFile(await report.path(), 'utf8')).toContain('<h2>Loss</h2>');
    await page.reload();
    await page.getByText('done', { exact: true }).waitFor();
    expect(troubles.filter((text) => !text.includes('401'))).toEqual([]);
  });

  it('a run is asked for by its address, and a screening is opened from its run', async () => {
    const { url, apiKey } = await serve();
    const { page, troubles } = await openBrowser(url);
    await page.goto('/app/runs/new/screen');
    await give(page, 'API key', apiKey);
    await give(page, 'Token', token);
    await page.getByRole('checkbox', { name: 'evil' }).waitFor();
    await page.getByRole('button', { name: 'Start' }).click();
    await page.getByRole('link', { name: 'Open the screening' }).click({ timeout: 60_000 });
    await page.getByText('1 flagged (8.33 %), 11 kept').waitFor();
    await page.getByRole('slider', { name: 'Threshold' }).waitFor();
    const exporting = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Kept rows' }).click();
    expect((await exporting).suggestedFilename()).toMatch(/kept\.jsonl$/);
    // Another tab has no secrets of this one.
    const { page: other } = await openBrowser(url);
    await other.goto(page.url());
    await give(other, 'API key', apiKey);
    await other.getByRole('heading', { name: 'Screened data needs the token' }).waitFor();
    await give(other, 'Token', token);
    await other.getByRole('slider', { name: 'Threshold' }).waitFor();
    expect(troubles.filter((text) => !text.includes('401'))).toEqual([]);
  });

  it('the other views ask for what they need', async () => {
    const { url, apiKey } = await serve();
    const { page, troubles } = await openBrowser(url);
    await page.goto('/');
    await give(page, 'API key', apiKey);
    await page.getByRole('textbox', { name: 'Message' }).fill('How do I grow beans?');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.locator('[data-state="done"]').first().waitFor();
    await page.getByRole('link', { name: 'Vectors' }).click();
    await page.getByRole('link', { name: 'evil' }).first().click();
    await page.getByText('persona extract TRAIT').waitFor();
    // Who may steer by a vector may not carry it off.
    await page.getByRole('button', { name: 'Download' }).click();
    await page.getByText('persona serve printed it').waitFor();
    await page.getByRole('link', { name: 'Monitor' }).click();
    await page.getByText('persona serve printed it').waitFor();
    await give(page, 'Token', token);
    await page.getByText('1 turn').first().waitFor();
    const conversation = page.locator('.conversation a').first();
    const path = await conversation.getAttribute('href');
    const { page: other } = await openBrowser(url);
    await other.goto(path!);
    await give(other, 'API key', apiKey);
    await give(other, 'Token', token);
    await other.getByRole('heading', { name: 'Turn 1' }).waitFor();
    await page.getByRole('link', { name: 'Screen', exact: true }).click();
    await page.getByText('Nothing has been screened yet').waitFor();
    expect(troubles.filter((text) => !text.includes('401'))).toEqual([]);
  });
});
