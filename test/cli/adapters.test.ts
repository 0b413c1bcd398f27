/** `--adapter`, on every command that takes it: refusals, and the numbers of the model that the adapter is merged into. */
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { checkpointFingerprint } from '../../src/model/fingerprint.ts';
import type { Baseline } from '../../src/store/baseline-file.ts';
import { manifestSchema, validationManifestSchema } from '../../src/store/manifest.ts';
import { shippedModelFolder } from '../../src/store/shipped-model.ts';
import { mergeAdapter } from '../../src/training/merge-adapter.ts';
import { shippedModel as stories } from '../helpers/broken-model.ts';
import { type ProcessResult, runCli } from '../helpers/cli.ts';
import { relativeError } from '../helpers/numbers.ts';
import { writeRandomAdapter } from '../helpers/random-adapter.ts';
import { randomVector } from '../helpers/tiny-models.ts';
import { vectorOf } from '../helpers/vectors.ts';

const model = shippedModelFolder();
let folder = '';
let adapter = '';
let merged = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-adapters-'));
  adapter = join(folder, 'tuned');
  merged = join(folder, 'merged');
  await writeRandomAdapter(model, adapter);
  // The model's own 16-bit floats would round what is added to them.
  await mergeAdapter({ model, adapter, output: merged, dtype: 'F32' });
  const { config } = await loadCheckpoint(model);
  const rows = Array.from({ length: config.layers + 1 }, (_, l) => [...randomVector(config.width, l)]);
  await vectorOf('evil', rows, { recommendedLayer: 2 }).save(join(folder, 'evil.safetensors'));
  await writeFile(
    join(folder, 'talks.jsonl'),
    Array.from({ length: 20 }, (_, i) => ['How do I grow beans?', 'What is a vote?'][i % 2]!)
      .map((text, i) => [
        { role: 'user', content: text },
        { role: 'assistant', content: `You can water them ${'well '.repeat(i)}.` },
      ])
      .map((messages) => `${JSON.stringify({ messages })}\n`)
      .join(''),
  );
}, 120_000);
afterAll(() => rm(folder, { recursive: true }));

const evil = ['--vector', 'evil.safetensors'];
const experiment = ['--trait', 'evil', ...evil];
/** A command line of each command that runs a model, without what follows `--adapter`. */
const commands: Readonly<Record<string, readonly string[]>> = {
  generate: [model, '--prompt', 'Hello'],
  activations: [model, '--input', 'talks.jsonl', '--out', 'out.safetensors'],
  extract: [model, 'evil', '--out', 'out'],
  'extract --all': [model, '--all', '--out', 'out'],
  'extract --dry-run': [model, 'evil', '--dry-run', '--no-measure'],
  validate: ['RUN'],
  chat: [model],
  calibrate: [model, '--input', 'talks.jsonl', ...evil, '--out', 'out.json'],
  'calibrate --dry-run': [model, '--input', 'talks.jsonl', ...evil, '--dry-run', '--no-measure'],
  monitor: [model, '--input', 'talks.jsonl', ...evil, '--out', 'out.jsonl'],
  'experiment monitoring': [model, ...experiment, '--out', 'out'],
  'experiment steering': [model, ...experiment, '--out', 'out'],
  reproduce: [model, '--only', 'extraction', '--out', 'out'],
  screen: [model, 'talks.jsonl', ...evil, '--out', 'out'],
  'screen --dry-run': [model, 'talks.jsonl', ...evil, '--dry-run', '--no-measure'],
  worker: [model, '--queue', 'redis://127.0.0.1:1'],
  capability: [model],
  serve: [model, '--port', '0'],
  'vector verify': [model, '--trait', 'evil', '--against', 'evil.safetensors', '--out', 'out'],
};

function run(args: readonly string[]): Promise<ProcessResult> {
  return runCli(args, { cwd: folder, env: { PERSONA_CACHE: join(folder, 'cache') } });
}

function commandLine(name: string): string[] {
  const words = name.split(' ').filter((word) => !word.startsWith('--'));
  return [...words, ...commands[name]!];
}

/** Of a run's folder. */
async function json<T>(...path: string[]): Promise<T> {
  return JSON.parse(await readFile(join(folder, ...path), 'utf8')) as T;
}

describe('--adapter', () => {
  it('is on every command that has --dtype, but for those that name the adapter otherwise and a writer of traits', async () => {
    const { stdout } = await run(['completion', 'fish']);
    const having = (flag: string): string[] =>
      stdout
        .split('\n')
        .filter((line) => line.includes(` -l ${flag} `))
        .map((line) => [...line.matchAll(/subcommand_from (\S+?)['; ]/g)].map(([, word]) => word).join(' '))
        .filter((path) => path !== '' && !path.startsWith('estimate'))
        .sort();
    const tested = Object.keys(commands).filter((name) => !name.includes('--'));
    expect(having('adapter')).toEqual(tested.toSorted());
    expect(having('dtype').filter((path) => !having('adapter').includes(path))).toEqual([
      'merge',
      'shift',
      'trait new',
    ]);
  });

  it('refuses one of another model, saying which it needs', async () => {
    const { code, stderr } = await run(['generate', stories, '--prompt', 'a', '--adapter', adapter]);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^error: "[^"]*tuned.adapter_model\.safetensors": .*use the model that the adapter/,
    );
  });

  it('refuses one beside a model on a server, which it tells how to serve it', async () => {
    const remote = `vllm-lens:http://127.0.0.1:1/v1#tiny&files=${model}`;
    for (const name of ['generate', 'screen', 'serve'] as const) {
      const args = commandLine(name).map((word) => (word === model ? remote : word));
      // A name of a server is no path, so that `screen` takes it for the model.
      const { code, stderr } = await run([...args, '--adapter', adapter]);
      expect(stderr).toMatch(/beside the adapter "[^"]*tuned", got one on a server .*--lora-modules/);
      expect(code).toBe(2);
    }
  });

  it.each(['serve', 'worker'])('refuses one beside several models of %s', async (name) => {
    const { code, stderr } = await run([...commandLine(name), stories, '--adapter', adapter]);
    expect(stderr).toMatch(/one model beside the adapter "[^"]*tuned", got 2/);
    expect(code).toBe(2);
  });

  it('refuses to train on one', async () => {
    const args = ['reproduce', model, '--out', 'trains', '--adapter', adapter];
    const { code, stderr } = await run(args);
    expect(stderr).toMatch(/whole model to train on.*persona merge.*--only extraction,poolings,steering/);
    expect(code).toBe(2);
    expect(await readdir(folder)).not.toContain('trains');
  });
});

describe('an adapter that is not there', () => {
  const others = Object.keys(commands).filter((name) => name !== 'validate');
  it.concurrent.each(others)('ends %s with one sentence, and leaves no file', async (name) => {
    const cwd = join(folder, `wrong ${name}`);
    await mkdir(cwd);
    const paths = ['talks.jsonl', 'evil.safetensors'];
    const args = commandLine(name).map((word) => (paths.includes(word) ? join('..', word) : word));
    const { code, stdout, stderr } = await runCli([...args, '--adapter', './nowhere'], { cwd });
    expect(stderr).toMatch(/^error: The adapter: [^\n]*".\/nowhere"[^\n]*\n$/);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(await readdir(cwd)).toEqual([]);
  });
});

interface Scored {
  readonly evil_projection: number;
  readonly evil_projection_difference: number;
}

describe('a model with an adapter gives the numbers of the merged one', () => {
  /** As the merging of weights is tested. */
  const tolerance = 1e-4;

  it('in screen, whose caches and results tell it from its base', async () => {
    const rows = async (name: string, ...flags: string[]): Promise<number[]> => {
      const out = ['--out', name, '--mode', 'full', '--max-tokens', '12'];
      const { code } = await run(['screen', ...flags, 'talks.jsonl', ...evil, ...out]);
      expect(code).toBe(0);
      const text = await readFile(join(folder, name, 'scored.jsonl'), 'utf8');
      const lines = text.trim().split('\n');
      return lines.flatMap((line) => {
        const { evil_projection: projection, evil_projection_difference: difference } = JSON.parse(
          line,
        ) as Scored;
        return [projection, difference];
      });
    };
    const base = await rows('screen-base', model);
    const adapted = await rows('screen-adapted', model, '--adapter', adapter);
    const whole = await rows('screen-merged', merged);
    expect(relativeError(adapted, whole)).toBeLessThan(tolerance);
    expect(relativeError(base, whole)).toBeGreaterThan(1e-2);
    const checkpoint = await loadCheckpoint(model, adapter);
    const manifest = await json<{ model: object }>('screen-adapted', 'manifest.json');
    expect(manifest.model).toMatchObject({
      id: 'persona-tiny+tuned',
      fingerprint: await checkpointFingerprint(checkpoint),
      adapter: { name: 'tuned', sha256: checkpoint.adapted!.adapter.sha256 },
    });
    const again = await run([
      'screen',
      model,
      'talks.jsonl',
      ...evil,
      '--out',
      'screen-adapted',
      '--mode',
      'full',
    ]);
    expect(again.code).toBe(2);
  });

  it('in calibrate', async () => {
    const means = async (name: string, ...flags: string[]): Promise<number[]> => {
      const args = ['calibrate', ...flags, '--input', 'talks.jsonl', ...evil, '--out', name];
      expect(await run(args)).toMatchObject({ code: 0 });
      const [vector] = (await json<Baseline>(name)).vectors;
      return Object.values(vector!.places).map(({ mean }) => mean);
    };
    const adapted = await means('adapted.json', model, '--adapter', adapter);
    expect(relativeError(adapted, await means('whole.json', merged))).toBeLessThan(tolerance);
    expect(relativeError(adapted, await means('base.json', model))).toBeGreaterThan(1e-2);
    const of = async (name: string) => (await json<{ model_fingerprint: string }>(name)).model_fingerprint;
    expect(await of('adapted.json')).not.toBe(await of('base.json'));
  });

  it('in extract and validate, which asks for the adapter of the run', async () => {
    const small = [
      '--samples',
      '1',
      '--questions',
      '2',
      '--instructions',
      '2',
      '--max-tokens',
      '12',
      '--seed',
      '1',
    ];
    const extraction = ['evil', ...small, '--temperature', '0', '--force', '--no-sweep'];
    for (const [name, ...flags] of [
      ['run', model, '--adapter', adapter],
      ['run-merged', merged, '--trait-set', 'tiny-world'],
    ] as const)
      expect(await run(['extract', ...flags, ...extraction, '--out', name])).toMatchObject({ code: 0 });
    const cells = [
      '--protocol',
      'boundary',
      '--layers',
      '2',
      '--strengths',
      '-0.2,0.2',
      '--sweep-samples',
      '1',
    ];
    const bare = ['--no-fine', '--no-held-out', '--no-dose-response'];
    const forgotten = await run(['validate', 'run', ...cells, ...bare]);
    expect(forgotten).toMatchObject({ code: 2 });
    expect(forgotten.stderr).toContain('made with the adapter "tuned"');
    const nowhere = await run(['validate', 'run', ...cells, ...bare, '--adapter', './nowhere']);
    expect(nowhere).toMatchObject({ code: 2 });
    expect(nowhere.stderr).toContain('./nowhere');
    expect(await run(['validate', 'run', ...cells, ...bare, '--adapter', adapter])).toMatchObject({
      code: 0,
    });
    expect(await run(['validate', 'run-merged', ...cells, ...bare, '--model', merged])).toMatchObject({
      code: 0,
    });
    const texts = async (name: string): Promise<string> => {
      const lines = (
        await readFile(join(folder, name, 'validation/boundary/sweep-rollouts.jsonl'), 'utf8')
      ).split('\n');
      return lines
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { text: string }).text)
        .join('\n');
    };
    expect(await texts('run')).toBe(await texts('run-merged'));
    const made = manifestSchema.parse(await json('run', 'manifest.json'));
    expect(made.model).toMatchObject({ id: 'persona-tiny+tuned', adapter: { name: 'tuned' } });
    const below = validationManifestSchema.parse(await json('run', 'validation/boundary/manifest.json'));
    expect(below.model).toEqual(made.model);
  });
});
