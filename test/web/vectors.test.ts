/** Vectors as somebody looks at them, brings and removes them: in a browser, against a server. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { startServer } from '../../src/server/start.ts';
import { describeWithBrowser, harmTo, hostile, openBrowser, seriousFindings } from '../helpers/browser.ts';
import { builtDashboard } from '../helpers/dashboard.ts';
import { smallSweep, sweepOf } from '../helpers/sweeps.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';
import { modelless, token } from '../helpers/test-server.ts';
import { vectorOf } from '../helpers/vectors.ts';

async function serve(): Promise<{ readonly folder: string; readonly url: string }> {
  const folder = join(await temporaryFolder(), 'vectors');
  await mkdir(folder);
  const settings = { ...modelless, vectors: folder, dashboard: await builtDashboard() };
  const server = await startServer(settings, { host: '127.0.0.1', port: 0, log: () => undefined });
  onTestFinished(() => server.close(1000));
  return { folder, url: `http://127.0.0.1:${server.port}` };
}

/** Wider than a phone. */
const wideSweep = sweepOf(
  Array.from({ length: 24 }, (_, i) => ({ layer: 2, strength: i / 4 - 2, score: 4 * i, coherence: 80 })),
);
const rows = (angle: number) => [
  [0, 0],
  [3, 4],
  [Math.cos(angle), Math.sin(angle)],
  [Math.cos(2 * angle), 2 * Math.sin(2 * angle)],
];

describeWithBrowser('vectors', () => {
  it('are imported, compared, downloaded and deleted', async () => {
    const { url, folder } = await serve();
    const { page, troubles } = await openBrowser(url);
    await page.goto('/app/vectors');
    await page.getByText('persona extract evil').waitFor();
    const elsewhere = await temporaryFolder();
    const file = join(elsewhere, 'evil twin.safetensors');
    await vectorOf('evil', rows(0), { recommendedLayer: 2, residualNorms: [1, 8, 9, 12] }).save(file);
    await vectorOf('kind', rows(2)).save(join(folder, 'kind.safetensors'));
    await page.getByLabel('Vector file').setInputFiles({
      name: 'broken.pt',
      mimeType: 'application/octet-stream',
      buffer: Buffer.from('no vector'),
    });
    await page.getByRole('button', { name: 'Import' }).click();
    await page.getByLabel('Token').last().fill(token);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('alert').getByText('the upload', { exact: false }).waitFor();
    await page.getByLabel('Vector file').setInputFiles(file);
    expect(await page.getByLabel('Name').inputValue()).toBe('evil-twin');
    await page.getByRole('button', { name: 'Import' }).click();
    const matrix = page.getByRole('table', { name: 'Cosines at layer 2' });
    await matrix.waitFor();
    expect(await matrix.getByRole('row').nth(1).getByRole('cell').allTextContents()).toEqual([
      '1.00',
      '−0.42',
    ]);
    await page.getByRole('combobox', { name: 'Layer' }).selectOption('1');
    await page.getByRole('table', { name: 'Cosines at layer 1' }).getByText('1.00').nth(3).waitFor();
    await expect.poll(() => new URL(page.url()).hash).toBe('#layer=1');
    expect(await seriousFindings(page)).toEqual([]);
    await page.getByRole('link', { name: 'evil-twin' }).first().click();
    const norms = page.getByRole('slider', { name: 'Norm of the vector by layer' });
    await norms.press('Home');
    await norms.press('ArrowRight');
    expect(await norms.getAttribute('aria-valuetext')).toBe('layer 1: vector 5.00');
    await page.getByRole('slider', { name: 'Mean norm of the activations by layer' }).waitFor();
    const downloading = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Download' }).click();
    expect((await downloading).suggestedFilename()).toBe('evil-twin.safetensors');
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('button', { name: 'Delete for good?' }).click();
    await page.getByRole('heading', { name: '1 vector' }).waitFor();
    // The browser itself tells of the call without the token, and of the file that was none.
    expect(troubles.filter((text) => !/status of 40[01]/.test(text))).toEqual([]);
  });

  it('are shown with what they were measured to do, by layer and strength', async () => {
    const { url, folder } = await serve();
    await vectorOf('evil', rows(0), { recommendedLayer: 2 }).save(join(folder, 'evil.safetensors'));
    const { page, troubles } = await openBrowser(url);
    await page.goto('/app/vectors/evil');
    await page.getByText('persona extract TRAIT').waitFor();
    await writeFile(join(folder, 'evil.sweep.json'), '{"layers": 3}');
    await page.reload();
    await page.getByRole('alert').getByText('Expected a sweep in "evil.sweep.json"').waitFor();
    await writeFile(join(folder, 'evil.sweep.json'), JSON.stringify(smallSweep));
    await page.getByRole('button', { name: 'Try again' }).click();
    const scores = page.getByRole('grid', { name: 'Trait score by layer and strength' });
    await scores.waitFor();
    expect(await scores.getByRole('columnheader').allTextContents()).toEqual([
      'Layer',
      'Strength −1',
      'Strength +1',
      'Strength +2',
    ]);
    expect(await scores.getByRole('row').nth(1).getByRole('gridcell').allTextContents()).toEqual([
      '1',
      '72, chosen',
      '88, coherence below 75',
    ]);
    expect(await scores.getByRole('row').nth(2).getByRole('gridcell').allTextContents()).toEqual([
      '2',
      '30',
      'not measured',
    ]);
    // One cell can be tabbed to: the chosen one. From there keys lead on.
    await scores.locator('td[tabindex="0"]').focus();
    const told = page.locator('.cell-told');
    expect(await told.textContent()).toContain(
      'Layer 2, strength +1 (coefficient 2.00): score 72.0 (68.0 to 76.0), coherence 84.0 (81.0 to 87.0), 20 texts.',
    );
    await page.keyboard.press('ArrowRight');
    expect(await told.textContent()).toContain('Layer 2, strength +2');
    await page.keyboard.press('ArrowDown');
    expect(await told.textContent()).toContain('Not measured');
    await page.keyboard.press('Home');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('2');
    expect(await seriousFindings(page)).toEqual([]);
    await page.getByText('Coherence', { exact: true }).click();
    const coherences = page.getByRole('grid', { name: 'Coherence by layer and strength' });
    expect(await coherences.getByRole('row').nth(1).getByRole('gridcell').allTextContents()).toEqual([
      '93',
      '84, chosen',
      '41, coherence below 75',
    ]);
    await page.getByText('A random direction as long').click();
    const random = page.getByRole('grid', { name: 'Coherence by layer and strength, of a random direction' });
    expect(await random.getByRole('gridcell').first().textContent()).toBe('70, coherence below 75');
    await expect.poll(() => new URL(page.url()).hash).toBe('#measure=coherence&direction=random');
    expect(await seriousFindings(page)).toEqual([]);
    await page.getByText('This vector', { exact: true }).click();
    await page.getByRole('link', { name: 'Try it in the playground' }).click();
    expect(page.url()).toMatch(/\/app\/playground#positions=boundary&layer=2&steer=evil%3A2$/);
    // The browser itself tells of the file that was no sweep.
    expect(troubles.filter((text) => !text.includes('status of 409'))).toEqual([]);
  });

  it('of any name show as text, are accessible and fit on a phone', async () => {
    const { url, folder } = await serve();
    const names = [hostile.fileName, hostile.control, hostile.rightToLeft, 'x'.repeat(150), 'evil'];
    for (const [i, name] of names.entries())
      await vectorOf(hostile.markup, rows(i), {
        source: hostile.long,
        model: hostile.control,
        residualNorms: [1, 8, 9, 12],
      }).save(join(folder, `${name}.safetensors`));
    await writeFile(join(folder, `${hostile.fileName}.sweep.json`), JSON.stringify(wideSweep));
    for (const [size, colours] of [
      ['laptop', 'dark'],
      ['phone', 'light'],
    ] as const) {
      const { page, troubles } = await openBrowser(url, { size, colours });
      for (const path of ['/app/vectors', `/app/vectors/${encodeURIComponent(hostile.fileName)}`]) {
        await page.goto(path);
        await page.getByText('onerror').first().waitFor();
        await page
          .getByRole(path === '/app/vectors' ? 'table' : 'grid')
          .last()
          .waitFor();
        expect([path, await harmTo(page)]).toEqual([path, { ran: false, tooWide: 0 }]);
        expect([path, await seriousFindings(page)]).toEqual([path, []]);
      }
      expect(troubles).toEqual([]);
    }
  });
});
