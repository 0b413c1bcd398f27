import { copyFile, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fakeTrainer } from '../../test/helpers/fake-trainer.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { tinyShape, writeTinyModel } from '../../test/helpers/tiny-models.ts';
import { randomStream } from '../util/random.ts';
import { parseTrainConfig } from './config.ts';
import type { TrainEvent } from './progress.ts';
import { type TrainResult, type TrainerFactory, train } from './train.ts';
import type { Trainer } from './types.ts';

let model = '';
beforeAll(async () => {
  model = await writeTinyModel();
});
afterAll(() => rm(model, { recursive: true, force: true }));

/** Rows of a made-up language in which a token decides the next one. */
function rowsText(count: number, name = 'rows'): string {
  const random = randomStream(name);
  return Array.from({ length: count }, () => {
    const length = 4 + Math.floor(12 * random.uniform());
    const ids = [Math.floor(53 * random.uniform())];
    while (ids.length < length) ids.push((ids.at(-1)! * 7 + 3 + Math.floor(2 * random.uniform())) % 53);
    return `${JSON.stringify({ ids, response_start: 2 })}\n`;
  }).join('');
}

interface Scene {
  readonly folder: string;
  readonly run: (more?: RunOptions) => Promise<TrainResult>;
  readonly log: () => Promise<Record<string, unknown>[]>;
}
interface RunOptions {
  readonly config?: Record<string, unknown>;
  readonly output?: string;
  readonly createTrainer?: TrainerFactory;
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: TrainEvent) => void;
}

const factory: TrainerFactory = async () => fakeTrainer(tinyShape.vocabSize);

async function scene(config: Record<string, unknown> = {}): Promise<Scene> {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'rows.jsonl'), rowsText(30));
  const base = {
    model,
    training_file: join(folder, 'rows.jsonl'),
    output_dir: join(folder, 'out'),
    max_steps: 24,
    per_device_train_batch_size: 2,
    gradient_accumulation_steps: 2,
    learning_rate: 0.01,
    save_steps: 5,
    ...config,
  };
  const run = ({ config: more = {}, output, ...options }: RunOptions = {}): Promise<TrainResult> =>
    train({
      config: parseTrainConfig({ ...base, ...more }, 'test'),
      createTrainer: factory,
      ...(output === undefined ? {} : { output }),
      ...options,
    });
  const log = async (): Promise<Record<string, unknown>[]> => {
    const text = await readFile(join(folder, 'out/train_log.jsonl'), 'utf8');
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  return { folder, run, log };
}

/** The numbers of a log that do not depend on the clock. */
function curve(result: TrainResult): object[] {
  return result.steps.map(({ seconds: _, ...step }) => step);
}

describe('a training run', () => {
  it('writes weights, log, report and manifest, and lowers the loss', async () => {
    const { folder, run, log } = await scene();
    const result = await run();
    expect((await readdir(join(folder, 'out'))).sort()).toEqual([
      'manifest.json',
      'model.safetensors',
      'recipe.json',
      'report.html',
      'train_log.jsonl',
    ]);
    const lines = await log();
    expect(lines.map(({ step }) => step)).toEqual(Array.from({ length: 24 }, (_, i) => i + 1));
    expect(lines.map(({ epoch }) => epoch)).toEqual(lines.map((_, i) => Math.floor(i / 8)));
    expect(lines).toEqual(result.steps);
    // Five steps of warm-up from 0, then a line to 0: the first steps by hand.
    expect(lines.slice(0, 7).map(({ lr }) => lr)).toEqual([
      0,
      0.002,
      0.004,
      0.006,
      0.008,
      0.01,
      0.01 * (1 - 1 / 19),
    ]);
    expect(result.steps.at(-1)!.loss).toBeLessThan(result.steps[0]!.loss - 0.1);
    expect(result.manifest.counts).toMatchObject({ rows: 30, rows_read: 30, steps: 24, epochs: 3 });
  });

  it('weighs every token of a step alike, however its rows are cut into passes', async () => {
    const straight = await (await scene()).run();
    const wide = await scene({ per_device_train_batch_size: 4, gradient_accumulation_steps: 1 });
    const packed = await scene({ pack: true, max_seq_length: 20 });
    for (const other of [await wide.run(), await packed.run()])
      other.steps.forEach(({ loss }, i) => expect(loss).toBeCloseTo(straight.steps[i]!.loss, 6));
  });

  it('returns a finished run as it is', async () => {
    const { run } = await scene();
    const first = await run();
    const second = await run({
      createTrainer: async () => {
        throw new Error('no model is opened for a finished run');
      },
    });
    expect(second).toEqual(first);
  });

  it('goes over the data again when max_steps asks for it, and takes epochs otherwise', async () => {
    const { run } = await scene({ max_steps: null, epochs: 2 });
    const result = await run();
    // 30 rows, 4 a step: 8 steps an epoch.
    expect(result.steps).toHaveLength(16);
    expect(result.steps.filter(({ epoch }) => epoch === 0).reduce((sum, { tokens }) => sum + tokens, 0)).toBe(
      result.steps.filter(({ epoch }) => epoch === 1).reduce((sum, { tokens }) => sum + tokens, 0),
    );
  });

  it('keeps the order of the file where it is not to be shuffled', async () => {
    const { run } = await scene({ shuffle: false });
    const seen: string[] = [];
    await run({ createTrainer: async () => listening(seen), config: { max_steps: 2 } });
    expect(
      seen
        .slice(0, 8)
        .map((key) => Number(key.slice(5)))
        .sort((a, b) => a - b),
    ).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('holds rows out and follows watched vectors', async () => {
    const { run, folder } = await scene({ test_split: 0.2, eval_steps: 10 });
    const result = await run();
    expect(result.manifest.counts).toMatchObject({ rows: 24, test_rows: 6 });
    const tested = result.steps.filter((step) => step.test_loss !== undefined).map(({ step }) => step);
    expect(tested).toEqual([1, 11, 21]);
    expect(result.manifest.final.test_loss).toBeLessThan(result.steps[0]!.test_loss!);
    expect(await readFile(join(folder, 'out/report.html'), 'utf8')).toContain('held-out rows');
  });
});

/** A trainer that notes the keys of the rows that it is given. */
function listening(seen: string[]): Trainer {
  const trainer = fakeTrainer(tinyShape.vocabSize);
  return {
    ...trainer,
    accumulate: (rows, scale) => {
      seen.push(...rows.map(({ key }) => key));
      return trainer.accumulate(rows, scale);
    },
  };
}

describe('a run that is stopped', () => {
  it('continues with the same losses after any step, whatever the last checkpoint was', async () => {
    const whole = await (await scene()).run();
    const { run, log } = await scene();
    // A stop writes a checkpoint; a crash does not, and the steps since the last one are taken again.
    for (const [at, how] of [
      [3, 'stop'],
      [9, 'crash'],
      [11, 'stop'],
      [13, 'crash'],
      [21, 'crash'],
    ] as const) {
      const controller = new AbortController();
      const failing = run({
        signal: controller.signal,
        onProgress: (event) => {
          if (event.type !== 'step' || event.step.step < at) return;
          if (how === 'crash') throw new Error('crashed');
          controller.abort();
        },
      });
      await expect(failing).rejects.toThrow(how === 'stop' ? 'Training was stopped' : 'crashed');
    }
    const result = await run();
    expect(curve(result)).toEqual(curve(whole));
    expect((await log()).map(({ step }) => step)).toEqual(whole.steps.map(({ step }) => step));
  });

  it('goes on from the checkpoint before a damaged one, and says so', async () => {
    const whole = await (await scene()).run();
    const { folder, run } = await scene();
    const crash = run({
      onProgress: (event) => {
        if (event.type === 'step' && event.step.step === 13) throw new Error('crashed');
      },
    });
    await expect(crash).rejects.toThrow('crashed');
    const checkpoints = join(folder, 'out/checkpoints');
    expect((await readdir(checkpoints)).sort()).toEqual([
      'step-00000005.safetensors',
      'step-00000010.safetensors',
    ]);
    const newest = join(checkpoints, 'step-00000010.safetensors');
    await writeFile(newest, (await readFile(newest)).subarray(0, 4000));
    const events: TrainEvent[] = [];
    const result = await run({ onProgress: (event) => events.push(event) });
    expect(events).toContainEqual({ type: 'resume', step: 5, total: 24 });
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'notice', message: expect.stringMatching(/passed over/) as string }),
    );
    expect(curve(result)).toEqual(curve(whole));
  });

  it('refuses other options and other data, naming them', async () => {
    const { folder, run } = await scene();
    await expect(run({ onProgress: (event) => stopAt(event, 6) })).rejects.toThrow('crashed');
    await expect(run({ config: { learning_rate: 0.02 } })).rejects.toThrow(
      'options.learning_rate is 0.01 there and 0.02 here',
    );
    await copyFile(join(folder, 'rows.jsonl'), join(folder, 'more.jsonl'));
    await writeFile(join(folder, 'more.jsonl'), rowsText(31));
    await expect(run({ config: { training_file: join(folder, 'more.jsonl') } })).rejects.toThrow(
      'data.rows is 30 there and 31 here',
    );
    // The same rows in another file are the same data.
    await copyFile(join(folder, 'rows.jsonl'), join(folder, 'same.jsonl'));
    const same = await run({ config: { training_file: join(folder, 'same.jsonl'), save_steps: 7 } });
    expect(same.steps).toHaveLength(24);
  });

  it('shares its folder with nobody', async () => {
    const { run } = await scene();
    const ends = await Promise.allSettled([run(), run()]);
    const refused = ends.filter((end) => end.status === 'rejected');
    expect(refused.map(({ reason }) => String(reason))).toEqual([
      expect.stringContaining('is in use by process'),
    ]);
  });

  it('leaves a folder with other files alone', async () => {
    const { folder, run } = await scene();
    await mkdir(join(folder, 'out'));
    await writeFile(join(folder, 'out/thesis.txt'), 'mine');
    await expect(run()).rejects.toThrow('other files (thesis.txt)');
  });
});

function stopAt(event: TrainEvent, step: number): void {
  if (event.type === 'step' && event.step.step === step) throw new Error('crashed');
}

describe('a loss that is no number', () => {
  /** A trainer whose loss breaks at a row, or whose gradient breaks at a step. */
  function breaking(at: { row?: string; update?: number }): Trainer {
    const trainer = fakeTrainer(tinyShape.vocabSize);
    let updates = 0;
    return {
      ...trainer,
      accumulate: async (rows, scale) => {
        const result = await trainer.accumulate(rows, scale);
        const rowLosses = result.rowLosses.map((loss, i) => (rows[i]!.key === at.row ? NaN : loss));
        return { ...result, rowLosses, loss: rowLosses.reduce((a, b) => a + b, 0) };
      },
      update: async (options) => {
        const result = await trainer.update(options);
        return ++updates === at.update ? { gradNorm: Infinity } : result;
      },
    };
  }

  it('stops the run, names the row and keeps the parameters before it', async () => {
    const { folder, run } = await scene({ shuffle: false });
    const failing = run({ createTrainer: async () => breaking({ row: 'line 22' }) });
    await expect(failing).rejects.toThrow(
      'Step 6: expected the loss to be a finite number, got none for the rows at line 22; the parameters of step 5 are kept',
    );
    expect(await readdir(join(folder, 'out/checkpoints'))).toContain('step-00000005.safetensors');
    expect(await readdir(join(folder, 'out'))).not.toContain('manifest.json');
  });

  it('names all rows of the step where it is the gradient', async () => {
    const { folder, run } = await scene({ shuffle: false });
    const failing = run({ createTrainer: async () => breaking({ update: 3 }) });
    await expect(failing).rejects.toThrow(
      /^Step 3: expected the gradient to be a finite number, got none for the rows at line (9|10|11|12);/,
    );
    expect(await readdir(join(folder, 'out/checkpoints'))).toEqual(['step-00000002.safetensors']);
  });
});
