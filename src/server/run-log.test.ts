import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorIn, progressIn, readLog, readSteps, tailOffset } from './run-log.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'run-log-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('a log in parts', () => {
  it('is cut between characters, and nothing of it is lost', async () => {
    const text = 'ä€😀 one\n'.repeat(20);
    const file = join(folder, 'log.txt');
    await writeFile(file, text);
    for (let limit = 16; limit < 24; limit++) {
      let [read, offset] = ['', 0];
      for (;;) {
        const part = await readLog(file, offset, limit);
        read += part.text;
        offset = part.next_offset;
        if (offset === part.bytes) break;
      }
      expect(read).toBe(text);
    }
  });

  it('has a tail of whole lines', async () => {
    const file = join(folder, 'lines.txt');
    await writeFile(file, 'first\nsecond\nthird\n');
    expect(await tailOffset(file, 8)).toBe('first\nsecond\n'.length);
    expect(await tailOffset(file, 100)).toBe(0);
    expect(await tailOffset(join(folder, 'nothing.txt'), 8)).toBe(0);
    expect(await readLog(join(folder, 'nothing.txt'), 0, 16)).toMatchObject({ text: '', bytes: 0 });
  });
});

describe('the steps of a training', () => {
  it('are its whole lines; what is none is left out', async () => {
    const step = { step: 1, epoch: 0, loss: 2.5, lr: 0.1, grad_norm: 1, tokens: 8, seconds: 0.1 };
    const whole = `${JSON.stringify(step)}\nnonsense\n{"step":"2"}\n${JSON.stringify({ ...step, step: 2 })}\n`;
    const file = join(folder, 'train_log.jsonl');
    await writeFile(file, `${whole}{"step":3`);
    const { steps, next } = await readSteps(file, 0);
    expect(steps.map(({ step: n }) => n)).toEqual([1, 2]);
    expect(next).toBe(whole.length);
    expect(await readSteps(file, next)).toEqual({ steps: [], next });
  });
});

describe('what a log says', () => {
  it('of how far a run is, by its newest line that counts', () => {
    const log =
      'sweep: 1 of 10 rollouts\nsweep: 4 of 10 rollouts, 2 rollouts/s, 3.0 s left\nnote: 3 were dropped\n';
    expect(progressIn(log)).toEqual({
      label: 'sweep',
      done: 4,
      total: 10,
      line: 'sweep: 4 of 10 rollouts, 2 rollouts/s, 3.0 s left',
    });
    expect(progressIn('note: nothing counts\n')).toBeNull();
  });

  it('of why it ended', () => {
    expect(errorIn('error: first\nerror: Expected a file, got none.\n')).toBe('Expected a file, got none.');
    expect(errorIn('all went well\n')).toBeNull();
  });
});
