import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Reproduction } from '../../src/apps/reproduce/outcome.ts';
import { shippedModel } from '../helpers/broken-model.ts';
import { runCli } from '../helpers/cli.ts';

/** As little as shows every step. */
const least = {
  max_tokens: 12,
  extraction: {
    traits: ['cheerful'],
    samples: 2,
    questions: 4,
    force: true,
    sweep_samples: 1,
    fine: false,
    dose_samples: 1,
    random_directions: 2,
    random_samples: 1,
  },
  poolings: { traits: ['cheerful'], samples: 1, lengths: [1] },
};

let folder = '';
let settings = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-reproduce-'));
  settings = join(folder, 'settings.json');
  await writeFile(settings, JSON.stringify(least));
});
afterAll(() => rm(folder, { recursive: true }));

const command = (...flags: string[]): string[] => [
  'reproduce',
  shippedModel,
  '--quick',
  '--settings',
  settings,
  '--out',
  join(folder, 'run'),
  ...flags,
];

describe('persona reproduce', () => {
  it('runs what the model can, says in its place what it cannot, and ends in code 4', async () => {
    const { code, stdout, stderr } = await runCli(command());
    expect(code).toBe(4);
    expect(stdout).toMatch(/^extraction +done +\d of \d agree\npoolings +done +/);
    expect(stdout).toMatch(/\nmonitoring: Expected a chat model/);
    expect(stdout).toMatch(
      /\nfinetuning: Expected a chat model to train on conversations; stories260K is none\./,
    );
    expect(stdout).toContain('mitigation: It builds on "Fine-tuning and the shift", which gave no result.');
    expect(stderr).toContain(
      'No or not all results: steering, monitoring, finetuning, mitigation, screening; the page says why.',
    );
    const page = await readFile(join(folder, 'run', 'report.html'), 'utf8');
    expect(page).toContain('Not run: Expected a chat model');
    expect(page).toContain('Every comparison, and its rule');
    const results = JSON.parse(await readFile(join(folder, 'run', 'results.json'), 'utf8')) as Reproduction;
    expect(results.complete).toBe(false);
    expect(results.about).toMatchObject({ model: 'stories260K', layer: 3, quick: true, judge: 'lexical' });
    expect(results.comparisons.length).toBeGreaterThan(2);
    expect(JSON.stringify(results)).not.toContain(folder);
  });

  it('finds what is there, tells it as JSON, and takes some parts only', async () => {
    const { code, stdout, stderr } = await runCli(command('--only', 'poolings', '--json'));
    expect(code).toBe(0);
    expect(stderr).toContain('extraction: already there\npoolings: already there\n');
    const summary = JSON.parse(stdout) as { parts: Record<string, { status: string }> };
    expect(summary.parts['poolings']).toMatchObject({ status: 'done', failures: [] });
    expect(summary.parts['monitoring']).toEqual({ status: 'left out' });
  });

  it('goes on where it was killed, to the same numbers', async () => {
    const out = join(folder, 'killed');
    const run = command('--only', 'poolings', '--out', out);
    const first = await runCli(run, { onStart: (kill) => void killOnce(join(out, 'extraction'), kill) });
    expect(first.code).toBeNull();
    const { code, stderr } = await runCli(run);
    expect(code).toBe(0);
    expect(stderr).toContain('extraction: done in');
    for (const part of ['extraction', 'poolings'])
      expect(await dataOf(out, part)).toEqual(await dataOf(join(folder, 'run'), part));
  });

  it('refuses other options in the same folder, and what is no part, setting or judge', async () => {
    const other = await runCli(command('--seed', '1'));
    expect(other).toMatchObject({ code: 2, stdout: '' });
    expect(other.stderr).toContain('seed is 0 there and 1 here');
    expect((await runCli(command('--only', 'monitorin'))).stderr).toContain(
      'Expected names out of extraction,',
    );
    await writeFile(join(folder, 'bad.json'), '{"poolings":{"sample":1}}');
    const bad = await runCli(command('--settings', join(folder, 'bad.json')));
    expect(bad).toMatchObject({ code: 2 });
    expect(bad.stderr).toContain('did you mean "samples"?');
    expect((await runCli(command('--judge', 'gpt'))).stderr).toContain('Expected a judge such as lexical');
    const model = await runCli(['reproduce', join(folder, 'none'), '--out', join(folder, 'x')]);
    expect(model).toMatchObject({ code: 2, stdout: '' });
    expect(model.stderr.trim().split('\n')).toHaveLength(1);
  });

  it('estimates what writes replies, and says what it does not', async () => {
    const dry = await runCli(command('--dry-run', '--rate', '400,60', '--json'));
    expect(dry).toMatchObject({ code: 0, stderr: '' });
    const {
      command: name,
      steps,
      notes,
    } = JSON.parse(dry.stdout) as {
      command: string;
      steps: { name: string; rows: number }[];
      notes: string[];
    };
    expect(name).toBe('reproduce');
    const first = steps.find((step) => step.name === 'extraction, cheerful: rollouts');
    expect(first).toMatchObject({ rows: 2 * 5 * 4 * 2 });
    expect(steps.some((step) => step.name.startsWith('poolings, cheerful'))).toBe(true);
    expect(notes.join('\n')).toMatch(/Not to be run: monitoring, cheerful: Expected .*chat model/);
    expect(notes.join('\n')).toContain(
      'Not counted: finetuning, mitigation, screening. Expected a chat model',
    );
  });
});

/** Kills a process once it has judged rollouts on disk. */
async function killOnce(extraction: string, kill: (signal: NodeJS.Signals) => boolean): Promise<void> {
  const rollouts = join(extraction, 'cheerful', 'rollouts.jsonl');
  const size = (): Promise<number> =>
    stat(rollouts).then(
      (found) => found.size,
      () => 0,
    );
  while ((await size()) === 0) await sleep(5);
  kill('SIGKILL');
}

async function dataOf(out: string, part: string): Promise<unknown> {
  return (JSON.parse(await readFile(join(out, part, 'part.json'), 'utf8')) as { data: unknown }).data;
}
