import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compiledCli } from './helpers/build.ts';
import { nodeFlags, runProcess } from './helpers/cli.ts';
import type { ProcessResult } from './helpers/cli.ts';
import { codeBlocks, commandBlocks, matchesShown, skeleton } from './helpers/snippets.ts';
import { projectRoot } from './helpers/source.ts';

/** Pages whose commands and TypeScript are run as they stand. */
const pages = ['README.md', ...readdirSync(join(projectRoot, 'docs')).map((name) => `docs/${name}`)].filter(
  (page) => page.endsWith('.md') && codeBlocks(page).some(({ language }) => ['sh', 'ts'].includes(language)),
);
const examples = readdirSync(join(projectRoot, 'examples')).filter((name) => name.endsWith('.ts'));

/** A folder laid out like a checkout, in which the pages' relative paths mean what they say. */
function makeCheckout(): string {
  const folder = mkdtempSync(join(tmpdir(), 'persona-docs-'));
  for (const name of ['models', 'traits', 'examples'])
    cpSync(join(projectRoot, name), join(folder, name), { recursive: true });
  return folder;
}

/**
 * Programs that stand in for those of the pages: `persona` runs the compiled source; `npx` runs what follows it; `npm`, whose work
 * is done where these tests run, does nothing.
 */
function makePrograms(folder: string): string {
  const programs = join(folder, 'programs.tmp');
  mkdirSync(programs);
  const scripts = {
    persona: `exec '${process.execPath}' '${compiledCli()}' "$@"`,
    npx: 'exec "$@"',
    npm: ':',
    git: ':',
  };
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(join(programs, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(programs, name), 0o755);
  }
  return programs;
}

/** What a process that failed said, or null where it did not fail. */
function failureOf({ code, stdout, stderr }: ProcessResult): string | null {
  return code === 0 ? null : `exit code ${code}\n${stdout}${stderr}`;
}

describe('documentation', () => {
  let checkout = '';
  let path = '';
  beforeAll(() => {
    checkout = makeCheckout();
    path = `${makePrograms(checkout)}${delimiter}${process.env['PATH'] ?? ''}`;
  });
  afterAll(() => rmSync(checkout, { recursive: true }));

  describe.each(pages)('%s', (page) => {
    // In order and in one folder: a later command may use what an earlier one wrote.
    for (const block of commandBlocks(page)) {
      const skipped = block.leftOut === null ? '' : ` (skipped: ${block.leftOut})`;
      it.skipIf(skipped !== '')(`runs the commands of line ${block.line}${skipped}`, async () => {
        const args = ['-euo', 'pipefail', '-c', block.text];
        const result = await runProcess('bash', args, { cwd: checkout, env: { PATH: path } });
        expect(failureOf(result)).toBeNull();
        const shown = block.output ?? result.stdout;
        // Where they part, the comparison of both texts shows it.
        const real = matchesShown(result.stdout, shown) ? shown : result.stdout;
        expect(skeleton(real)).toBe(skeleton(shown));
      });
    }

    for (const block of codeBlocks(page).filter(({ language }) => language === 'ts')) {
      it(`type-checks and runs the TypeScript of line ${block.line}`, async () => {
        // Inside the project, so that the package's own name resolves; git ignores what is built.
        mkdirSync(join(projectRoot, 'dist'), { recursive: true });
        const folder = mkdtempSync(join(projectRoot, 'dist', 'snippet-'));
        try {
          const file = join(folder, 'snippet.ts');
          writeFileSync(file, block.text);
          const settings = { extends: '../../tsconfig.json', include: ['snippet.ts'] };
          writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(settings));
          const compiler = join(projectRoot, 'node_modules/typescript/bin/tsc');
          const types = await runProcess(process.execPath, [compiler, '-p', folder]);
          expect(failureOf(types)).toBeNull();
          const result = await runProcess(process.execPath, [...nodeFlags, file], { cwd: checkout });
          expect(failureOf(result)).toBeNull();
        } finally {
          rmSync(folder, { recursive: true });
        }
      });
    }
  });

  it.each(examples)('examples/%s runs', async (name) => {
    const file = join(projectRoot, 'examples', name);
    const result = await runProcess(process.execPath, [...nodeFlags, file], { cwd: checkout });
    expect(failureOf(result)).toBeNull();
    expect(result.stdout.trim()).not.toBe('');
  });
});

describe('the comparison with a shown output', () => {
  it('looks past numbers and spacing', () => {
    expect(matchesShown('layer  3: 0.81 ± 0.02\n', 'layer 12: 0.7 ± 1e-3')).toBe(true);
    expect(matchesShown('kept 12 of 20 pairs', 'kept 12 of 20 rows')).toBe(false);
  });
  it('lets an ellipsis stand for anything', () => {
    expect(matchesShown('a\nb\nc\nd', 'a\n…\nd')).toBe(true);
    expect(matchesShown('a\nb\nc', 'a\n…\nd')).toBe(false);
  });
  it('finds a block and the output right after it', () => {
    const page = [
      '```sh',
      'echo a',
      '```',
      '',
      '```text',
      'a',
      '```',
      '',
      '<!-- The tests leave this out, since it waits. -->',
      '```sh',
      'true',
      '```',
      'so',
      '```text',
      'b',
      '```',
    ];
    const blocks = commandBlocks('page.md', page.join('\n'));
    expect(blocks.map(({ line, text, output, leftOut }) => ({ line, text, output, leftOut }))).toEqual([
      { line: 2, text: 'echo a', output: 'a', leftOut: null },
      { line: 11, text: 'true', output: null, leftOut: 'since it waits' },
    ]);
  });
});
