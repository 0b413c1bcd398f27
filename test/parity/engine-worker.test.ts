import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { compiledCli } from '../helpers/build.ts';

const here = dirname(fileURLToPath(import.meta.url));
const program = join(here, '../helpers/worker-scenes.ts');
const stories = join(here, '../../models/stories260K');

interface Outcome {
  readonly code: number;
  readonly value: Readonly<Record<string, unknown>> | null;
  readonly stderr: string;
}

/** Plays a scene of `worker-scenes.ts` in a process of its own. */
function play(scene: string, seed = 0): Promise<Outcome> {
  const dist = join(dirname(compiledCli()), '..');
  const args = ['--import', 'tsx', program, dist, scene, stories, String(seed)];
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      args,
      { timeout: 120_000, maxBuffer: 1e8 },
      (_, stdout, stderr) => {
        const line = stdout.trim().split('\n').at(-1) ?? '';
        resolve({ code: child.exitCode ?? -1, value: line === '' ? null : JSON.parse(line), stderr });
      },
    );
  });
}

describe('the engine in a worker thread', () => {
  it('gives what the engine in this thread gives, to the bit, errors and all', async () => {
    const { code, value, stderr } = await play('equal');
    expect(stderr).toBe('');
    expect(value).toMatchObject({ same: true, closed: true });
    expect(value?.['length']).toBeGreaterThan(10_000);
    expect(value?.['error']).toMatch(/^EngineError: expected a loaded model, got one that is closed/);
    expect(code).toBe(0);
  });

  it('aborts a call, and cancels a row of another, without touching the rest', async () => {
    const { code, value } = await play('abort');
    expect(value).toEqual({
      aborted: 'AbortError: stopped before all rows were finished',
      reasons: ['cancelled', 'length', 'length', 'length', 'length'],
    });
    expect(code).toBe(0);
  });

  it('closes in mid-work twenty times, without aborting the process', async () => {
    const { code, value, stderr } = await play('close');
    expect(stderr).toBe('');
    const outcomes = value?.['outcomes'] as string[];
    expect(outcomes).toHaveLength(20);
    for (const outcome of outcomes) expect(outcome).toMatch(/^(AbortError|EngineError): /);
    expect(code).toBe(0);
  });

  it('cancels twenty calls in mid-work, and runs the next as if nothing had been', async () => {
    const { code, value, stderr } = await play('cancel');
    expect(stderr).toBe('');
    expect(value?.['outcomes']).toEqual(
      Array.from({ length: 20 }, () => 'AbortError: stopped before all rows were finished'),
    );
    expect(value?.['same']).toBe(true);
    expect(code).toBe(0);
  });

  it('lets a process exit in mid-work with the code that it names, twenty times', async () => {
    const codes: number[] = [];
    for (let n = 0; n < 20; n += 2) {
      const pair = await Promise.all([play('exit', 3 * n), play('exit', 3 * n + 3)]);
      codes.push(...pair.map(({ code }) => code));
    }
    expect(codes).toEqual(Array.from({ length: 20 }, () => 3));
  });

  it('runs no session in the main thread', async () => {
    const { code, value } = await play('idle');
    expect(value?.['tokens']).toBeGreaterThan(50);
    expect(value?.['here']).toMatch(/opened in the main thread/);
    expect(code).toBe(0);
  });

  it('lets the process end when a caller takes no more results', async () => {
    const { code, value } = await play('leave');
    expect(value).toEqual({ index: 'number' });
    expect(code).toBe(0);
  });

  it('says what is wrong with a model before the thread starts', async () => {
    const { value } = await play('missing');
    expect(value?.['error']).toMatch(/^UsageError: .*no\/such\/folder/);
  });
});
