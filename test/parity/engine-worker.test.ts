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

  it('closes in mid-work at any moment, without aborting the process', async () => {
    for (const seed of [0, 1, 5, 20, 60]) {
      const { code, value, stderr } = await play('close', seed);
      expect(stderr).toBe('');
      expect(value?.['work']).toMatch(/^(AbortError|EngineError): /);
      expect(code).toBe(0);
    }
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
