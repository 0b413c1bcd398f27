import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadModel } from '../../src/engine/load.ts';
import type { LanguageModel } from '../../src/engine/model.ts';
import { floatTensor, readSafetensors } from '../../src/model/safetensors-content.ts';
import { readVectorFile } from '../../src/store/vector-file.ts';
import { runCli } from '../helpers/cli.ts';
import { startLoopbackEngine } from '../helpers/loopback-engine.ts';
import type { MonitorRow } from '../../src/store/monitor-rows.ts';
import { shippedModelFolder } from '../../src/store/shipped-model.ts';
import { relativeError } from '../helpers/numbers.ts';
import { randomVector } from '../helpers/tiny-models.ts';
import { vectorOf } from '../helpers/vectors.ts';

const stories = fileURLToPath(new URL('../../models/stories260K', import.meta.url));
let local: LanguageModel;
let folder = '';
beforeAll(async () => {
  local = await loadModel(stories);
  folder = await mkdtemp(join(tmpdir(), 'persona-remote-'));
});
afterAll(async () => {
  await local.close();
  await rm(folder, { recursive: true });
});

it('extracts a vector on a server and steers by it', async () => {
  const { name } = await startLoopbackEngine('vllm-lens', local);
  const run = join(folder, 'run');
  const flags = ['--samples', '1', '--questions', '3', '--max-tokens', '30', '--layers', '3', '--force'];
  const sweep = ['--strengths', '-0.4,0.4', '--sweep-samples', '1', '--no-dose-response', '--no-fine'];
  const extracted = await runCli(['extract', name, 'cheerful', '--out', run, ...flags, ...sweep]);
  expect(extracted).toMatchObject({ code: 0 });
  expect(extracted.stdout).toContain('The cheerful vector was extracted');
  expect(extracted.stderr).toContain('vllm-lens does not give the embeddings');
  const { layers, width } = local.checkpoint.config;
  const { tensors } = await readVectorFile(join(run, 'vector.safetensors'));
  for (const data of tensors.values()) {
    expect(data.length).toBe((layers + 1) * width);
    expect(data.subarray(0, width).every((x) => x === 0)).toBe(true);
    expect(data.subarray(width).every(Number.isFinite)).toBe(true);
  }
  const manifest = JSON.parse(await readFile(join(run, 'manifest.json'), 'utf8')) as object;
  expect(JSON.stringify(manifest)).toContain('acme/served');

  const prompt = 'One day, a girl';
  const steer = join(folder, 'steer.json');
  const entry = { vector: 'run', layer: 3, coef: 2 };
  await writeFile(steer, JSON.stringify({ vectors: folder, interventions: [entry] }));
  const said = async (model: string, more: readonly string[] = []): Promise<string> => {
    const given = ['generate', model, '--prompt', prompt, '--max-tokens', '20', ...more];
    const { code, stdout, stderr } = await runCli(given);
    expect([code, stderr]).toEqual([0, expect.anything()]);
    return stdout;
  };
  expect(await said(name)).toBe(await said(stories));
  const steered = await said(name, ['--intervene', steer]);
  expect(steered).not.toBe(await said(stories));
  expect(steered).toBe(await said(stories, ['--intervene', steer]));
});

it('pools activations on a server as here', async () => {
  const { name } = await startLoopbackEngine('vllm-lens', local);
  const input = join(folder, 'rows.jsonl');
  await writeFile(input, '{"prompt":"One day, a girl","answer":" went to the park."}\n');
  const pooled = async (model: string, file: string): Promise<Float32Array> => {
    const out = join(folder, file);
    const { code } = await runCli(['activations', model, '--input', input, '--out', out]);
    expect(code).toBe(0);
    return floatTensor(await readSafetensors(out), 'response_mean').data;
  };
  const [ours, theirs] = [await pooled(name, 'a.safetensors'), await pooled(stories, 'b.safetensors')];
  const { width } = local.checkpoint.config;
  expect(relativeError(ours.subarray(width), theirs.subarray(width))).toBeLessThan(1e-5);
});

it('says what a server cannot do before it does anything, and what needs the weights here', async () => {
  const { name, requests } = await startLoopbackEngine('vllm-lens', local, { positional: false });
  const out = join(folder, 'never');
  const refused = await runCli(['extract', name, 'cheerful', '--out', out]);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/with --positions response needs an engine that can steer from the last/);
  expect(requests.length).toBe(4);
  const easy = await startLoopbackEngine('easysteer', local);
  const without = await runCli(['extract', easy.name, 'cheerful', '--out', out]);
  expect([without.code, without.stderr]).toEqual([2, expect.stringContaining('capability "capture"')]);
  for (const command of [['inspect'], ['extract', 'cheerful', '--dry-run']]) {
    const [first, ...rest] = command as [string, ...string[]];
    const { code, stderr } = await runCli([first, name, ...rest]);
    expect([command, code, stderr]).toEqual([
      command,
      2,
      expect.stringMatching(/weights of acme\/served here/),
    ]);
  }
});

it('calibrates and monitors on a server as here', async () => {
  const tiny = await loadModel(shippedModelFolder());
  const { name } = await startLoopbackEngine('vllm-lens', tiny);
  const { config, id } = tiny.checkpoint;
  const rows = Array.from({ length: config.layers + 1 }, (_, layer) => [
    ...randomVector(config.width, 'odd', layer),
  ]);
  const options = { model: id, recommendedLayer: 3 };
  await vectorOf('odd', rows, options).save(join(folder, 'odd.safetensors'));
  const input = join(folder, 'chats.jsonl');
  const turn = (i: number): object[] => [
    { role: 'user', content: `What do I do in garden ${i}?` },
    { role: 'assistant', content: `You sit in it. Garden ${i} is nice.` },
  ];
  const chats = Array.from({ length: 10 }, (_, i) =>
    JSON.stringify({ id: `chat ${i}`, messages: [...turn(i), ...turn(i + 1)] }),
  );
  await writeFile(input, `${chats.join('\n')}\n`);
  const monitored = async (model: string, file: string): Promise<number[]> => {
    const [baseline, out] = [join(folder, `${file}.json`), join(folder, `${file}.jsonl`)];
    const shared = [model, '--input', input, '--vector', 'odd', '--vectors', folder];
    expect(await runCli(['calibrate', ...shared, '--out', baseline])).toMatchObject({ code: 0 });
    const monitor = await runCli([
      'monitor',
      ...shared,
      '--out',
      out,
      '--baseline',
      baseline,
      '--limit',
      '1000',
    ]);
    expect(monitor).toMatchObject({ code: 0 });
    const found = (await readFile(out, 'utf8')).trim().split('\n');
    return found.flatMap((line) =>
      (JSON.parse(line) as MonitorRow).turns.map(({ vectors }) => vectors['odd']!.mean!.z!),
    );
  };
  const [ours, theirs] = [await monitored(name, 'ours'), await monitored(shippedModelFolder(), 'theirs')];
  expect(ours).toHaveLength(20);
  for (const [i, z] of ours.entries()) expect(z).toBeCloseTo(theirs[i]!, 3);
  await tiny.close();
});
