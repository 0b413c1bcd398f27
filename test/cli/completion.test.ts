import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCli, runProcess } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/temporary-folder.ts';

/** What bash would offer for the last of some words. */
async function offered(script: string, words: readonly string[], cwd: string): Promise<string[]> {
  const list = words.map((word) => `'${word}'`).join(' ');
  const asked = `source '${script}'; COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; _persona; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { code, stdout } = await runProcess('bash', ['-c', asked], { cwd });
  expect(code).toBe(0);
  return stdout.split('\n').filter((line) => line !== '');
}

describe('persona completion', () => {
  it('completes commands, commands below them, flags, choices and files in bash', async () => {
    const cwd = await temporaryFolder();
    const script = join(cwd, 'script.sh');
    await writeFile(script, (await runCli(['completion', 'bash'], { cwd })).stdout);
    expect(await offered(script, ['persona', 'mon'], cwd)).toEqual(['monitor']);
    expect(await offered(script, ['persona', 'vector', 'com'], cwd)).toEqual(['compare', 'combine']);
    expect(await offered(script, ['persona', 'extract', '--dty'], cwd)).toEqual(['--dtype']);
    expect(await offered(script, ['persona', 'extract', '--dtype', 'i'], cwd)).toEqual(['int8', 'int4']);
    expect(await offered(script, ['persona', 'train', 'scr'], cwd)).toEqual(['script.sh']);
  });

  it('names every command for fish, and loads what zsh needs first', async () => {
    const cwd = await temporaryFolder();
    const fish = (await runCli(['completion', 'fish'], { cwd })).stdout;
    expect(fish).toContain("-n '__fish_seen_subcommand_from extract' -l dtype");
    const zsh = (await runCli(['completion', 'zsh'], { cwd })).stdout;
    expect(zsh.split('\n')[0]).toBe('autoload -U +X bashcompinit && bashcompinit');
  });

  it('refuses another shell in one sentence', async () => {
    const { code, stderr } = await runCli(['completion', 'cmd'], { cwd: await temporaryFolder() });
    expect(code).toBe(2);
    expect(stderr).toContain('bash, zsh, fish');
  });
});
