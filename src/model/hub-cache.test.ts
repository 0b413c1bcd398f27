import fc from 'fast-check';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findModelFolder, hubCacheFolder, hubHomeFolder } from './hub-cache.ts';
import { outcome } from '../../test/helpers/outcome.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { UsageError } from '../errors.ts';

const commit = '0123456789abcdef0123456789abcdef01234567';

/** A cache with one snapshot of acme/tiny--chat, which `main` and `refs/pr/1` mean. */
async function makeCache(): Promise<{ environment: Record<string, string>; snapshot: string }> {
  const cache = await temporaryFolder();
  const repo = join(cache, 'models--acme--tiny--chat');
  const snapshot = join(repo, 'snapshots', commit);
  await mkdir(snapshot, { recursive: true });
  await mkdir(join(repo, 'refs', 'refs', 'pr'), { recursive: true });
  await writeFile(join(repo, 'refs', 'main'), commit);
  await writeFile(join(repo, 'refs', 'refs', 'pr', '1'), `${commit}\n`);
  // As a commit it would lead to the snapshots' own folder, which exists.
  await writeFile(join(repo, 'refs', 'bad'), '..');
  await writeFile(join(repo, 'refs', 'gone'), commit.replaceAll('0', 'f'));
  return { environment: { HF_HUB_CACHE: cache }, snapshot };
}

describe('findModelFolder', () => {
  it('takes a folder, with and without a slash at the end', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'my-model'));
    const expected = {
      folder: join(folder, 'my-model'),
      file: null,
      remote: null,
      id: 'my-model',
      revision: null,
    };
    expect(await findModelFolder(join(folder, 'my-model'))).toEqual(expected);
    expect(await findModelFolder(`${folder}/my-model/`)).toEqual(expected);
    await symlink(join(folder, 'my-model'), join(folder, 'link'));
    expect(await findModelFolder(join(folder, 'link'))).toMatchObject({ id: 'link' });
  });

  it('takes a GGUF file by what it begins with, whatever it is called', async () => {
    const folder = await temporaryFolder();
    for (const [name, id] of [
      ['m-q8_0.gguf', 'm-q8_0'],
      ['blob', 'blob'],
    ] as const) {
      const file = join(folder, name);
      await writeFile(file, 'GGUF and more');
      expect(await findModelFolder(file)).toEqual({ folder, file, remote: null, id, revision: null });
    }
    await writeFile(join(folder, 'short.gguf'), 'GG');
    await expect(findModelFolder(join(folder, 'short.gguf'))).rejects.toThrow(UsageError);
  });

  it.each([
    'acme/tiny--chat',
    'acme/tiny--chat@main',
    `acme/tiny--chat@${commit}`,
    'acme/tiny--chat@refs/pr/1',
  ])('finds %s in the cache', async (name) => {
    const { environment, snapshot } = await makeCache();
    const expected = { folder: snapshot, file: null, remote: null, id: 'acme/tiny--chat', revision: commit };
    expect(await findModelFolder(name, environment)).toEqual(expected);
  });

  it('names a path into a snapshot as the Hub does', async () => {
    const { snapshot } = await makeCache();
    expect(await findModelFolder(snapshot)).toEqual({
      folder: snapshot,
      file: null,
      remote: null,
      id: 'acme/tiny--chat',
      revision: commit,
    });
  });

  it.each<[string, RegExp]>([
    [
      'acme/other',
      /neither a folder "acme\/other" nor that model in .*; check the path, or download .*"persona pull acme\/other"/,
    ],
    ['acme/tiny--chat@v2', /revision "v2" of acme\/tiny--chat .*"persona pull acme\/tiny--chat@v2"/],
    ['acme/tiny--chat@bad', /revision "bad"/],
    ['acme/tiny--chat@gone', /revision "gone"/],
    [`acme/tiny--chat@${'f'.repeat(40)}`, /revision "f{40}"/],
    ['acme/tiny--chat@../refs/main', /where nothing is; check the path/],
    ['../tiny--chat', /where nothing is; check the path/],
    ['acme/..', /where nothing is; check the path/],
    ['no such\nfolder', /got "no such\\nfolder", where nothing is/],
    ['a\0b', /got "a\\u0000b", where nothing is/],
    ['', /got "", where nothing is/],
    ['/no/such/folder', /got "\/no\/such\/folder", where nothing is/],
  ])('says of %j what to do', async (name, message) => {
    const { environment } = await makeCache();
    await expect(findModelFolder(name, environment)).rejects.toThrow(UsageError);
    await expect(findModelFolder(name, environment)).rejects.toThrow(message);
  });

  it('asks for the folder when it gets a file', async () => {
    const file = join(await temporaryFolder(), 'model.safetensors');
    await writeFile(file, '');
    await expect(findModelFolder(file)).rejects.toThrow(
      /got the file ".*model\.safetensors"; name the folder/,
    );
  });

  it('never leaves the cache, whatever the name', async () => {
    const { environment } = await makeCache();
    const part = fc.constantFrom(
      'acme',
      'tiny--chat',
      '..',
      '.',
      '/',
      '@',
      'refs',
      'main',
      commit,
      '\0',
      ' ',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 8 }), async (parts) => {
        // An absolute path or a step up may exist here and is a folder in its own right.
        fc.pre(!/^(\/|\.)/.test(parts.join('')));
        const { value, error } = await outcome(() => findModelFolder(parts.join(''), environment));
        expect([null, 'UsageError']).toContain(error);
        expect([undefined, 'acme/tiny--chat']).toContain(value?.id);
        expect([undefined, commit]).toContain(value?.revision);
      }),
      { numRuns: 200 },
    );
  });
});

describe('hubCacheFolder', () => {
  it.each<[Record<string, string>, string]>([
    [{ HOME: '/h' }, '/h/.cache/huggingface/hub'],
    [{ HOME: '/h', XDG_CACHE_HOME: '/x' }, '/x/huggingface/hub'],
    [{ HOME: '/h', XDG_CACHE_HOME: '/x', HF_HOME: '/y' }, '/y/hub'],
    [{ HOME: '/h', HF_HOME: '~/y' }, '/h/y/hub'],
    [{ HOME: '/h', HF_HOME: '/y', HF_HUB_CACHE: '/z' }, '/z'],
    [{ HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old' }, '/old'],
    [{ HOME: '/h', HF_HUB_CACHE: '', HF_HOME: '' }, '/h/.cache/huggingface/hub'],
  ])('of %j is %s', (environment, expected) => {
    expect(hubCacheFolder(environment)).toBe(resolve(expected));
  });
});

describe('hubHomeFolder', () => {
  it.each<[Record<string, string>, string]>([
    [{ HOME: '/h' }, '/h/.cache/huggingface'],
    [{ HOME: '/h', XDG_CACHE_HOME: '/x' }, '/x/huggingface'],
    [{ HOME: '/h', HF_HOME: '~/y', HF_HUB_CACHE: '/z' }, '/h/y'],
  ])('of %j is %s', (environment, expected) => {
    expect(hubHomeFolder(environment)).toBe(resolve(expected));
  });
});
