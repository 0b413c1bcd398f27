/** Conversations as somebody watches them: in a browser, while a server answers. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PersonaVector } from '../../src/persona/vector.ts';
import { PersonaClient } from '../../src/server/client.ts';
import { describeWithBrowser, harmTo, hostile, openBrowser, seriousFindings } from '../helpers/browser.ts';
import { builtDashboard } from '../helpers/dashboard.ts';
import { baselineAround, monitorAt } from '../helpers/monitor-settings.ts';
import { modelless, openTestServer, type TestServer, token } from '../helpers/test-server.ts';
import { startServer } from '../../src/server/start.ts';

/** Every reply's z is about 1: what is ordinary lies a thousand below. */
const usual = { mean: -1000, sd: 1000 };

describeWithBrowser('conversations', () => {
  let folder: string;
  let server: TestServer;
  let client: PersonaClient;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'persona-watched-'));
    const first = await openTestServer({}, folder);
    await first.close();
    const mood = await PersonaVector.load(join(folder, 'mood.safetensors'));
    const monitor = monitorAt(join(folder, 'monitor.sqlite'), {
      keepText: true,
      baselines: [baselineAround(mood, 3, usual)],
    });
    server = await openTestServer({ monitor, dashboard: await builtDashboard() }, folder);
    client = new PersonaClient({ url: server.url, token });
  });
  afterAll(async () => {
    await server?.close();
    await rm(folder, { recursive: true });
  });

  const say = (conversation: string, prompt = 'One day') =>
    client.complete({
      model: 'stories260K',
      prompt,
      max_tokens: 6,
      persona: { watch: { vectors: ['mood'], layer: 3 }, conversation },
    });

  it('appear as they are held, with their curves, texts and alerts', async () => {
    const { page, troubles } = await openBrowser(server.url);
    await page.goto('/app/monitor');
    await page.getByText('No conversation yet').waitFor();
    await say('calm-one');
    // Nobody loads the page again.
    await page.getByRole('link', { name: 'calm-one', exact: true }).waitFor();
    await page.getByText('No policy watches them').waitFor();
    await client.putPolicy('high', {
      match: { model: 'stories260K' },
      watch: { vectors: ['mood'], layer: 3 },
      rules: [{ type: 'threshold', z: 0.5 }],
      action: 'log',
    });
    await say('turning');
    await say('turning');
    const alert = page
      .getByRole('complementary', { name: 'Alerts' })
      .getByRole('link', { name: /^turning, turn 1/ });
    await alert.waitFor();
    await page.getByRole('checkbox', { name: 'with alerts only' }).check();
    await page.getByRole('link', { name: 'calm-one', exact: true }).waitFor({ state: 'detached' });
    await expect.poll(() => new URL(page.url()).hash).toBe('#alerted=1');
    await alert.click();
    expect(new URL(page.url()).pathname).toBe('/app/monitor/turning');
    const curve = page.getByRole('slider', { name: 'Projection on mood by turn' });
    await curve.press('End');
    const { turns } = await client.conversation('turning');
    expect(turns.map(({ alerts }) => alerts.length)).toEqual([1, 0]);
    const { mean } = turns[1]!.projections['mood']!;
    expect(await curve.getAttribute('aria-valuetext')).toContain(
      `turn 2: over the reply ${mean!.toFixed(2).replace('-', '−')}`,
    );
    expect(await page.getByRole('article').first().textContent()).toContain(
      turns[0]!.role_text!.assistant.trim(),
    );
    await say('turning');
    await page.getByRole('heading', { name: 'Turn 3' }).waitFor();
    expect(troubles).toEqual([]);
  });

  it('are found again by the address, in both themes and on a phone, without serious findings', async () => {
    await say('found');
    for (const colours of ['light', 'dark'] as const) {
      const { page } = await openBrowser(server.url, { colours, size: 'phone' });
      await page.goto('/app/monitor#text=found');
      await page.getByRole('link', { name: 'found', exact: true }).waitFor();
      expect(await page.getByRole('searchbox', { name: 'Id or key' }).inputValue()).toBe('found');
      expect(await page.locator('.conversation').count()).toBe(1);
      expect(await seriousFindings(page)).toEqual([]);
      await page.goto('/app/monitor/found');
      await page.getByRole('heading', { name: 'Turn 1' }).waitFor();
      expect(await seriousFindings(page)).toEqual([]);
      expect((await harmTo(page)).tooWide).toBe(0);
    }
  });

  it('show hostile text as text', async () => {
    for (const text of [hostile.markup, hostile.control, hostile.rightToLeft, hostile.long])
      await say('harmful', text);
    const { page, troubles } = await openBrowser(server.url, { size: 'phone' });
    await page.goto('/app/monitor/harmful');
    await page.getByText(hostile.markup).first().waitFor();
    expect(await page.getByText('⟨U+202E⟩').count()).toBeGreaterThan(0);
    expect(await harmTo(page)).toEqual({ ran: false, tooWide: 0 });
    expect(troubles).toEqual([]);
  });

  it('say how they are kept where a server keeps none', async () => {
    const settings = { ...modelless, dashboard: await builtDashboard() };
    const bare = await startServer(settings, { host: '127.0.0.1', port: 0, log: () => undefined });
    try {
      const { page } = await openBrowser(`http://127.0.0.1:${bare.port}`);
      await page.goto('/app/monitor');
      await page.getByText('This server keeps no conversations').waitFor();
      expect(await page.locator('.empty pre').textContent()).toContain('persona serve --store');
    } finally {
      await bare.close(1000);
    }
  });
});
