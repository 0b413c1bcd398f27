import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { validationManifestSchema } from '../../src/store/manifest.ts';
import { shippedModel } from '../helpers/broken-model.ts';
import { runCli } from '../helpers/cli.ts';
import { readProjectFile } from '../helpers/source.ts';

const hostile = '</script><img src=x onerror=alert(1)>';
const sizes = ['--sweep-samples', '1', '--no-fine', '--no-held-out', '--no-dose-response'];
const cells = ['--layers', '3', '--strengths', '-0.2,0.2'];

let folder = '';
let run = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-validate-'));
  run = join(folder, 'run');
  const trait = JSON.parse(readProjectFile('traits/stories/cheerful.json')) as Record<string, unknown[]>;
  const few = {
    questions: trait['questions']!.slice(0, 4),
    evaluation_questions: trait['evaluation_questions']!.slice(0, 4),
  };
  const file = join(folder, 'trait.json');
  await writeFile(file, JSON.stringify({ ...trait, ...few, name: hostile }));
  const small = ['--samples', '1', '--temperature', '1', '--max-tokens', '16', '--force', '--no-sweep'];
  const made = await runCli(['extract', shippedModel, file, '--out', run, ...small]);
  if (made.code !== 0) throw new Error(made.stderr);
}, 180_000);
afterAll(() => rm(folder, { recursive: true }));

interface Summary {
  readonly trait: string;
  readonly report: string;
  readonly validations: readonly { readonly positions: string; readonly sweep: object | null }[];
}

describe('persona validate', () => {
  it('measures one protocol in a folder of its own, with a manifest, and shows it beside the run', async () => {
    const before = await readFile(join(run, 'vector.safetensors'));
    const args = ['validate', run, '--model', shippedModel, '--protocol', 'boundary', ...sizes, ...cells];
    const { code, stdout } = await runCli([...args, '--json']);
    expect(code).toBe(0);
    const { validations } = JSON.parse(stdout) as Summary;
    expect(validations.map(({ positions, sweep }) => [positions, sweep !== null])).toEqual([
      ['response', false],
      ['boundary', true],
    ]);
    const below = join(run, 'validation', 'boundary');
    const text = await readFile(join(below, 'manifest.json'), 'utf8');
    const manifest = validationManifestSchema.parse(JSON.parse(text));
    expect(Object.keys(manifest.artifacts).sort()).toEqual([
      'recipe.json',
      'sweep-rollouts.jsonl',
      'sweep.json',
    ]);
    expect(manifest.recipe).toMatchObject({ pooling: 'boundary_mean', positions: 'boundary' });
    // The vector is measured, not changed; a second call finds everything done.
    expect(await readFile(join(run, 'vector.safetensors'))).toEqual(before);
    const again = await runCli(args);
    expect(again.code).toBe(0);
    expect(again.stderr).toMatch(/already there/);
    expect(again.stdout).toContain('boundary_mean, added at boundary');
    expect(await readFile(join(below, 'manifest.json'), 'utf8')).toBe(text);
  }, 180_000);

  it('says what it would take, and does nothing', async () => {
    const args = ['validate', run, '--model', shippedModel, '--protocol', 'response', ...sizes, ...cells];
    const { code, stdout } = await runCli([...args, '--dry-run', '--rate', '400,60']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^command +persona validate, not run$/m);
    expect(stdout).not.toContain('response: rollouts');
    expect(await readdir(run)).not.toContain('lock');
  });

  it('asks for the model that a run cannot find, and refuses what is no run', async () => {
    const unnamed = await runCli(['validate', run, '--protocol', 'response']);
    expect(unnamed).toMatchObject({ code: 2, stdout: '' });
    expect(unnamed.stderr).toMatch(/^error: Expected --model, got none: /);
    const none = await runCli(['validate', join(run, 'nowhere')]);
    expect(none).toMatchObject({ code: 2, stdout: '' });
    expect(none.stderr).toMatch(/^error: Expected a finished run in/);
  });
});

describe('persona report', () => {
  it('writes the page again, hostile names escaped, with cosines to other vectors', async () => {
    const { code, stdout } = await runCli(['report', run, '--with', run, '--json']);
    expect(code).toBe(0);
    const summary = JSON.parse(stdout) as Summary & { readonly cosines: { values: number[][] } };
    expect(summary.trait).toBe(hostile);
    expect(summary.cosines.values[0]![1]).toBeCloseTo(1, 6);
    const page = await readFile(summary.report, 'utf8');
    expect(page).not.toMatch(/<script|<img/i);
    expect(page).toContain('&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;');
    const shown = await runCli(['report', run]);
    expect(shown.stdout).toContain(hostile);
    const manifest = JSON.parse(await readFile(join(run, 'manifest.json'), 'utf8')) as {
      artifacts: Record<string, { bytes: number }>;
    };
    expect(manifest.artifacts['report.html']!.bytes).toBe((await readFile(summary.report)).length);
  });
});
