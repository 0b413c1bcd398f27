import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '../../src/model/safetensors-content.ts';
import { randomStream } from '../../src/util/random.ts';
import { copyModel, shippedModel } from '../helpers/broken-model.ts';
import { runCli } from '../helpers/cli.ts';
import type { ProcessResult } from '../helpers/cli.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-train-'));
  await writeFile(join(folder, 'rows.jsonl'), rowsText(24));
});
afterAll(() => rm(folder, { recursive: true }));

/** Rows in which a token decides the next one. */
function rowsText(count: number): string {
  const random = randomStream('train rows');
  return Array.from({ length: count }, () => {
    const length = 8 + Math.floor(16 * random.uniform());
    const ids = [
      1,
      ...Array.from({ length }, (_, i) => 3 + ((i * 7 + Math.floor(3 * random.uniform())) % 500)),
    ];
    return `${JSON.stringify({ ids, response_start: 3 })}\n`;
  }).join('');
}

const base = {
  model: shippedModel,
  r: 4,
  lora_alpha: 8,
  learning_rate: 0.005,
  warmup_steps: 1,
  max_steps: 8,
  per_device_train_batch_size: 2,
  gradient_accumulation_steps: 2,
};

/** Writes a training file; its output goes to a folder of its name. */
async function configure(name: string, more: Record<string, unknown> = {}): Promise<string> {
  const file = join(folder, `${name}.json`);
  const own = { training_file: join(folder, 'rows.jsonl'), output_dir: join(folder, name) };
  await writeFile(file, JSON.stringify({ ...base, ...own, ...more }));
  return file;
}

interface LogLine {
  readonly step: number;
  readonly loss: number;
}

async function logOf(name: string): Promise<LogLine[]> {
  const text = await readFile(join(folder, name, 'train_log.jsonl'), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as LogLine);
}

const bytesOf = (...path: string[]): Promise<string> => readFile(join(folder, ...path), 'base64');

describe('persona train', () => {
  it('writes an adapter that every command takes, and that merges', async () => {
    const result = await runCli(['train', await configure('adapter')]);
    expect(result.code).toBe(0);
    expect(result.stdout).toMatch(
      /^loss +\d[\d.]* → \d[\d.]*\nsteps +8 over 24 rows, \d+ tokens\ntime .*\nadapter .*\nreport .*\n$/,
    );
    const log = await logOf('adapter');
    expect(log.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(log.at(-1)!.loss).toBeLessThan(log[0]!.loss - 1);
    expect((await readdir(join(folder, 'adapter'))).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'manifest.json',
      'recipe.json',
      'report.html',
      'train_log.jsonl',
    ]);

    const prompt = ['--ids', '1,3,10,17', '--max-tokens', '12', '--json'];
    const adapter = join(folder, 'adapter');
    const adapted = await runCli(['generate', shippedModel, ...prompt, '--adapter', adapter]);
    const plain = await runCli(['generate', shippedModel, ...prompt]);
    expect(adapted.stdout).not.toBe(plain.stdout);

    const merged = await runCli(['merge', shippedModel, adapter, '--out', join(folder, 'merged'), '--json']);
    expect(merged.code).toBe(0);
    expect(JSON.parse(merged.stdout)).toMatchObject({ merged: 35 });
    const fromMerged = await runCli(['generate', join(folder, 'merged'), ...prompt]);
    expect(fromMerged.stdout).toBe(adapted.stdout);

    const few = ['--questions', '2', '--samples', '1', '--max-tokens', '8', '--seed', '3'];
    const bare = [
      '--no-sweep',
      '--no-dose-response',
      '--force',
      '--threshold',
      '0',
      '--coherence-threshold',
      '0',
      '--filter',
      'independent',
      '--json',
    ];
    const extraction = [
      'extract',
      shippedModel,
      'cheerful',
      '--adapter',
      adapter,
      '--out',
      join(folder, 'run'),
    ];
    const extracted = await runCli([...extraction, ...few, ...bare]);
    expect(extracted).toMatchObject({ code: 0 });
    expect(JSON.parse(extracted.stdout)).toMatchObject({ model: 'stories260K+adapter' });

    const input = join(folder, 'rows.jsonl');
    const pooled = async (model: string, name: string, ...flags: string[]): Promise<Float32Array> => {
      const out = join(folder, `${name}.safetensors`);
      const { code } = await runCli(['activations', model, '--input', input, '--out', out, ...flags]);
      expect(code).toBe(0);
      return (await readSafetensors(out)).tensors.get('response_mean')!.data as Float32Array;
    };
    const [byAdapter, byMerge] = [
      await pooled(shippedModel, 'by-adapter', '--adapter', adapter),
      await pooled(join(folder, 'merged'), 'by-merge'),
    ];
    const largest = byMerge.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    byAdapter.forEach((x, i) => expect(Math.abs(x - byMerge[i]!)).toBeLessThan(1e-4 * largest));
  });

  it('gives the same bits again for the same seed, and others for another', async () => {
    const config = await configure('first', { max_steps: 3 });
    const runs = [
      ['--output', join(folder, 'first')],
      ['--output', join(folder, 'second')],
      ['--output', join(folder, 'other'), '--seed', '7'],
    ];
    for (const flags of runs) expect((await runCli(['train', config, ...flags])).code).toBe(0);
    const file = 'adapter_model.safetensors';
    expect(await bytesOf('second', file)).toBe(await bytesOf('first', file));
    expect(await bytesOf('other', file)).not.toBe(await bytesOf('first', file));
  });

  it('trains every parameter, from weights that know nothing', async () => {
    const model = await copyModel(join(folder, 'blank'));
    const config = await configure('whole', {
      model,
      is_peft: false,
      lr_scheduler_type: 'cosine',
      min_lr_ratio: 0.1,
      test_split: 4,
      eval_steps: 4,
      adam_beta2: 0.95,
    });
    const result = await runCli(['train', config, '--json']);
    expect(result.code).toBe(0);
    const { loss, final, counts } = JSON.parse(result.stdout) as {
      loss: number[];
      final: { test_loss: number };
      counts: Record<string, number>;
    };
    expect(counts).toMatchObject({ rows: 20, test_rows: 4, steps: 8 });
    expect(loss.at(-1)).toBeLessThan(loss[0]! - 1);
    expect(final.test_loss).toBeLessThan(loss[0]! - 1);
    const said = await runCli(['generate', join(folder, 'whole'), '--ids', '1,3', '--max-tokens', '2']);
    expect(said.code).toBe(0);
  });

  it('says what it would do, and writes nothing', async () => {
    const result = await runCli([
      'train',
      await configure('planned', { max_steps: null, epochs: 2 }),
      '--dry-run',
    ]);
    expect(result.code).toBe(0);
    expect(result.stdout).toMatch(
      /^trains +LoRA adapter of rank 4\nrows +24, \d+ tokens an epoch\nsteps +12, 6 an epoch\n/,
    );
    expect(result.stdout).toMatch(/\ntime +about .* by one measured pass\n/);
    await expect(stat(join(folder, 'planned'))).rejects.toThrow('ENOENT');
  });
});

describe('a training that is stopped', () => {
  it('continues after Ctrl-C and after a kill, with the same losses and the same adapter', async () => {
    const longer = { max_steps: 60, save_steps: 4, gradient_accumulation_steps: 1 };
    expect((await runCli(['train', await configure('straight', longer)])).code).toBe(0);
    const config = await configure('stopped', longer);
    const stopped = await interrupted(config, 'stopped', 'SIGINT');
    expect(stopped).toMatchObject({ code: 130, stdout: '' });
    expect(stopped.stderr).toMatch(/Training was stopped; the same command continues\./);
    const killed = await interrupted(config, 'stopped', 'SIGKILL');
    expect(killed.code).toBeNull();
    expect(await readdir(join(folder, 'stopped'))).not.toContain('manifest.json');
    const finished = await runCli(['train', config]);
    expect(finished.code).toBe(0);
    expect(finished.stderr).toMatch(/continuing after step \d+ of 60/);
    const [ours, whole] = [await logOf('stopped'), await logOf('straight')];
    expect(ours.map(({ step }) => step)).toEqual(whole.map(({ step }) => step));
    ours.forEach(({ loss }, i) => expect(Math.abs(loss - whole[i]!.loss)).toBeLessThan(1e-6));
    const file = 'adapter_model.safetensors';
    expect(await bytesOf('stopped', file)).toBe(await bytesOf('straight', file));
  });
});

/** Runs the training and sends a signal when it has written a checkpoint more than there was. */
async function interrupted(config: string, name: string, signal: NodeJS.Signals): Promise<ProcessResult> {
  const newest = async (): Promise<string> =>
    (await readdir(join(folder, name, 'checkpoints')).catch(() => []))
      .filter((entry) => entry.startsWith('step-'))
      .sort()
      .at(-1) ?? '';
  const before = await newest();
  let timer: NodeJS.Timeout | undefined;
  const result = runCli(['train', config], {
    onStart: (kill) => {
      timer = setInterval(() => {
        void newest().then((now) => {
          if (now > before && kill(signal)) clearInterval(timer);
        });
      }, 5);
    },
  });
  await result.finally(() => clearInterval(timer));
  return result;
}
