/** A data set as somebody has it screened: from the view of screened data, by a run of the server, and back to what was found. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { describeWithBrowser, harmTo, hostile, openBrowser, seriousFindings } from '../helpers/browser.ts';
import { builtDashboard } from '../helpers/dashboard.ts';
import { runsAt } from '../helpers/run-scene.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';
import { openTestServer, randomPersona, type TestServer, token } from '../helpers/test-server.ts';

const count = 40;

/** A server with a data set of forty conversations, a vector of the chat model and one of another. */
async function serve(): Promise<TestServer> {
  const folder = await temporaryFolder();
  const data = join(folder, 'data');
  await mkdir(join(data, 'more'), { recursive: true });
  const rows = Array.from({ length: count }, (_, i) => ({
    id: `row-${i}`,
    messages: [
      { role: 'user', content: `How do I grow ${['tomatoes', 'carrots', 'beans'][i % 3]!}?` },
      { role: 'assistant', content: `You can water them ${'well '.repeat(i)}.` },
    ],
  }));
  await writeFile(join(data, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  await writeFile(join(data, 'more', `${hostile.fileName}.jsonl`), '');
  const runs = await runsAt(folder, { data });
  const server = await openTestServer({ runs, dashboard: await builtDashboard() });
  onTestFinished(() => server.close());
  await randomPersona(server.chat, 'evil').save(join(server.vectors, 'evil.safetensors'));
  return server;
}

describeWithBrowser('a screening', () => {
  it('is started from a form, watched, and opened when it is done', async () => {
    const { url } = await serve();
    const { page, troubles } = await openBrowser(url);
    await page.goto('/app/screen');
    await page.getByText('Nothing has been screened yet').waitFor();
    await page.getByRole('link', { name: 'Screen a file' }).first().click();
    expect(new URL(page.url()).pathname).toBe('/app/runs/new/screen');
    await page.getByRole('combobox', { name: 'Model' }).selectOption('persona-tiny');
    await page.getByRole('combobox', { name: 'Data set' }).selectOption('rows.jsonl');
    // A vector of another model's shape is not offered.
    await page.getByRole('checkbox', { name: 'evil' }).check();
    expect(await page.getByRole('checkbox').count()).toBe(1);
    await page.getByRole('textbox', { name: 'Flag from this percentile on' }).fill('110');
    expect(await page.getByRole('button', { name: 'Start' }).isDisabled()).toBe(true);
    await page.getByRole('textbox', { name: 'Flag from this percentile on' }).fill('90');
    await page.getByRole('button', { name: 'Start' }).click();
    await page.getByLabel('Token').last().fill(token);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('heading', { name: 'Screening: rows.jsonl' }).waitFor();
    await page.getByText('done', { exact: true }).waitFor({ timeout: 120_000 });
    expect(await page.getByRole('log').textContent()).toContain('--percentile=90');
    await page.getByRole('link', { name: 'Open the screening' }).click();
    await page.getByRole('slider', { name: 'Threshold' }).waitFor();
    await page.getByText('4 flagged (10.0 %), 36 kept').waitFor();
    const table = page.getByRole('grid', { name: 'Rows' });
    await table.getByText('You can water them').first().waitFor();
    expect(await table.getAttribute('aria-rowcount')).toBe(`${count + 1}`);
    await page.getByRole('link', { name: 'All screenings' }).click();
    await page.getByRole('link', { name: /^screen-\d{8}-\d{6}-[0-9a-f]{4}$/ }).waitFor();
    await page.getByText('rows.jsonl', { exact: true }).waitFor();
    // The browser itself tells of the call without the token.
    expect(troubles.filter((text) => !text.includes('401'))).toEqual([]);
  });

  it('has a form that shows hostile names as text and fits on a phone', async () => {
    const { url } = await serve();
    const { page, troubles } = await openBrowser(url, { size: 'phone', colours: 'dark' });
    await page.goto('/app/runs/new/screen');
    await page.getByText('onerror').first().waitFor({ state: 'attached' });
    expect(await harmTo(page)).toEqual({ ran: false, tooWide: 0 });
    expect(await seriousFindings(page)).toEqual([]);
    expect(troubles).toEqual([]);
  });
});
