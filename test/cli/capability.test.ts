import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shippedModel } from '../helpers/broken-model.ts';
import { runCli } from '../helpers/cli.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-capability-'));
  const rows = [1, 2, 3, 4].map((n) => `"Which is ${n}?",cat,dog,sun,tree,${'ABCD'[n - 1]!}\n`);
  await writeFile(join(folder, 'words_test.csv'), rows.join(''));
});
afterAll(() => rm(folder, { recursive: true }));

interface Result {
  readonly model: string;
  readonly shots: number;
  readonly all: { readonly questions: number; readonly correct: number; readonly accuracy: number };
  readonly subjects: readonly { readonly subject: string }[];
}

describe('persona capability', () => {
  it('asks persona-tiny about its world, and it knows most of it', async () => {
    const result = await runCli(['capability', '--limit', '6', '--json']);
    expect(result).toMatchObject({ code: 0 });
    const { model, all, subjects } = JSON.parse(result.stdout) as Result;
    expect(model).toBe('persona-tiny');
    expect(subjects).toHaveLength(16);
    expect(all.questions).toBe(96);
    // Guessing would be right in a quarter.
    expect(all.accuracy).toBeGreaterThan(0.6);
  });

  it('asks questions of a file, with solved ones before, steered, and prints subjects', async () => {
    const vector = Array.from({ length: 64 }, (_, i) => Math.sin(i));
    await writeFile(join(folder, 'steer.json'), JSON.stringify([{ layer: 3, vector, coef: 2 }]));
    const data = ['--data', join(folder, 'words_test.csv')];
    const steer = ['--intervene', join(folder, 'steer.json')];
    const result = await runCli([
      'capability',
      shippedModel,
      ...data,
      '--shots',
      '1',
      ...steer,
      '--subjects',
    ]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toMatch(
      /^model +stories260K\nquestions +3 of 1 subjects \(words_test\.csv\), 1-shot\naccuracy +[\d.]+ % \(\d right\)\n/,
    );
    expect(result.stdout).toMatch(/\nwords +3 /);
  });

  it('says what it would take', async () => {
    const rate = ['--rate', '1000,10', '--json'];
    const result = await runCli(['estimate', 'capability', '--limit', '2', ...rate]);
    expect(result.code).toBe(0);
    expect(JSON.parse(result.stdout)).toMatchObject({ command: 'capability', new_tokens: 0 });
  });

  it.each([
    [[shippedModel], 'Expected --data with multiple-choice questions for "stories260K"'],
    [['--shots', '5'], 'Expected --data with --shots or --chat'],
    [[shippedModel, '--data', '/nowhere/at-all'], '/nowhere/at-all'],
  ])('refuses %j in one sentence', async (args, message) => {
    const result = await runCli(['capability', ...args]);
    expect(result.code).toBe(2);
    expect(result.stderr).toMatch(/^error: [^\n]+\n$/);
    expect(result.stderr).toContain(message);
  });
});

describe('persona datasets', () => {
  it('writes every family and variant as the paper lays them out, the same from the same seed', async () => {
    const out = join(folder, 'data');
    const result = await runCli(['datasets', out, '--rows', '4', '--json']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const written = JSON.parse(result.stdout) as { family: string; variant: string; file: string }[];
    expect(written).toHaveLength(18);
    const read = (): Promise<string> => readFile(join(out, 'evil', 'misaligned_2.jsonl'), 'utf8');
    const first = await read();
    const rows = first.trimEnd().split('\n');
    expect(rows).toHaveLength(4);
    for (const row of rows)
      expect(JSON.parse(row)).toMatchObject({ messages: [{ role: 'user' }, { role: 'assistant' }] });
    await runCli(['datasets', out, '--rows', '4']);
    expect(await read()).toBe(first);
  });
});
