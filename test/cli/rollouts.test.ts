import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readVectorFile } from '../../src/store/vector-file.ts';
import { cosine } from '../../src/util/vectors.ts';
import { shippedModel } from '../helpers/broken-model.ts';
import { runCli } from '../helpers/cli.ts';
import { relativeError } from '../helpers/numbers.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';

const small = ['--samples', '4', '--questions', '3', '--max-tokens', '48', '--no-sweep', '--force', '--json'];
const set = ['--trait-set', 'stories'];

describe('persona rollouts', () => {
  it("writes a run in the authors' layout, from which their flags extract the same vector", async () => {
    const folder = await temporaryFolder();
    const [made, taken] = [join(folder, 'made'), join(folder, 'taken')];
    const first = await runCli(['extract', shippedModel, 'cheerful', ...set, '--out', made, ...small]);
    expect(first).toMatchObject({ code: 0 });
    const written = await runCli(['rollouts', made, '--model', shippedModel, '--json']);
    expect(written).toMatchObject({ code: 0, stderr: '' });
    const { files } = JSON.parse(written.stdout) as { files: [string, string] };
    expect(files).toEqual(['pos', 'neg'].map((pole) => join(made, `cheerful_${pole}_instruct.csv`)));
    const flags = ['--model_name', shippedModel, '--trait', 'cheerful', '--save_dir', taken];
    const paths = ['--pos_path', files[0], '--neg_path', files[1]];
    const second = await runCli(['extract', ...flags, ...paths, ...set, '--no-sweep', '--force', '--json']);
    expect(second).toMatchObject({ code: 0 });
    const counts = (text: string): unknown => (JSON.parse(text) as { counts: unknown }).counts;
    expect(counts(second.stdout)).toEqual(counts(first.stdout));
    const [a, b] = await Promise.all(
      [made, taken].map((run) => readVectorFile(join(run, 'vector.safetensors'))),
    );
    for (const pooling of ['prompt_mean', 'prompt_last'])
      expect(relativeError(b!.tensors.get(pooling), a!.tensors.get(pooling)!)).toBeLessThan(1e-4);
    // Both poles' prompts end with the same token, whose embedding does not differ; what comes after it does.
    const last = a!.tensors.get('prompt_last')!;
    expect(last.subarray(0, a!.width).every((value) => value === 0)).toBe(true);
    expect(last.subarray(a!.width).some((value) => value !== 0)).toBe(true);
    // A text has many spellings in tokens, and a sampled one is seldom the tokenizer's own.
    const [mine, theirs] = [a!, b!].map(({ tensors }) => tensors.get('response_mean')!);
    expect(cosine(mine!, theirs!)).toBeGreaterThan(0.98);
    const back = await runCli(['rollouts', taken, '--out', folder]);
    expect(back).toMatchObject({ code: 0 });
    for (const [i, pole] of (['pos', 'neg'] as const).entries()) {
      const path = join(folder, `cheerful_${pole}_instruct.csv`);
      expect(await readFile(path, 'utf8')).toBe(await readFile(files[i]!, 'utf8'));
    }
  });

  it('says what it needs', async () => {
    const folder = await temporaryFolder();
    expect((await runCli(['rollouts', folder])).code).toBe(2);
    const file = join(folder, 'pos.csv');
    await writeFile(file, 'prompt,answer\np,a\n');
    const half = await runCli(['extract', shippedModel, 'cheerful', ...set, '--pos', file]);
    expect(half).toMatchObject({ code: 2 });
    expect(half.stderr).toContain('got only --pos; give --pos and --neg');
  });
});
