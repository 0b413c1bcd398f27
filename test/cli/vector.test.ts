import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readSafetensors } from '../../src/model/safetensors-content.ts';
import { writeSafetensors } from '../../src/model/safetensors-writer.ts';
import { PersonaVector } from '../../src/persona/vector.ts';
import { unknownOrigin } from '../../src/store/vector-file.ts';
import { runCli } from '../helpers/cli.ts';
import { relativeError } from '../helpers/numbers.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';

const stories = fileURLToPath(new URL('../../models/stories260K', import.meta.url));

async function twoVectors(): Promise<string> {
  const folder = await temporaryFolder();
  const make = (trait: string, data: Float32Array): PersonaVector =>
    new PersonaVector(3, 2, data, {
      ...unknownOrigin({ trait, pooling: 'response_mean', model: 'tiny' }),
      recommendedLayer: 2,
      recommendedStrength: 1.5,
      residualNorms: [1, 5, 10, 20],
    });
  await make('kind', Float32Array.of(0, 0, 1, 0, 3, 4, 2, 0)).save(join(folder, 'kind.safetensors'));
  await make('brave', Float32Array.of(0, 0, 0, 1, 0, 2, 2, 2)).save(join(folder, 'brave.safetensors'));
  return folder;
}

describe('persona vector', () => {
  it('shows a vector in three units of strength', async () => {
    const cwd = await twoVectors();
    const { code, stdout } = await runCli(['vector', 'show', 'kind.safetensors'], { cwd });
    expect(code).toBe(0);
    expect(stdout).toContain(
      "layer 2 (resid_post of block 2 of 3), coefficient 1.5: a norm of 7.5, 75.0 % of the stream's",
    );
    expect(stdout).toMatch(/^ +2 +5 +50\.0 % +recommended$/m);
  });

  it('compares two by layer and several at one', async () => {
    const cwd = await twoVectors();
    const pair = await runCli(['vector', 'compare', 'kind.safetensors', 'brave.safetensors'], { cwd });
    expect(pair.stdout).toMatch(/^ +2 +0\.8000 +5 +2$/m);
    const three = ['kind.safetensors', 'brave.safetensors', 'kind.safetensors'];
    const { stdout } = await runCli(['vector', 'compare', ...three, '--json'], { cwd });
    const { layer, cosines } = JSON.parse(stdout) as { layer: number; cosines: number[][] };
    expect(layer).toBe(2);
    expect(cosines[0]![1]).toBeCloseTo(0.8, 12);
    expect(cosines[2]![0]).toBeCloseTo(1, 12);
  });

  it('shows no sign before a cosine of 0', async () => {
    const cwd = await twoVectors();
    const out = ['--out', 'apart.safetensors'];
    await runCli(['vector', 'combine', 'kind.safetensors', '--project-out', 'brave.safetensors', ...out], {
      cwd,
    });
    const { stdout } = await runCli(['vector', 'compare', 'apart.safetensors', 'brave.safetensors'], { cwd });
    expect(stdout).toMatch(/^ +2 +0\.0000 +3 +2$/m);
    expect(stdout).not.toContain('-0.0');
  });

  it('combines in the order given', async () => {
    const cwd = await twoVectors();
    const steps = ['--add', 'brave.safetensors*0.5', '--scale', '2', '--subtract', 'brave.safetensors'];
    const args = [
      'vector',
      'combine',
      'kind.safetensors',
      ...steps,
      '--out',
      'sum.safetensors',
      '--trait',
      'both',
    ];
    expect((await runCli(args, { cwd })).code).toBe(0);
    const sum = await PersonaVector.load(join(cwd, 'sum.safetensors'));
    expect([...sum.row(2)]).toEqual([6, 8]);
    expect(sum.metadata).toMatchObject({ trait: 'both', recommendedLayer: null });
  });

  it('ranks the features of an autoencoder, and writes them to steer with', async () => {
    const cwd = await twoVectors();
    const data = Float32Array.of(0, 1, 6, 8, -1, 0);
    await writeSafetensors(join(cwd, 'sae.safetensors'), [{ name: 'W_dec', shape: [3, 2], data }]);
    const args = ['vector', 'features', 'kind.safetensors', '--sae', 'sae.safetensors', '--top', '2'];
    const { stdout } = await runCli([...args, '--out', 'features'], { cwd });
    expect(stdout).toMatch(/^ +1 +1\.0000$/m);
    expect(stdout).toMatch(/^ +0 +0\.8000$/m);
    const feature = await PersonaVector.load(join(cwd, 'features', 'feature-0.safetensors'));
    expect([...feature.row(2)]).toEqual([0, 5]);
    expect(feature.usableLayers).toEqual([2]);
  });

  it('goes out and back through every format', async () => {
    const cwd = await twoVectors();
    for (const [to, extra] of [
      ['pt', []],
      ['axis', ['--from', 'axis']],
      ['gguf', []],
    ] as const) {
      const out = await runCli(['vector', 'export', 'kind.safetensors', '--to', to, '--out', `v.${to}`], {
        cwd,
      });
      expect(out).toMatchObject({ code: 0, stderr: '' });
      const back = ['vector', 'import', `v.${to}`, ...extra, '--out', `${to}.safetensors`];
      const result = await runCli(back, { cwd });
      expect(result).toMatchObject({ code: 0 });
      const vector = await PersonaVector.load(join(cwd, `${to}.safetensors`));
      expect([...vector.row(2)]).toEqual([3, 4]);
    }
  });

  it('gives its files the names that the authors look for', async () => {
    const cwd = await twoVectors();
    await runCli(['vector', 'export', 'kind.safetensors', '--to', 'pt'], { cwd });
    expect(await readdir(cwd)).toContain('kind_response_avg_diff.pt');
  });

  it('makes a vector of activations, as `persona activations` writes them', async () => {
    const cwd = await temporaryFolder();
    const lines = (texts: string[]): string =>
      texts.map((answer) => `${JSON.stringify({ prompt: 'Once', answer })}\n`).join('');
    await writeFile(join(cwd, 'pos.jsonl'), lines([' upon a time.', ' there was a dog.']));
    await writeFile(join(cwd, 'neg.jsonl'), lines([' a big red ball.']));
    for (const pole of ['pos', 'neg']) {
      const files = ['--input', `${pole}.jsonl`, '--out', `${pole}.safetensors`];
      expect(await runCli(['activations', stories, ...files], { cwd })).toMatchObject({ code: 0 });
    }
    const poles = ['--pos', 'pos.safetensors', '--neg', 'neg.safetensors'];
    const made = await runCli(
      ['vector', 'from-activations', ...poles, '--out', 'v.safetensors', '--trait', 'dog'],
      {
        cwd,
      },
    );
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toContain('2 rows of pos.safetensors and 1 of neg.safetensors');
    const vector = await PersonaVector.load(join(cwd, 'v.safetensors'));
    expect(vector.metadata).toMatchObject({ trait: 'dog', model: 'stories260K', pooling: 'response_mean' });
    const [pos, neg] = [
      await readSafetensors(join(cwd, 'pos.safetensors')),
      await readSafetensors(join(cwd, 'neg.safetensors')),
    ].map((content) => content.tensors.get('response_mean')!.data as Float32Array);
    const size = vector.data.length;
    const difference = Array.from(neg!, (x, i) => (pos![i]! + pos![size + i]!) / 2 - x);
    expect(relativeError(vector.data, difference)).toBeLessThan(1e-6);
    expect(vector.usableLayers).toHaveLength(vector.layers);
  });

  it.each([
    [['from-activations', '--pos', 'kind.safetensors', '--out', 'x'], 'Expected --pos and --neg, or --rows'],
    [['combine', 'kind.safetensors', '--out', 'x'], 'Expected something to do'],
    [['compare', 'kind.safetensors'], 'Expected two vectors or more'],
    [['show', 'absent'], 'Expected a vector file or a run folder at "absent"'],
    [['show', 'text.pt'], 'neither an archive of torch.save nor a GGUF file'],
    [['export', 'kind.safetensors', '--to', 'gguf', '--layer', '1'], 'it has no place for layer 1'],
    [['verify', '--trait', 'evil', '--against', 'absent'], 'Expected a vector file or a run folder'],
  ])('refuses %j in one sentence', async (args, problem) => {
    const cwd = await twoVectors();
    await writeFile(join(cwd, 'text.pt'), 'no tensor at all');
    const before = await readdir(cwd);
    const { code, stdout, stderr } = await runCli(['vector', ...args], { cwd });
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(problem);
    expect(await readdir(cwd)).toEqual(before);
  });
});
