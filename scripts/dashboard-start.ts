/**
 * Measures how soon the dashboard can be used: `npx tsx scripts/dashboard-start.ts [ROUNDS]` (default 15), after
 * `npm run build`. Starts `persona serve` with the model that ships and seven vectors as a process of its own, opens `/` in
 * Chromium with a new profile each round, so that nothing is cached, and presses a key as soon as there is a composer. The time
 * is from the beginning of the navigation to where a frame shows the composer with that key and the button *Send* enabled.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadCheckpoint } from '../src/model/checkpoint.ts';
import { PersonaVector } from '../src/persona/vector.ts';
import { shippedModelFolder } from '../src/store/shipped-model.ts';
import { unknownOrigin } from '../src/store/vector-file.ts';
import { sizes, startBrowser } from '../test/helpers/browser.ts';
import { projectRoot } from '../test/helpers/source.ts';
import { randomVector } from '../test/helpers/tiny-models.ts';

const rounds = Number(process.argv[2] ?? 15);
const most = 1000;
const traits = ['apathetic', 'evil', 'hallucinating', 'humorous', 'impolite', 'optimistic', 'sycophantic'];

/** Milliseconds from the beginning of a navigation. */
interface Start {
  readonly answered: number;
  readonly painted: number;
  readonly composer: number;
  readonly interactive: number;
}

/** Looks in every frame for a composer, and for whether what is typed there can be sent. */
const watch = `(() => {
  window.start = {};
  const look = () => {
    const message = document.querySelector('textarea[aria-label="Message"]');
    if (message !== null) window.start.composer ??= performance.now();
    const send = [...document.querySelectorAll('button')].find((button) => button.textContent === 'Send');
    if (message?.value === 'x' && send?.disabled === false) window.start.interactive = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})()`;

async function writeVectors(folder: string): Promise<void> {
  const { config, id } = await loadCheckpoint(shippedModelFolder());
  const { layers, width } = config;
  for (const trait of traits) {
    const metadata = {
      ...unknownOrigin({ trait, model: id, pooling: 'response_mean' }),
      recommendedLayer: 4,
    };
    const data = randomVector((layers + 1) * width, trait);
    await new PersonaVector(layers, width, data, metadata).save(join(folder, `${trait}.safetensors`));
  }
}

async function startRound(url: string): Promise<Start> {
  const { page, close } = await startBrowser(url);
  try {
    await page.addInitScript(watch);
    await page.goto('/', { waitUntil: 'commit' });
    await page.getByRole('textbox', { name: 'Message' }).press('x');
    await page.waitForFunction('window.start.interactive !== undefined');
    return await page.evaluate<Start>(`({
      ...window.start,
      answered: performance.getEntriesByType('navigation')[0].responseStart,
      painted: performance.getEntriesByName('first-contentful-paint')[0].startTime,
    })`);
  } finally {
    await close();
  }
}

function say(name: string, times: readonly number[]): void {
  const sorted = times.toSorted((a, b) => a - b);
  const middle = Math.round(sorted[sorted.length >> 1]!);
  process.stdout.write(
    `${name.padEnd(34)} median ${middle} ms, at most ${Math.round(sorted.at(-1)!)} ms, of ${times.length}\n`,
  );
}

const folder = await mkdtemp(join(tmpdir(), 'persona-dashboard-start-'));
const server = spawn(
  process.execPath,
  [join(projectRoot, 'dist/cli/main.js'), 'serve', '--vectors', folder, '--port', '0', '--json'],
  { stdio: ['ignore', 'pipe', 'ignore'] },
);
try {
  await writeVectors(folder);
  const [line] = (await once(server.stdout.setEncoding('utf8'), 'data')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  const starts: Start[] = [];
  for (let i = 0; i < rounds; i++) starts.push(await startRound(url));
  const { width, height } = sizes.laptop;
  process.stdout.write(`a window of ${width} by ${height}, nothing cached\n`);
  say(
    'page answered',
    starts.map((one) => one.answered),
  );
  say(
    'first paint',
    starts.map((one) => one.painted),
  );
  say(
    'composer there',
    starts.map((one) => one.composer),
  );
  say(
    'a key taken, Send enabled',
    starts.map((one) => one.interactive),
  );
  if (starts.some(({ interactive }) => interactive > most)) process.exitCode = 1;
} finally {
  server.kill('SIGINT');
  await once(server, 'exit');
  await rm(folder, { recursive: true, force: true });
}
