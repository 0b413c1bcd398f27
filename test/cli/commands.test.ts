import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generate } from '../../src/apps/generate.ts';
import { loadModel } from '../../src/engine/load.ts';
import { readSafetensors } from '../../src/model/safetensors-content.ts';
import { shippedModel } from '../helpers/broken-model.ts';
import { compiledCli } from '../helpers/build.ts';
import { runCli, runProcess } from '../helpers/cli.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-commands-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function write(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

describe('persona', () => {
  it('prints help without loading the runtime', async () => {
    const code = `process.on('exit', () => {
      const loaded = process.report.getReport().sharedObjects.some((path) => path.includes('onnxruntime'));
      process.stderr.write('runtime loaded: ' + loaded);
    });`;
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` };
    const help = await runCli(['--help'], { env });
    expect(help).toMatchObject({ code: 0, stderr: 'runtime loaded: false' });
    expect(help.stdout).toMatch(/Find a trait[^]*extract[^]*Steer[^]*generate[^]*Models[^]*inspect/);
    const text = await runCli(['generate', shippedModel, '--ids', '1', '--max-tokens', '1'], { env });
    expect(text).toMatchObject({ code: 0, stderr: 'runtime loaded: true' });
  });

  it('prints its help on standard error, and fails, where no command is named', async () => {
    const result = await runCli([]);
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toMatch(/^Usage: persona/);
  });

  it('ends quietly when the reader of its output goes away', async () => {
    const command = `'${process.execPath}' '${compiledCli()}' inspect '${shippedModel}'; echo $? >&2`;
    const result = await runProcess('bash', ['-c', `{ ${command}; } | true`]);
    expect(result.stderr.trim()).toBe('0');
  });
});

describe('persona inspect', () => {
  it('says what the shipped model is', async () => {
    const result = await runCli(['inspect', shippedModel, '--json']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(result.stdout)).toMatchObject({
      id: 'stories260K',
      revision: null,
      family: 'llama',
      parameters: 260_032,
      layers: 5,
      width: 64,
      heads: 8,
      kvHeads: 4,
      headSize: 8,
      vocabulary: 512,
      tiedEmbeddings: true,
      context: 512,
      rope: { theta: 10_000, scaling: { kind: 'default' } },
      windows: [],
      dtypes: { F32: 260_032 },
      weightFiles: 1,
      tokenizer: { tokens: 512, addedTokens: 3 },
      chatTemplate: false,
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      memory: { onePass: 4 * 260_032, generate: 8 * 260_032, cachePerToken: 4 * 2 * 5 * 4 * 8 },
    });
  });
});

describe('persona generate', () => {
  const greedy = ['generate', shippedModel, '--max-tokens', '12', '--json'];

  it('prints exactly ids, text and finish_reason, the same for ids and for text', async () => {
    const [byIds, byText] = await Promise.all([
      runCli([...greedy, '--ids', '1']),
      runCli([...greedy, '--prompt', '']),
    ]);
    expect(byIds).toMatchObject({ code: 0, stderr: '' });
    const result = JSON.parse(byIds.stdout) as { ids: number[] };
    expect(Object.keys(result)).toEqual(['ids', 'text', 'finish_reason']);
    expect(result).toMatchObject({
      text: 'Once upon a time, there was a little girl',
      finish_reason: 'length',
    });
    expect(result.ids).toHaveLength(12);
    expect(byText.stdout).toBe(byIds.stdout);
  });

  it('streams the same text without --json', async () => {
    const result = await runCli(greedy.filter((flag) => flag !== '--json').concat('--ids', '1'));
    expect(result).toEqual({ code: 0, stdout: 'Once upon a time, there was a little girl\n', stderr: '' });
    const pieces: string[] = [];
    const { text } = await generate({
      model: shippedModel,
      input: { ids: [1] },
      maxTokens: 12,
      onText: (piece) => pieces.push(piece),
    });
    expect(pieces.length).toBeGreaterThan(6);
    expect(pieces.join('')).toBe(text);
  });

  it('does not double a BOS that the text spells', async () => {
    const result = await runCli([...greedy, '--prompt', '<s>']);
    expect(JSON.parse(result.stdout)).toMatchObject({ text: 'Once upon a time, there was a little girl' });
  });

  it('samples the same text for the same seed, and another for another', async () => {
    const sample = (seed: string): Promise<string> =>
      runCli([...greedy, '--ids', '1', '--temperature', '1', '--seed', seed]).then(({ stdout }) => stdout);
    const [first, again, other] = await Promise.all([sample('1'), sample('1'), sample('2')]);
    expect(again).toBe(first);
    expect(other).not.toBe(first);
  });

  it('steers by a specification of interventions', async () => {
    const vector = Array.from({ length: 64 }, (_, i) => Math.sin(i));
    const entries = [
      { layer: 2, vector, coef: 30 },
      { layer: 3, vector, ablate: true, positions: 'response' },
      { layer: 4, vector, max: 0.5, positions: 'boundary' },
    ];
    const spec = await write('spec.json', JSON.stringify(entries));
    const plain = await runCli([...greedy, '--ids', '1']);
    const steered = await runCli([...greedy, '--ids', '1', '--intervene', spec]);
    expect(steered).toMatchObject({ code: 0, stderr: '' });
    expect(steered.stdout).not.toBe(plain.stdout);
    const empty = await write('empty.json', '[]');
    expect((await runCli([...greedy, '--ids', '1', '--intervene', empty])).stdout).toBe(plain.stdout);
  });
});

describe('persona activations', () => {
  it('writes one tensor a pooling, in the order of the rows, equal to the rows run alone', async () => {
    const rows = [
      { ids: [1, 403, 407, 261, 378], response_start: 2 },
      { prompt: 'One day, a girl', answer: ' went to the park.' },
      { ids: [1, 5, 9, 200], response_start: 3, id: 'a further column' },
    ];
    const input = await write('rows.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'));
    const output = join(folder, 'acts.safetensors');
    const pool = 'response_mean,prompt_mean,prompt_last';
    const result = await runCli([
      'activations',
      shippedModel,
      '--input',
      input,
      '--out',
      output,
      '--pool',
      pool,
    ]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toContain('[3, 6, 64]');
    expect((await readdir(folder)).filter((name) => name.includes('acts'))).toEqual(['acts.safetensors']);

    const { tensors, metadata } = await readSafetensors(output);
    expect([...tensors.keys()]).toEqual(pool.split(','));
    expect(metadata.get('model')).toBe('stories260K');
    const model = await loadModel(shippedModel);
    const prompt = model.checkpoint.tokenizer!.encodePrompt('One day, a girl');
    const answer = model.checkpoint.tokenizer!.encode(' went to the park.', { special: false });
    const ids = [rows[0]!.ids!, [...prompt, ...answer], rows[2]!.ids!];
    const starts = [2, prompt.length, 3];
    for (const [i, row] of ids.entries()) {
      const options = { pool: ['response_mean', 'prompt_mean', 'prompt_last'] } as const;
      for await (const { pooled } of model.forward([{ ids: row, responseStart: starts[i]! }], options)) {
        for (const name of options.pool) {
          const { shape, data } = tensors.get(name)!;
          expect(shape).toEqual([3, 6, 64]);
          expect(data.slice(i * 6 * 64, (i + 1) * 6 * 64)).toEqual(pooled[name]);
        }
      }
    }
    await model.close();
  });

  it('writes the same bytes whatever the batches', async () => {
    const lines = Array.from({ length: 40 }, (_, i) =>
      JSON.stringify({
        ids: [1, ...Array.from({ length: 1 + ((7 * i) % 23) }, (_, j) => (i + 5 * j) % 512)],
        response_start: 1,
      }),
    );
    const input = await write('many.jsonl', lines.join('\n'));
    const run = async (name: string, ...flags: string[]): Promise<Uint8Array> => {
      const output = join(folder, name);
      const result = await runCli(['activations', shippedModel, '--input', input, '--out', output, ...flags]);
      expect(result).toMatchObject({ code: 0, stderr: '' });
      return (await readSafetensors(output)).tensors.get('response_mean')!.data as unknown as Uint8Array;
    };
    const [one, other] = await Promise.all([
      run('one.safetensors'),
      run('other.safetensors', '--batch-tokens', '50'),
    ]);
    expect(other).toEqual(one);
  });
});

describe('persona estimate', () => {
  it('says what a command would take, as the command itself does with --dry-run', async () => {
    const cache = await mkdtemp(join(folder, 'cache-'));
    const env = { PERSONA_CACHE: cache };
    const args = ['extract', shippedModel, 'cheerful', '--samples', '2', '--rate', '1000,100', '--json'];
    const estimated = await runCli(['estimate', ...args], { env });
    expect(estimated).toMatchObject({ code: 0, stderr: '' });
    const result = JSON.parse(estimated.stdout) as Record<string, unknown>;
    expect(result).toMatchObject({
      command: 'extract',
      model: 'stories260K',
      steps: [{ name: 'rollouts' }, { name: 'sweep' }, { name: 'dose-response' }, { name: 'held-out' }],
      rate: { source: 'given', date: null, prompt_tokens_per_second: 1000 },
      judge: { calls: 0, dollars: 0 },
    });
    const dry = await runCli([...args, '--dry-run'], { env });
    expect(JSON.parse(dry.stdout)).toMatchObject({ ...result, memory: {}, disk: {} });
    // Nothing was run and nothing measured.
    expect(await readdir(cache)).toEqual([]);
  });

  it('counts the calls of the judge that is named, and what they cost, without asking it', async () => {
    const env = { PERSONA_CACHE: await mkdtemp(join(folder, 'cache-')), OPENAI_API_KEY: 'none' };
    const asked = ['--trait-set', 'default', '--judge', 'openai:gpt-4.1-mini', '--samples', '1'];
    const measured = ['--no-sweep', '--no-dose-response', '--rate', '1000,100', '--json'];
    const { code, stdout } = await runCli(['extract', 'evil', ...asked, ...measured, '--dry-run'], { env });
    expect(code).toBe(0);
    const { judge } = JSON.parse(stdout) as { judge: { calls: number; dollars: number } };
    // Five instructions and twenty questions for each pole, the held-out replies, and two metrics each.
    expect(judge.calls).toBeGreaterThanOrEqual(2 * 200);
    expect(judge.dollars).toBeGreaterThan(0);
  });

  it('prints for a person, and says that a time without a measurement is a guess', async () => {
    const env = { PERSONA_CACHE: await mkdtemp(join(folder, 'cache-')) };
    const { code, stdout } = await runCli(
      ['estimate', 'generate', shippedModel, '--prompt', 'Once', '--no-measure'],
      { env },
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^command +persona generate, not run\nmodel +stories260K in fp32\ntokens /);
    expect(stdout).toMatch(/time +at most .* \(a guess\)\n/);
  });

  it('refuses a command that takes no time, and rates that are none', async () => {
    expect(await runCli(['estimate', 'inspect', shippedModel])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/Expected one of the commands .*extract.* to estimate, got "inspect"\./),
    });
    const wrong = await runCli(['estimate', 'generate', shippedModel, '--ids', '1', '--rate', '0']);
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('numbers above 0') });
  });
});
