/** The playground as somebody uses it: in a browser, against a server with the model that ships. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PersonaVector } from '../../src/persona/vector.ts';
import { type ChatCompletion, PersonaClient } from '../../src/server/client.ts';
import { number } from '../../web/src/text.ts';
import { describeWithBrowser, harmTo, hostile, openBrowser, seriousFindings } from '../helpers/browser.ts';
import { builtDashboard } from '../helpers/dashboard.ts';
import { openTestServer, randomPersona, type TestServer } from '../helpers/test-server.ts';

describeWithBrowser('the playground', () => {
  let server: TestServer;
  let vectors: string;
  beforeAll(async () => {
    vectors = await mkdtemp(join(tmpdir(), 'playground-vectors-'));
    server = await openTestServer({ dashboard: await builtDashboard() }, vectors);
    // So long that twice the vector changes what is said.
    const calm = randomPersona(server.chat, 'calm').scale(20);
    const { layers, width, data, metadata } = calm;
    await new PersonaVector(layers, width, data, { ...metadata, recommendedLayer: 3 }).save(
      join(vectors, 'calm.safetensors'),
    );
    await calm.save(join(vectors, `${hostile.fileName}.safetensors`));
  });
  afterAll(async () => {
    await server.close();
    await rm(vectors, { recursive: true });
  });

  const message = (page: Page): Locator => page.getByRole('textbox', { name: 'Message' });
  const say = async (page: Page, text: string): Promise<void> => {
    await message(page).fill(text);
    await message(page).press('Enter');
  };
  const reply = (page: Page, name: 'Unsteered' | 'Steered'): Locator =>
    page.getByRole('region', { name, exact: true }).last();
  const ended = (page: Page, name: 'Unsteered' | 'Steered'): Promise<void> =>
    reply(page, name).and(page.locator('[data-state="done"]')).waitFor();
  const steered = '/app/playground#temperature=0&maxTokens=24&seed=7&steer=calm%3A2';

  it('can be used as soon as it has loaded, from few and small files of this server', async () => {
    const { page, asked, troubles } = await openBrowser(server.url);
    const scripts: Promise<number>[] = [];
    page.on('requestfinished', (request) => {
      if (request.resourceType() === 'script')
        scripts.push(request.sizes().then(({ responseBodySize }) => responseBodySize));
    });
    await page.goto('/');
    await message(page).fill('Hello');
    expect(await page.getByRole('button', { name: 'Send' }).isEnabled()).toBe(true);
    await page.getByRole('slider', { name: 'Coefficient of calm', exact: true }).waitFor();
    const kinds = asked.map((path) => path.replace(/-[\w-]+(?=\.(?:js|css)$)/, ''));
    expect([...new Set(kinds)].sort()).toEqual([
      '/',
      '/assets/index.css',
      '/assets/index.js',
      '/favicon.svg',
      '/persona/capabilities',
      '/persona/vectors',
    ]);
    const bytes = (await Promise.all(scripts)).reduce((sum, one) => sum + one, 0);
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThan(400_000);
    expect(troubles).toEqual([]);
  });

  it('shows a long reply as it comes', async () => {
    const { page } = await openBrowser(server.url);
    await page.goto('/app/playground#model=stories260K&temperature=0&maxTokens=400&seed=7');
    await page.evaluate(`
      window.lengths = [];
      new MutationObserver(() => {
        const streaming = document.querySelector('.reply[data-state="streaming"]');
        if (streaming) lengths.push(streaming.querySelectorAll('[data-i]').length);
      }).observe(document.body, { childList: true, subtree: true });
    `);
    const text = page.getByRole('textbox', { name: 'Text to go on from' });
    await text.fill('One day');
    await text.press('Enter');
    await ended(page, 'Unsteered');
    const lengths = await page.evaluate<number[]>('[...new Set(lengths)]');
    expect(lengths.length).toBeGreaterThan(2);
    expect(lengths).toEqual(lengths.toSorted((a, b) => a - b));
  });

  it('gives a reply beside the same reply steered, as the API has both', async () => {
    const { page, troubles } = await openBrowser(server.url);
    await page.goto('/app/playground#temperature=0&maxTokens=24&seed=7');
    const slider = page.getByRole('slider', { name: 'Coefficient of calm', exact: true });
    await slider.press('End');
    expect(await page.getByRole('spinbutton', { name: 'Coefficient of calm, as' }).inputValue()).toBe('2');
    await say(page, 'How do I grow beans?');
    await Promise.all([ended(page, 'Unsteered'), ended(page, 'Steered')]);
    const ask = async (steer?: object[]): Promise<string> => {
      const { choices } = await server.openai.chat.completions.create({
        model: 'persona-tiny',
        messages: [{ role: 'user', content: 'How do I grow beans?' }],
        max_tokens: 24,
        temperature: 0,
        ...(steer && { persona: { steer } }),
      });
      return choices[0]!.message.content!;
    };
    const [plain, other] = [await ask(), await ask([{ vector: 'calm', coef: 2 }])];
    expect(other).not.toBe(plain);
    expect(await reply(page, 'Unsteered').locator('.tokens').textContent()).toBe(plain);
    expect(await reply(page, 'Steered').locator('.tokens').textContent()).toBe(other);
    expect(troubles).toEqual([]);
  });

  it('tells the projections of a token that is pointed at, and draws them all', async () => {
    const { page, troubles } = await openBrowser(server.url);
    await page.goto(steered);
    await say(page, 'How do I grow beans?');
    await Promise.all([ended(page, 'Unsteered'), ended(page, 'Steered')]);
    const { choices } = await new PersonaClient({ url: server.url }).chat({
      model: 'persona-tiny',
      messages: [{ role: 'user', content: 'How do I grow beans?' }],
      max_tokens: 24,
      temperature: 0,
      persona: { steer: [{ vector: 'calm', coef: 2 }], watch: { vectors: ['calm'], tokens: true } },
    });
    const { tokens, mean } = choices[0]!.persona!.projections['calm']!;
    await reply(page, 'Steered').locator('[data-i="4"]').hover();
    const tip = page.getByRole('tooltip');
    expect(await tip.locator('.tip-row span').textContent()).toBe(number(tokens![4], { sign: true }));
    const reading = page.locator('.chart-legend').getByText('steered', { exact: true });
    const read = reading.locator('xpath=following-sibling::output');
    expect(await read.textContent()).toBe(number(tokens![4]));
    expect(await reply(page, 'Steered').locator('.mean b').textContent()).toBe(number(mean, { sign: true }));
    // Without a mouse, the same numbers are said.
    await reply(page, 'Unsteered').getByRole('group').press('Home');
    await reply(page, 'Unsteered').getByRole('group').press('ArrowRight');
    const said = reply(page, 'Unsteered').locator('[aria-live]');
    expect(await said.textContent()).toMatch(/^“.+”: calm [−\d.]+$/);
    const curves = await page
      .locator('.projection-panel path.line')
      .evaluateAll((lines) =>
        (lines as unknown as { getAttribute(name: string): string }[]).map((one) => one.getAttribute('d')),
      );
    expect(curves.filter((d) => d.split('L').length === tokens!.length)).not.toEqual([]);
    expect(troubles).toEqual([]);
  });

  it('gives the request of a reply as a command that asks for the same', async () => {
    const { page } = await openBrowser(server.url);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.goto(steered);
    const question = `Who's "there"?`;
    await say(page, question);
    await ended(page, 'Steered');
    await reply(page, 'Steered').getByRole('button', { name: 'Copy request' }).click();
    await page.getByRole('button', { name: 'Copy', exact: true }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    const command = await page.evaluate<string>('navigator.clipboard.readText()');
    // As a shell reads it, with the program that it names replaced by one that says what it was given.
    const program = `curl() { printf '%s\\0' "$@"; }\n${command}`;
    const [, url, , header, , body] = execFileSync('bash', ['-c', program], { encoding: 'utf8' }).split('\0');
    expect(JSON.parse(body!)).toMatchObject({
      messages: [{ role: 'user', content: question }],
      persona: { steer: [{ vector: 'calm', coef: 2 }] },
    });
    const [name, value] = header!.split(': ');
    const answer = await fetch(url!, { method: 'POST', headers: { [name!]: value! }, body: body! });
    const { choices } = (await answer.json()) as ChatCompletion;
    const tokens = reply(page, 'Steered').locator('.tokens');
    expect(await tokens.textContent()).toBe(choices[0]!.message.content);
  });

  it('steers a message that was sent before the vectors have come', async () => {
    const { page } = await openBrowser(server.url);
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    await page.route('**/persona/vectors', async (route) => {
      await opened;
      await route.continue();
    });
    await page.goto(steered);
    await say(page, 'How do I grow beans?');
    expect(await page.locator('.reply').count()).toBe(0);
    open();
    await ended(page, 'Steered');
    expect(await message(page).inputValue()).toBe('');
  });

  it('keeps what decides a reply in its address', async () => {
    const { page } = await openBrowser(server.url);
    await page.goto('/');
    await page.getByRole('spinbutton', { name: 'Coefficient of calm, as' }).fill('1.25');
    await page.getByRole('textbox', { name: 'System prompt' }).fill('You are calm.');
    await page.waitForURL(/system=You\+are\+calm\..*steer=calm%3A1\.25/);
    await page.goto('about:blank');
    await page.goBack();
    expect(await page.getByRole('slider', { name: 'Coefficient of calm', exact: true }).inputValue()).toBe(
      '1.25',
    );
    expect(await page.getByRole('textbox', { name: 'System prompt' }).inputValue()).toBe('You are calm.');
  });

  it.each([
    { size: 'laptop', colours: 'light' },
    { size: 'phone', colours: 'dark' },
  ] as const)('shows hostile text as text, and has no serious finding of axe: %j', async (options) => {
    const { page, troubles } = await openBrowser(server.url, options);
    await page.goto(`${steered}&shown=calm`);
    const { markup, control, long, rightToLeft } = hostile;
    await say(page, [markup, control, long, rightToLeft].join(' '));
    await Promise.all([ended(page, 'Unsteered'), ended(page, 'Steered')]);
    const said = await page.locator('.said').textContent();
    for (const part of [markup, 'be⟨U+0007⟩fore ⟨U+202E⟩gnp.exe', long, rightToLeft])
      expect(said).toContain(part);
    expect(await seriousFindings(page)).toEqual([]);
    if (options.size === 'phone') await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByText(hostile.fileName, { exact: true }).waitFor();
    expect(await harmTo(page)).toEqual({ ran: false, tooWide: 0 });
    expect(await seriousFindings(page)).toEqual([]);
    expect(troubles).toEqual([]);
  });
});
