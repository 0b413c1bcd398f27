import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shippedModel } from '../helpers/broken-model.ts';
import { runCli } from '../helpers/cli.ts';
import type { ProcessResult } from '../helpers/cli.ts';
import { readProjectFile } from '../helpers/source.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-stop-'));
  await writeFile(join(folder, 'trait.json'), smallTrait());
});
afterAll(() => rm(folder, { recursive: true }));

/** A shipped trait with few of its questions. */
function smallTrait(): string {
  const trait = JSON.parse(readProjectFile('traits/stories/cheerful.json')) as Record<string, unknown[]>;
  const few = (name: string, count: number): unknown[] => trait[name]!.slice(0, count);
  const lists = { questions: few('questions', 8), evaluation_questions: few('evaluation_questions', 6) };
  return JSON.stringify({ ...trait, ...lists });
}

/** An extraction small enough for a test, with every step in it. */
function extraction(out: string): string[] {
  const sizes = [
    '--samples',
    '1',
    '--temperature',
    '1',
    '--max-tokens',
    '24',
    '--sweep-samples',
    '1',
    '--dose-samples',
    '2',
  ];
  const scope = [
    '--layers',
    '3,4',
    '--strengths',
    '-0.2,0.2',
    '--dose-strengths',
    '-0.2,0,0.2',
    '--random-directions',
    '2',
  ];
  return ['extract', shippedModel, join(folder, 'trait.json'), '--out', out, '--force', ...sizes, ...scope];
}

/** Runs the extraction and sends a signal as soon as there is something in `file` of the run folder. */
async function interrupted(out: string, signal: NodeJS.Signals, file: string): Promise<ProcessResult> {
  let timer: NodeJS.Timeout | undefined;
  const result = runCli(extraction(out), {
    onStart: (kill) => {
      timer = setInterval(() => {
        void stat(join(out, file)).then(
          ({ size }) => {
            if (size === 0 || !kill(signal)) return;
            clearInterval(timer);
          },
          () => undefined,
        );
      }, 5);
    },
  });
  await result.finally(() => clearInterval(timer));
  return result;
}

/** Every file of a run but what tells of this one process: its manifest has times. */
async function contents(out: string): Promise<Record<string, string>> {
  const names = (await readdir(out)).filter((name) => name !== 'manifest.json').sort();
  const texts = names.map(async (name) => [name, await readFile(join(out, name), 'base64')] as const);
  return Object.fromEntries(await Promise.all(texts));
}

describe('an extraction that is stopped', () => {
  it('continues after Ctrl-C and after a kill, and ends in the files of an undisturbed run', async () => {
    const whole = join(folder, 'whole');
    const undisturbed = await runCli(extraction(whole));
    expect(undisturbed.code).toBe(0);

    const out = join(folder, 'stopped');
    const stopped = await interrupted(out, 'SIGINT', 'rollouts.jsonl.partial');
    expect(stopped).toMatchObject({ code: 130, stdout: '' });
    expect(stopped.stderr).toMatch(/same command continues/);
    expect(await readdir(out)).not.toContain('manifest.json');

    const killed = await interrupted(out, 'SIGKILL', 'sweep-rollouts.jsonl.partial');
    expect(killed.code).toBeNull();
    expect(await readdir(out)).not.toContain('manifest.json');

    const finished = await runCli(extraction(out));
    expect(finished.code).toBe(0);
    expect(finished.stderr).toMatch(/both poles: already there/);
    expect(await contents(out)).toEqual(await contents(whole));
    expect(finished.stdout.replaceAll(out, whole)).toBe(undisturbed.stdout);
  });
});

describe('activations that are stopped', () => {
  it('leave nothing behind', async () => {
    const row = JSON.stringify({ ids: Array.from({ length: 400 }, (_, i) => i % 512), response_start: 10 });
    const input = join(folder, 'rows.jsonl');
    await writeFile(input, `${row}\n`.repeat(4000));
    const before = await readdir(folder);
    const out = join(folder, 'acts.safetensors');
    const result = await runCli(['activations', shippedModel, '--input', input, '--out', out], {
      onStart: (kill) => setTimeout(() => kill('SIGINT'), 2000),
    });
    expect(result).toMatchObject({ code: 130, stdout: '' });
    expect(result.stderr).toMatch(/nothing was written/);
    expect(await readdir(folder)).toEqual(before);
  });
});

describe('a generation that is stopped', () => {
  it('ends with 130 and what it has printed, twenty times, and leaves nobody behind', async () => {
    const command = ['generate', shippedModel, '--prompt', 'Once upon a time', '--ignore-eos'];
    const stop = (delay: number): Promise<ProcessResult> =>
      runCli([...command, '--max-tokens', '480'], {
        onOutput: (kill) => setTimeout(() => kill('SIGINT'), delay),
      });
    for (let n = 0; n < 20; n += 2) {
      // A process counts as ended when nobody holds its output any more, no thread and no child.
      for (const result of await Promise.all([stop(4 * n), stop(4 * n + 4)])) {
        expect(result.code).toBe(130);
        expect(result.stderr).toMatch(/stopping after the step in hand/);
      }
    }
  });
});
