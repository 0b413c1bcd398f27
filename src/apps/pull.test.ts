import { createHash } from 'node:crypto';
import { readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { PullOptions } from './pull.ts';
import {
  blobName,
  deadAddress,
  hubCommit,
  modelFiles,
  patternBytes,
} from '../../test/helpers/loopback-hub.ts';
import { pullScene } from '../../test/helpers/pull-scene.ts';
import { ModelError, UsageError } from '../errors.ts';
import { defaultPatience } from '../util/http/retry.ts';
import { findModelFolder } from '../model/hub-cache.ts';

const token = 'hf_secret';

describe('pull', () => {
  it('lays a model out as Hugging Face does, and takes only what the loader reads', async () => {
    const { run, repoFolder, blobs, files, environment } = await pullScene();
    const { 'README.md': _, ...wanted } = files;
    const result = await run();
    const snapshot = join(repoFolder, 'snapshots', hubCommit);
    expect(result).toEqual({
      repo: 'acme/tiny',
      revision: 'main',
      commit: hubCommit,
      folder: snapshot,
      files: Object.entries(wanted)
        .map(([path, content]) => ({ path, size: Buffer.byteLength(content), fetched: true }))
        .sort((a, b) => (a.path < b.path ? -1 : 1)),
      fetchedBytes: Object.values(wanted).reduce((sum, content) => sum + Buffer.byteLength(content), 0),
    });
    expect(await readFile(join(repoFolder, 'refs/main'), 'utf8')).toBe(hubCommit);
    expect(await blobs()).toEqual(Object.values(wanted).map(blobName).sort());
    for (const [path, content] of Object.entries(wanted)) {
      expect(await readlink(join(snapshot, path))).toBe(`../../blobs/${blobName(content)}`);
      expect((await readFile(join(snapshot, path))).equals(Buffer.from(content))).toBe(true);
    }
    expect(await findModelFolder('acme/tiny', environment)).toMatchObject({ folder: snapshot });
  });

  it('fetches nothing twice, and fetches a damaged blob again', async () => {
    const { run, trusted, fileRequests, notes } = await pullScene();
    const first = await run();
    const before = fileRequests().length;
    expect(await run()).toEqual({
      ...first,
      files: first.files!.map((file) => ({ ...file, fetched: false })),
      fetchedBytes: 0,
    });
    expect(fileRequests()).toHaveLength(before);
    // A redirect and its target are two requests.
    const damaged = await readlink(join(first.folder, 'model.safetensors'));
    await writeFile(join(first.folder, damaged), patternBytes(300_000, 'damaged'));
    expect((await run()).files!.filter(({ fetched }) => fetched).map(({ path }) => path)).toEqual([
      'model.safetensors',
    ]);
    expect(fileRequests()).toHaveLength(before + 2);
    expect(notes).toEqual(['model.safetensors: the copy in the cache is damaged; fetching it again']);
    expect(await trusted()).toHaveLength(7);
  });

  it('replaces a wrong link of the snapshot and leaves the other revision alone', async () => {
    const other = hubCommit.replaceAll('0', 'f');
    const { run, repoFolder } = await pullScene({ revisions: { main: hubCommit, 'refs/pr/1': other } });
    const { folder } = await run();
    await symlink('../../blobs/nothing', join(folder, 'link'));
    await writeFile(join(folder, 'other'), '');
    const pulled = await run({ revision: 'refs/pr/1' });
    expect(pulled).toMatchObject({ commit: other, revision: 'refs/pr/1', fetchedBytes: 0 });
    expect(await readFile(join(repoFolder, 'refs/refs/pr/1'), 'utf8')).toBe(other);
    expect(await readFile(join(repoFolder, 'refs/main'), 'utf8')).toBe(hubCommit);
    expect(await run({}, `acme/tiny@${other}`)).toMatchObject({ commit: other, revision: other });
    expect(await readdir(join(repoFolder, 'refs'))).not.toContain(other);
  });

  it('takes the shards that the index names, and no other weights', async () => {
    const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
    const map = { weight_map: { a: shards[0], b: shards[1], c: shards[0] } };
    const { run } = await pullScene({
      files: {
        'config.json': '{}',
        'model.safetensors.index.json': JSON.stringify(map),
        [shards[0]]: patternBytes(1000),
        [shards[1]]: patternBytes(2000),
        'consolidated.safetensors': patternBytes(3000),
        'onnx/config.json': '{}',
      },
    });
    const paths = (await run()).files!.map(({ path }) => path);
    expect(paths).toEqual(['config.json', ...shards, 'model.safetensors.index.json']);
  });

  it('takes what --allow names instead, folders too', async () => {
    const { run } = await pullScene({
      files: { 'README.md': 'r', 'onnx/model.bin': Buffer.from('x'), 'onnx/a/b.json': '{}', 'c.json': '{}' },
    });
    const result = await run({ allow: ['onnx/*', 'READ??.md'] });
    expect(result.files!.map(({ path }) => path)).toEqual(['README.md', 'onnx/a/b.json', 'onnx/model.bin']);
    expect(await readlink(join(result.folder, 'onnx/a/b.json'))).toMatch(/^\.\.\/\.\.\/\.\.\/\.\.\/blobs\//);
    await expect(run({ allow: ['*.gguf'] })).rejects.toThrow(
      /files that match "\*\.gguf", got none among the 4/,
    );
  });

  it('writes a content once that comes under two names, and empty files', async () => {
    const { run, blobs, fileRequests } = await pullScene({ files: { a: 'same', b: 'same', c: '', d: '' } });
    expect((await run({ allow: ['*'] })).files).toHaveLength(4);
    expect(await blobs()).toEqual([blobName('same'), blobName('')].sort());
    expect(fileRequests()).toHaveLength(1);
  });

  it('tells of progress that only grows and ends at the total', async () => {
    const seen: { phase: string; doneBytes: number; totalBytes: number }[] = [];
    const { run } = await pullScene();
    const { fetchedBytes } = await run({ onProgress: (progress) => seen.push(progress) });
    expect(seen.at(-1)).toEqual({ phase: 'downloading', doneBytes: fetchedBytes, totalBytes: fetchedBytes });
    expect(seen.map(({ doneBytes }) => doneBytes)).toEqual(
      seen.map(({ doneBytes }) => doneBytes).sort((a, b) => a - b),
    );
    seen.length = 0;
    await run({ onProgress: (progress) => seen.push(progress) });
    expect(seen.at(-1)).toEqual({ phase: 'checking', doneBytes: fetchedBytes, totalBytes: fetchedBytes });
  });

  it('downloads several files at a time, and no more than it is told', async () => {
    const files = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`${i}.json`, `{"i": ${i}}`]));
    let arrived = 0;
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const file = () => {
      arrived++;
      return { after: gate };
    };
    const { run } = await pullScene({ files, file });
    const done = run({ allow: ['*'], parallel: 3 });
    await vi.waitFor(() => expect(arrived).toBe(3));
    // A fourth would be on its way: nothing keeps it but the limit.
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
    expect(arrived).toBe(3);
    open();
    expect((await done).files).toHaveLength(6);
  });
});

describe('what pull refuses', () => {
  it.each([
    'tiny',
    'acme/../x',
    '',
    './models',
    'acme/tiny@',
    'https://huggingface.co/acme/tiny',
    'acme/tiny@../x',
  ])('the name %j', async (name) => {
    const { run } = await pullScene();
    await expect(run({}, name)).rejects.toThrow(/^Expected a model's name on the Hub such as owner\/name/);
  });

  it('two revisions at once', async () => {
    const { run } = await pullScene();
    await expect(run({ revision: 'main' }, 'acme/tiny@main')).rejects.toThrow(/at revision main/);
  });

  it.each<[string, PullOptions, string, RegExp]>([
    [
      'a gated model without a token',
      {},
      'acme/tiny',
      /^acme\/tiny is for accounts that have accepted its licence: do so on http:\S+\/acme\/tiny, then set HF_TOKEN/,
    ],
    [
      'a gated model with a token that may not',
      { token: 'hf_other' },
      'acme/tiny',
      /^The token may not read acme\/tiny: accept the model's licence/,
    ],
    [
      'a model that is not there',
      {},
      'acme/other',
      /^There is no public model acme\/other on http:\S+: check the name; if it is private or gated/,
    ],
    [
      'a model that is not there, with a token',
      { token },
      'acme/other',
      /^The token opens no model acme\/other/,
    ],
    ['a revision that is not there', { token }, 'acme/tiny@v2', /^acme\/tiny has no revision "v2"/],
  ])('%s', async (_, options, name, message) => {
    const { run } = await pullScene({ token });
    const error: unknown = await run(options, name).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toMatch(message);
  });

  it('a repository without weights that it can load', async () => {
    const { run } = await pullScene({
      files: { 'config.json': '{}', 'pytorch_model.bin': Buffer.from('x') },
    });
    await expect(run()).rejects.toThrow(ModelError);
    await expect(run()).rejects.toThrow(/got "pytorch_model\.bin"; choose a repository/);
  });

  it('a repository of GGUF files, of which one is to be named', async () => {
    const { run } = await pullScene({
      files: { 'README.md': 'r', 'm-q4.gguf': Buffer.from('x'), 'm-q8.gguf': Buffer.from('y') },
    });
    await expect(run()).rejects.toThrow(/name one GGUF file with --allow "m-q4\.gguf"/);
    const { files } = await run({ allow: ['m-q8.gguf'] });
    expect(files!.map(({ path }) => path)).toEqual(['m-q8.gguf']);
  });

  it('a download that the disk has no room for', async () => {
    const { run, blobs, fileRequests } = await pullScene();
    await expect(run({ freeBytes: () => Promise.resolve(1000) })).rejects.toThrow(
      /Expected 0\.06 GB free .* got 0\.00 GB; free some/,
    );
    expect(await blobs()).toEqual([]);
    expect(fileRequests()).toEqual([]);
  });

  it.each(['ftp://host', 'nonsense', 'https://user:pw@host', 'https://host/?q=1'])(
    'the endpoint %s',
    async (endpoint) => {
      const { run } = await pullScene();
      const error: unknown = await run({ endpoint }).catch((thrown: unknown) => thrown);
      expect((error as Error).message).toMatch(/^Expected the Hub endpoint \(HF_ENDPOINT\) to be a URL/);
      expect((error as Error).message).not.toContain('pw');
    },
  );

  it('a server that is not there, at once', async () => {
    const { run } = await pullScene();
    const endpoint = await deadAddress();
    await expect(run({ endpoint, patience: defaultPatience })).rejects.toThrow(
      /^Could not begin listing .*: 127\.0\.0\.1:\d+ refused the connection; check the connection and HF_ENDPOINT/,
    );
  });

  it('redirects that go round, and to what is no web address', async () => {
    const round = await pullScene({
      location: (path, cdn) => (path === 'config.json' ? `${cdn}/loop` : undefined),
      files: { ...modelFiles(), loop: 'x' },
      file: ({ path }) => (path === 'loop' ? { status: 302, headers: { location: '/loop' } } : undefined),
    });
    await expect(round.run()).rejects.toThrow(/after at most 8 redirects/);
    const file = await pullScene({
      location: (path) => (path === 'config.json' ? 'file:///etc/passwd' : undefined),
    });
    await expect(file.run()).rejects.toThrow(/redirects to what is no http\(s\) address/);
  });

  it('a second download of the same model at the same time', async () => {
    const { run } = await pullScene();
    const [first, second] = await Promise.allSettled([run(), run()]);
    expect([first.status, second.status].sort()).toEqual(['fulfilled', 'rejected']);
    const rejected = first.status === 'rejected' ? first : second;
    expect(rejected).toMatchObject({
      reason: { code: 'store', message: expect.stringMatching(/in use by process/) as unknown },
    });
  });
});

describe('offline', () => {
  it('says where the cache has the model, and asks nothing', async () => {
    const { run, environment, hub, repoFolder } = await pullScene();
    const offline = { environment: { ...environment, HF_HUB_OFFLINE: '1' } };
    await expect(run(offline)).rejects.toThrow(
      /^Expected acme\/tiny at revision "main" in the cache .* HF_HUB_OFFLINE forbids/,
    );
    await run();
    const before = hub.requests.length;
    expect(await run(offline)).toEqual({
      repo: 'acme/tiny',
      revision: 'main',
      commit: hubCommit,
      folder: join(repoFolder, 'snapshots', hubCommit),
      files: null,
      fetchedBytes: 0,
    });
    expect(hub.requests).toHaveLength(before);
  });
});

it('the hashes of the stand-in are those of git', () => {
  // `printf 'hello\n' | git hash-object --stdin`
  expect(blobName('hello\n')).toBe('ce013625030ba8dba906f756967f9e9ca394464a');
  expect(blobName(Buffer.from('abc'))).toBe(createHash('sha256').update('abc').digest('hex'));
});
