import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { shippedModel } from '../helpers/broken-model.ts';
import { runCli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';

const little = [
  '--samples',
  '5',
  '--questions',
  '2',
  '--max-tokens',
  '32',
  '--no-sweep',
  '--force',
  '--filter',
  'independent',
  '--threshold',
  '25',
];

describe('persona extract --all', () => {
  it("extracts the model's own set of traits, and only reads what is there the second time", async () => {
    const out = await temporaryFolder();
    const command = ['extract', shippedModel, '--all', '--out', out, ...little];
    const first = await runCli([...command, '--json']);
    expect(first).toMatchObject({ code: 0 });
    const outcomes = JSON.parse(first.stdout) as { trait: string; folder: string; failure: null }[];
    expect(outcomes.map(({ trait }) => trait)).toEqual(['cheerful', 'kind', 'scary']);
    expect(outcomes.map(({ folder }) => folder)).toEqual(outcomes.map(({ trait }) => join(out, trait)));
    const second = await runCli(command);
    expect(second).toMatchObject({ code: 0 });
    expect(second.stderr.match(/both poles: already there/g)).toHaveLength(3);
    expect(second.stdout).toMatch(
      /^trait +kept +layer +strength +chosen +Spearman +gain +of random directions +verdict +report\ncheerful +\d+ of 50 positive, .*\nkind/,
    );
  });

  it('says what does not go together', async () => {
    const both = await runCli(['extract', shippedModel, 'cheerful', '--all']);
    expect(both).toMatchObject({ code: 2, stdout: '' });
    expect(both.stderr).toContain('Expected --all without a trait');
    const neither = await runCli(['extract', shippedModel]);
    expect(neither.stderr).toContain('Expected a trait, or --all');
  });
});
