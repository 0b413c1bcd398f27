import { mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { blobName, hubCommit, modelFiles, patternBytes } from '../../test/helpers/loopback-hub.ts';
import type { LoopbackHubOptions } from '../../test/helpers/loopback-hub.ts';
import { pullScene } from '../../test/helpers/pull-scene.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { ParseError, StoreError } from '../errors.ts';

describe('pull, from a hub that lies', () => {
  it.each<[string, Partial<LoopbackHubOptions>, RegExp]>([
    [
      'sends other bytes',
      { file: weights({ content: patternBytes(300_000, 'b') }) },
      /sha256 hash [0-9a-f]{64}, got [0-9a-f]{64}; the bytes were thrown away/,
    ],
    [
      'sends other bytes of a small file',
      {
        file: ({ path }) =>
          path === 'config.json' ? { content: Buffer.from('{"model_type": "LLAMA"}\n') } : undefined,
      },
      /"config.json" .* git hash/,
    ],
    [
      'sends fewer bytes',
      { file: weights({ content: patternBytes(1000) }) },
      /expected 300000 bytes of "model\.safetensors", .* offers 1000/,
    ],
    [
      'sends more bytes',
      { file: weights({ content: patternBytes(300_001), chunked: true }) },
      /expected 300000 bytes .* more came/,
    ],
    [
      'lists another size',
      {
        editListing: (listing) => ({
          ...listing,
          siblings: listing.siblings.map((file) => ({
            ...file,
            size: 12,
            ...(file['lfs'] !== undefined && { lfs: { ...(file['lfs'] as object), size: 12 } }),
          })),
        }),
      },
      /expected 12 bytes/,
    ],
  ])('and %s: nothing gets its final name', async (_, hub, message) => {
    const { run, repoFolder, trusted, blobs, files } = await pullScene(hub);
    const error: unknown = await run().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ParseError);
    expect((error as Error).message).toMatch(message);
    // What is left to go on from are beginnings of the true files.
    for (const name of (await blobs()).filter((name) => name.endsWith('.incomplete'))) {
      const left = await readFile(join(repoFolder, 'blobs', name));
      const whole = Object.values(files).map((content) => Buffer.from(content));
      expect(whole.filter((content) => content.subarray(0, left.length).equals(left))).not.toEqual([]);
    }
    // Honest files may be there by their hashes, but no snapshot and no ref.
    const honest = new Set(Object.values(files).map(blobName));
    expect((await trusted()).filter((name) => !honest.has(name))).toEqual([]);
    for (const name of await trusted()) {
      const content = await readFile(join(repoFolder, 'blobs', name));
      expect([blobName(content), blobName(content.toString())]).toContain(name);
    }
  });

  it('and ends a file early every time', async () => {
    const { run } = await pullScene({
      file: weights({ content: patternBytes(1000), chunked: true, ignoreRange: true }),
    });
    await expect(run()).rejects.toThrow(/3 failures in a row \(the last: the file ended early\)/);
  });

  it.each([
    '../../../escaped',
    '/etc/escaped',
    'a/../../escaped',
    'a//b',
    './a',
    '..',
    'a\\..\\b',
    'c:escaped',
    'a\nb',
    'x'.repeat(300),
  ])('and lists the path %j', async (path) => {
    const files = { ...modelFiles(1000), [path]: 'harm' };
    const { run, cache } = await pullScene({ files });
    await expect(run({ allow: ['*'] })).rejects.toThrow(
      /Expected paths inside the repository .* nothing was downloaded/,
    );
    const left = await readdir(cache, { recursive: true, withFileTypes: true });
    expect(left.filter((entry) => entry.isFile())).toEqual([]);
    // What is not asked for does no harm.
    await expect(run()).resolves.toMatchObject({ commit: hubCommit });
  });

  it.each<[string, (listing: { sha: string; siblings: Record<string, unknown>[] }) => unknown, RegExp]>([
    [
      'no commit',
      (listing) => ({ ...listing, sha: '../..' }),
      /"sha" to be a commit of 40 hexadecimal digits, got "\.\.\/\.\."/,
    ],
    ['no files', (listing) => ({ ...listing, siblings: 'none' }), /"siblings" to be a list/],
    [
      'files without hashes',
      (listing) => ({ ...listing, siblings: [{ rfilename: 'model.safetensors', size: 1 }] }),
      /"siblings\[0\]\.blobId" to be 40 hexadecimal digits, got nothing/,
    ],
    [
      'a hash that is a path',
      (listing) => ({
        ...listing,
        siblings: [
          { rfilename: 'model.safetensors', size: 1, blobId: '../../../../../../../../../../../etc/aaaaa' },
        ],
      }),
      /blobId" to be 40 hexadecimal digits/,
    ],
    [
      'a size that is none',
      (listing) => ({
        ...listing,
        siblings: [{ rfilename: 'model.safetensors', size: -1, blobId: hubCommit }],
      }),
      /siblings\[0\]\.size" to be an integer/,
    ],
    [
      'a file twice',
      (listing) => ({ ...listing, siblings: [...listing.siblings, ...listing.siblings] }),
      /got one twice/,
    ],
  ])('and lists %s', async (_, editListing, message) => {
    const { run, trusted } = await pullScene({ editListing });
    const error: unknown = await run().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ParseError);
    expect((error as Error).message).toMatch(message);
    expect(await trusted()).toEqual([]);
  });

  it('and answers with another commit than the one asked for', async () => {
    const asked = hubCommit.replaceAll('0', 'a');
    const { run } = await pullScene({
      revisions: { main: hubCommit, [asked]: asked },
      editListing: (listing) => ({ ...listing, sha: hubCommit }),
    });
    await expect(run({ revision: asked })).rejects.toThrow(`the commit ${asked} asked for`);
  });

  it('and names a file like a folder', async () => {
    const { run } = await pullScene({ files: { a: 'x', 'a/b': 'y' } });
    await expect(run({ allow: ['*'] })).rejects.toThrow(StoreError);
  });

  it('is not followed through a link that leads out of the cache', async () => {
    const outside = await temporaryFolder();
    const { run, repoFolder } = await pullScene({ files: { 'sub/a.json': '{}' } });
    await mkdir(join(repoFolder, 'snapshots', hubCommit), { recursive: true });
    await symlink(outside, join(repoFolder, 'snapshots', hubCommit, 'sub'));
    await expect(run({ allow: ['*'] })).rejects.toThrow(/a link that leads out of it/);
    expect(await readdir(outside)).toEqual([]);
  });

  function weights(
    fault: ReturnType<NonNullable<LoopbackHubOptions['file']>>,
  ): NonNullable<LoopbackHubOptions['file']> {
    return ({ path }) => (path === 'model.safetensors' ? fault : undefined);
  }
});
