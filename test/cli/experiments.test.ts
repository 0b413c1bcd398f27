import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/model/checkpoint.ts';
import { shippedModelFolder } from '../../src/store/shipped-model.ts';
import { runCli } from '../helpers/cli.ts';
import { randomVector } from '../helpers/tiny-models.ts';
import { vectorOf } from '../helpers/vectors.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'persona-experiments-'));
  const { config, id } = await loadCheckpoint(shippedModelFolder());
  const rows = Array.from({ length: config.layers + 1 }, (_, layer) => [
    ...randomVector(config.width, 'evil', layer),
  ]);
  const vector = vectorOf('evil', rows, { model: id, recommendedLayer: 3, recommendedStrength: 1 });
  await vector.save(join(folder, 'evil.safetensors'));
});
afterAll(() => rm(folder, { recursive: true }));

interface Dry {
  readonly command: string;
  readonly steps: readonly { readonly name: string; readonly rows: number; readonly new_tokens: number }[];
}

async function dryRun(name: string, ...flags: string[]): Promise<Dry> {
  const vector = join(folder, 'evil.safetensors');
  const args = ['experiment', name, '--trait', 'evil', '--vector', vector, '--out', join(folder, 'run')];
  const result = await runCli([...args, ...flags, '--dry-run', '--rate', '400,60', '--json']);
  expect(result).toMatchObject({ code: 0, stderr: '' });
  expect(await readdir(folder)).toEqual(['evil.safetensors']);
  return JSON.parse(result.stdout) as Dry;
}

describe('persona experiment, --dry-run', () => {
  it('counts the replies of the monitoring experiment', async () => {
    const { command, steps } = await dryRun('monitoring', '--samples', '2', '--max-tokens', '30');
    expect(command).toBe('experiment monitoring');
    const [exemplars, replies, states] = steps;
    expect(exemplars).toMatchObject({ name: 'exemplars', rows: 5 * 20 });
    // Eight prompts, and as many of the five numbers of exemplars as fit, at twenty questions.
    expect(replies!.rows % (2 * 20)).toBe(0);
    expect(replies!.rows / (2 * 20)).toBeGreaterThanOrEqual(9);
    expect(replies!.new_tokens).toBe(30 * replies!.rows);
    expect(states).toMatchObject({ rows: replies!.rows / 2, new_tokens: 0 });
  });

  it('counts those of the steering experiment, turn by turn', async () => {
    const flags = ['--samples', '2', '--turns', '3', '--strengths', '1,2', '--max-tokens', '30'];
    const { steps } = await dryRun('steering', ...flags);
    expect(steps.map(({ name, rows }) => [name, rows])).toEqual([
      // Both sides: unsteered, and two strengths of the vector and of a random direction.
      ['doses', 2 * 5 * 40],
      ['ordinary replies', 40],
      ['capping', 80],
      ['subtraction', 80],
      ['turn 1', 4 * 40],
      ['turn 2', 4 * 40],
      ['turn 3', 4 * 40],
      ['projections', 40],
    ]);
  });

  it('is what `persona estimate` says', async () => {
    const { code, stdout } = await runCli(['estimate', '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/calibrate.*experiment.*monitor|experiment/s);
  });

  it('refuses a vector that is not there in one sentence', async () => {
    const args = ['experiment', 'steering', '--trait', 'evil', '--vectors', folder, '--vector', 'evl'];
    const { code, stderr } = await runCli([...args, '--dry-run']);
    expect(code).toBe(2);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toContain('evl');
  });
});
