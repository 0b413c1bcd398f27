import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pullScene } from '../../test/helpers/pull-scene.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { loadModel } from '../engine/load.ts';
import { extract } from '../persona/extract.ts';
import type { JudgeLoad, JudgeProvider } from '../persona/judge.ts';
import { activations } from './activations.ts';
import { lineThrough } from './calibrate.ts';
import { assemble, groupEstimate, secondsOf } from './estimate.ts';
import { estimateActivations } from './estimate-activations.ts';
import { estimateExtract, estimateJudge } from './estimate-extract.ts';
import { estimateGenerate } from './estimate-generate.ts';
import { estimatePull } from './estimate-pull.ts';
import { priceOf, readPrices } from './judge-prices.ts';

const model = 'models/stories260K';
const rate = { prompt: 1000, reply: 100 };

interface StoredRow {
  readonly prompt_tokens: number;
  readonly response_ids: readonly number[];
}

async function readRows(file: string): Promise<StoredRow[]> {
  const lines = (await readFile(file, 'utf8')).trim().split('\n');
  return lines.map((line) => JSON.parse(line) as StoredRow).filter((row) => 'response_ids' in row);
}

describe('an estimate of extract', () => {
  it('counts what the run then does', async () => {
    const out = join(await temporaryFolder(), 'run');
    const settings = {
      trait: 'cheerful',
      samples: 1,
      maxTokens: 12,
      force: true,
      threshold: 1,
      sweep: { layers: [3], strengths: [-0.4, 0.4], samples: 1, fine: false },
      doseResponse: { strengths: [-0.4, 0.4], samples: 1, randomDirections: 2, randomSamples: 1 },
    };
    const estimate = await estimateExtract({ model, rate, extract: { ...settings, out } });
    const loaded = await loadModel(model, { threads: 1 });
    await extract({ ...settings, model: loaded, out });
    await loaded.close();
    const files = [
      'rollouts.jsonl',
      'sweep-rollouts.jsonl',
      'dose-response-rollouts.jsonl',
      'held-out-rollouts.jsonl',
    ];
    const steps = await Promise.all(files.map((file) => readRows(join(out, file))));
    const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
    expect(estimate.steps.map(({ rows }) => rows)).toEqual(steps.map((rows) => rows.length));
    expect(estimate.steps.map(({ promptTokens }) => promptTokens)).toEqual(
      steps.map((rows) => sum(rows.map((row) => row.prompt_tokens))),
    );
    for (const [i, rows] of steps.entries()) {
      const { newTokens, runTokens, promptTokens } = estimate.steps[i]!;
      expect(newTokens).toBe(12 * rows.length);
      expect(sum(rows.map((row) => row.response_ids.length))).toBeLessThanOrEqual(newTokens);
      expect(runTokens).toBeLessThanOrEqual(promptTokens);
    }
    for (const { name, bytes } of estimate.disk.files.filter((file) => file.name !== 'everything else')) {
      const { size } = await stat(join(out, name));
      // Room for twice as much, and never for less than is written.
      expect(size).toBeLessThanOrEqual(bytes + 10_000);
      expect(bytes).toBeLessThan(3 * size);
    }
    expect(estimate.judge).toMatchObject({ calls: 0, dollars: 0 });
    expect(estimate.totals.seconds).toBeCloseTo(
      sum(estimate.steps.map((step) => step.runTokens / 1000 + step.newTokens / 100)),
    );
  });

  it('refuses what extract refuses', async () => {
    const wrong = estimateExtract({ model, rate, extract: { trait: 'cheerful', out: 'x', samples: 0 } });
    await expect(wrong).rejects.toThrow('Expected samples to be a whole number');
  });

  it('asks a judge what its calls cost', async () => {
    const loads: JudgeLoad[] = [];
    const judge: JudgeProvider = {
      id: 'openai:gpt-4.1-mini/1:abc',
      beside: true,
      judge: () => {
        throw new Error('an estimate must not judge');
      },
      estimate: (load) => {
        loads.push(load);
        return { calls: 2 * load.replies, inputTokens: 1e6, outputTokens: 1e5 };
      },
    };
    const steps = [
      { rows: 10, newTokens: 100 },
      { rows: 10, newTokens: 300 },
    ];
    expect(estimateJudge(judge, steps)).toMatchObject({
      calls: 40,
      dollars: 0.4 + 0.16,
      price: expect.stringMatching(/^list price of \d{4}-\d{2}$/),
    });
    expect(loads).toEqual([{ replies: 20, replyTokens: 20 }]);
    const own = { 'openai:gpt-4.1-mini': { input: 1, output: 10 } };
    expect(estimateJudge(judge, steps, own)).toMatchObject({ dollars: 2, price: 'your prices' });
    expect(estimateJudge({ ...judge, id: 'acme:big' }, steps)).toMatchObject({ dollars: null, price: null });
  });
});

describe('an estimate of activations', () => {
  it('knows rows, tokens and the size of the file', async () => {
    const folder = await temporaryFolder();
    const [input, output] = [join(folder, 'rows.jsonl'), join(folder, 'out.safetensors')];
    await writeFile(input, '{"ids":[1,2,3,4],"response_start":2}\n{"ids":[1,2,3],"response_start":1}\n');
    const estimate = await estimateActivations({ model, input, output, rate });
    expect(estimate.steps).toMatchObject([{ rows: 2, promptTokens: 7, newTokens: 0, seconds: 7 / 1000 }]);
    expect(estimate.memory!.needed).toBeGreaterThan(1_000_000);
    const result = await activations({ model, input, output });
    expect(result.tokens).toBe(estimate.totals.promptTokens);
    expect(estimate.disk.files).toEqual([{ name: output, bytes: (await stat(output)).size }]);
  });
});

describe('an estimate of generate', () => {
  it('counts the prompt and the longest reply, and names weights that are still to be quantised', async () => {
    const cacheFolder = await temporaryFolder();
    const estimate = await estimateGenerate({
      model,
      rate,
      cacheFolder,
      dtype: 'int8',
      maxTokens: 20,
      input: { ids: [1, 2, 3] },
    });
    expect(estimate.totals).toEqual({ promptTokens: 3, newTokens: 20, seconds: 3 / 1000 + 20 / 100 });
    expect(estimate.precision).toBe('int8-block32');
    const loaded = await loadModel(model, { dtype: 'int8' });
    await loaded.close();
    expect(estimate.disk.files).toHaveLength(1);
    expect(estimate.disk.files[0]!.bytes).toBeGreaterThan(200_000);
  });
});

describe('an estimate of pull', () => {
  it('lists what is missing, without writing anything', async () => {
    const { run, environment, files, trusted } = await pullScene();
    const { 'README.md': _, ...wanted } = files;
    const sizes = Object.entries(wanted).map(([name, content]) => ({
      name,
      bytes: Buffer.byteLength(content),
    }));
    const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
    const before = await estimatePull('acme/tiny', { environment });
    expect([...before.disk.files].sort(byName)).toEqual(sizes.sort(byName));
    expect(await trusted()).toEqual([]);
    await run();
    const after = await estimatePull('acme/tiny', { environment });
    expect(after.disk.files).toEqual([]);
    expect(after.notes).toEqual([`${sizes.length} files are in the cache already.`]);
  });
});

describe('time', () => {
  const step = { name: 's', rows: 64, promptTokens: 9000, runTokens: 900, newTokens: 640, sideBySide: 32 };

  it('is that of the prompts that are run, and of as many steps as the replies take side by side', () => {
    expect(secondsOf(step, { prompt: 300, step: 0.5, row: 0.25 })).toBeCloseTo(3 + 20 * (0.5 + 32 * 0.25));
    expect(secondsOf({ ...step, backwardTokens: 300 }, { prompt: 300, step: 0, row: 0 })).toBeCloseTo(5);
  });

  it('of a group is the sum of its steps, and the totals stay', () => {
    const bare = { command: 'c', model: null, precision: null, memory: null, judge: null, notes: [] };
    const files = ['a, 1', 'b', 'a, 2'].map((name, i) => ({ name, bytes: 10 ** i }));
    const rates = { prompt: 300, step: 0.5, row: 0.25, source: 'given', date: null } as const;
    const steps = files.map(({ name }) => ({ ...step, name }));
    const whole = assemble({ ...bare, disk: { files, free: null }, rate: rates, steps });
    const grouped = groupEstimate(whole, (name) => name[0]!);
    expect(grouped.steps.map(({ name, rows, seconds }) => [name, rows, seconds])).toEqual([
      ['a', 128, 2 * whole.steps[0]!.seconds!],
      ['b', 64, whole.steps[1]!.seconds],
    ]);
    expect(grouped.disk.files).toEqual([
      { name: 'a', bytes: 101 },
      { name: 'b', bytes: 10 },
    ]);
    expect(grouped.totals).toEqual(whole.totals);
  });

  it('is not known without a rate', () => {
    const bare = { command: 'c', model: null, precision: null, memory: null, judge: null, notes: [] };
    const estimate = assemble({ ...bare, disk: { files: [], free: null }, rate: null, steps: [step, step] });
    expect(estimate.totals).toEqual({ promptTokens: 18_000, newTokens: 1280, seconds: null });
  });

  it('of a step lies on the line through two measurements', () => {
    const line = lineThrough({ prompt: 10, narrow: 0.1, wide: 0.73 });
    expect(line.prompt).toBe(10);
    expect(line.step + line.row).toBeCloseTo(0.1);
    expect(line.step + 64 * line.row).toBeCloseTo(0.73);
    // A measurement may be off; no row takes less than nothing.
    expect(lineThrough({ prompt: 10, narrow: 0.2, wide: 0.1 })).toEqual({ prompt: 10, step: 0.2, row: 0 });
  });
});

describe('prices', () => {
  it('are the longest name’s that the judge’s begins with, the user’s before the list’s', () => {
    expect(priceOf('openai:gpt-4.1-mini/1')).toMatchObject({ input: 0.4 });
    expect(priceOf('openai:gpt-4.1/1')).toMatchObject({ input: 2 });
    expect(priceOf('openai:gpt-4.1-mini/1', { openai: { input: 7, output: 8 } })).toEqual({
      input: 7,
      output: 8,
      origin: 'your prices',
    });
    expect(priceOf('lexical/1')).toBeNull();
  });

  it('are read from a file, or refused in one sentence', async () => {
    const folder = await temporaryFolder();
    const write = async (text: string): Promise<string> => {
      const file = join(folder, 'prices.json');
      await writeFile(file, text);
      return file;
    };
    expect(await readPrices(await write('{"a":{"input":1,"output":2}}'))).toEqual({
      a: { input: 1, output: 2 },
    });
    await expect(readPrices(await write('{'))).rejects.toThrow('to be JSON');
    await expect(readPrices(await write('{"a":{"input":-1}}'))).rejects.toThrow(
      'to give "input" and "output"',
    );
  });
});
