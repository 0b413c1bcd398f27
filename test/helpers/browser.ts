import axe from 'axe-core';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { describe, onTestFinished } from 'vitest';

const program = '/usr/bin/chromium';
const hasBrowser = existsSync(program);

/** A group of tests that needs Debian's chromium; without it the group is skipped and its name says why. */
export function describeWithBrowser(name: string, define: () => void): void {
  const why = hasBrowser ? '' : ' (skipped: chromium is not installed)';
  describe.skipIf(!hasBrowser)(`${name}${why}`, () => {
    define();
  });
}

/** A laptop's window and a phone's. */
export const sizes = {
  laptop: { width: 1280, height: 800 },
  phone: { width: 390, height: 844 },
} as const;

interface BrowserOptions {
  readonly size?: keyof typeof sizes;
  readonly colours?: 'light' | 'dark';
}

/** A browser of its own, with nothing kept of earlier ones. */
export interface TestBrowser {
  readonly page: Page;
  /** Addresses that were asked for, in their order, without the server's part. */
  readonly asked: readonly string[];
  /** What went wrong: errors that the page wrote or threw, refusals of its policy, requests to elsewhere. */
  readonly troubles: readonly string[];
  readonly close: () => Promise<void>;
}

/** Starts a browser with one page for a server at `url`. */
export async function startBrowser(url: string, options: BrowserOptions = {}): Promise<TestBrowser> {
  const { size = 'laptop', colours = 'light' } = options;
  const profile = await mkdtemp(join(tmpdir(), 'persona-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: program,
    headless: true,
    viewport: sizes[size],
    colorScheme: colours,
    baseURL: url,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  const page = context.pages()[0] ?? (await context.newPage());
  return {
    page,
    ...watch(context, url),
    close: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/** As `startBrowser`, for the running test alone. */
export async function openBrowser(url: string, options: BrowserOptions = {}): Promise<TestBrowser> {
  const browser = await startBrowser(url, options);
  onTestFinished(() => browser.close());
  return browser;
}

function watch(context: BrowserContext, url: string): Pick<TestBrowser, 'asked' | 'troubles'> {
  const asked: string[] = [];
  const troubles: string[] = [];
  context.on('request', (request) => {
    const address = request.url();
    if (address.startsWith(url)) asked.push(address.slice(url.length));
    else if (!/^(?:data|blob|chrome|about):/.test(address)) troubles.push(`asked for ${address}`);
  });
  context.on('console', (message) => {
    if (message.type() === 'error') troubles.push(message.text());
  });
  context.on('weberror', (error) => troubles.push(String(error.error())));
  return { asked, troubles };
}

/** What axe finds serious or critical in the page as it stands: the rule, and the first element that breaks it. */
export async function seriousFindings(page: Page): Promise<string[]> {
  // By the protocol of the browser's tools, which the page's own policy does not bind.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<axe.AxeResults>('axe.run()');
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes[0]?.html ?? ''}`);
}

/** Texts as somebody would send them who means harm, or nothing at all. */
export const hostile = {
  markup: `<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>`,
  /** No file's name can hold a slash. */
  fileName: `<img src=x onerror="window.harmed=1"> & 'quoted'`,
  /** A control character, and an override of direction that would turn round what follows. */
  control: 'be\u0007fore \u202egnp.exe',
  long: 'x'.repeat(400),
  rightToLeft: 'שלום עולם',
} as const;

/** How a page took hostile text: whether any of it ran, and by how many pixels it is wider than its window. */
export function harmTo(page: Page): Promise<{ readonly ran: boolean; readonly tooWide: number }> {
  return page.evaluate(`({
    ran: 'harmed' in window,
    tooWide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  })`);
}
