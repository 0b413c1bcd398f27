import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCli } from '../../../test/helpers/cli.ts';
import { blobName, hubCommit, patternBytes } from '../../../test/helpers/loopback-hub.ts';
import { pullScene, waitForSize } from '../../../test/helpers/pull-scene.ts';

describe('persona pull', () => {
  it('prints the folder on standard output and what it did beside it', async () => {
    const { environment, repoFolder } = await pullScene();
    const folder = join(repoFolder, 'snapshots', hubCommit);
    const first = await runCli(['pull', 'acme/tiny'], { env: environment });
    expect(first).toEqual({
      code: 0,
      stdout: `${folder}\n`,
      stderr: 'acme/tiny@main (0123456789ab): 3 files downloaded (300.0 kB), all checked by hash\n',
    });
    expect((await readFile(join(folder, 'model.safetensors'))).equals(patternBytes(300_000))).toBe(true);
    const second = await runCli(['pull', `acme/tiny@${hubCommit}`, '--json'], { env: environment });
    expect(second).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(second.stdout)).toEqual({
      repo: 'acme/tiny',
      revision: hubCommit,
      commit: hubCommit,
      folder,
      files: [
        { path: 'config.json', size: 24, fetched: false },
        { path: 'model.safetensors', size: 300_000, fetched: false },
        { path: 'tokenizer.json', size: 19, fetched: false },
      ],
      fetchedBytes: 0,
    });
    const offline = await runCli(['pull', 'acme/tiny'], { env: { ...environment, HF_HUB_OFFLINE: '1' } });
    expect(offline).toEqual({
      code: 0,
      stdout: `${folder}\n`,
      stderr: 'offline: found acme/tiny@main (0123456789ab) in the cache, not compared with the Hub\n',
    });
  });

  it('takes several patterns', async () => {
    const { environment } = await pullScene();
    const args = ['pull', 'acme/tiny', '--allow', '*.md', 'config.*', '--json'];
    const { stdout } = await runCli(args, { env: environment });
    const { files } = JSON.parse(stdout) as { files: { path: string }[] };
    expect(files.map(({ path }) => path)).toEqual(['README.md', 'config.json']);
  });

  it('refuses in one sentence', async () => {
    const { environment } = await pullScene({ token: 'hf_right' });
    for (const [args, env, message] of [
      [['pull', 'tiny'], {}, /^error: Expected a model's name on the Hub[^\n]+\n$/],
      [
        ['pull', 'acme/tiny'],
        {},
        /^error: acme\/tiny is for accounts that have accepted its licence[^\n]+\n$/,
      ],
      [['pull', 'acme/tiny'], { HF_TOKEN: 'hf_wrong' }, /^error: The token may not read acme\/tiny[^\n]+\n$/],
    ] as const) {
      const result = await runCli(args, { env: { ...environment, ...env } });
      expect(result).toMatchObject({ code: 2, stdout: '' });
      expect(result.stderr).toMatch(message);
      expect(result.stderr).not.toContain('hf_wrong');
    }
  });

  it('stops at Ctrl-C with code 130, and goes on when run again', async () => {
    const { environment, hub, repoFolder } = await pullScene({
      file: ({ path, attempt }) =>
        path === 'model.safetensors' && attempt === 1 ? { stallAfter: 200_000 } : undefined,
    });
    const partial = join(repoFolder, 'blobs', `${blobName(patternBytes(300_000))}.incomplete`);
    const stopped = await runCli(['pull', 'acme/tiny'], {
      env: environment,
      onStart: (kill) => void waitForSize(partial, 200_000).then(() => kill('SIGINT')),
    });
    expect(stopped).toMatchObject({ code: 130, stdout: '' });
    expect(stopped.stderr).toMatch(
      /The download was stopped; what has come is kept, and the same command goes on from there\.\n$/,
    );
    expect((await runCli(['pull', 'acme/tiny'], { env: environment })).code).toBe(0);
    expect(hub.cdn.requests.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=200000-']);
  });
});
