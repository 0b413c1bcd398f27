import fc from 'fast-check';
import { mkdir, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Json, JsonObject } from './json-text.ts';
import { writeSafetensors } from './safetensors-writer.ts';
import { findWeightFiles, parseWeightIndex } from './weight-files.ts';
import { outcome } from '../../test/helpers/outcome.ts';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { ModelError, ParseError } from '../errors.ts';

async function writeShard(folder: string, shard: string, names: readonly string[]): Promise<void> {
  const tensors = names.map((name) => ({ name, shape: [1], data: Float32Array.of(0) }));
  await writeSafetensors(join(folder, shard), tensors, { format: 'pt' });
}

async function writeIndex(folder: string, weightMap: Json): Promise<void> {
  const index = JSON.stringify({ metadata: { total_size: 8 }, weight_map: weightMap });
  await writeFile(join(folder, 'model.safetensors.index.json'), index);
}

/** Two shards with their index. */
async function writeSharded(): Promise<string> {
  const folder = await temporaryFolder();
  await writeShard(folder, '1.safetensors', ['a', 'b']);
  await writeShard(folder, '2.safetensors', ['c']);
  await writeIndex(folder, { c: '2.safetensors', a: '1.safetensors', b: '1.safetensors' });
  return folder;
}

describe('findWeightFiles', () => {
  it('reads all shards of an index', async () => {
    const folder = await realpath(await writeSharded());
    const stored = await findWeightFiles(folder);
    expect(stored.files).toEqual([join(folder, '1.safetensors'), join(folder, '2.safetensors')]);
    expect([...stored.tensors].map(([name, { file }]) => [name, file])).toEqual([
      ['a', stored.files[0]],
      ['b', stored.files[0]],
      ['c', stored.files[1]],
    ]);
  });

  it('takes the single file where both are there', async () => {
    const folder = await writeSharded();
    await writeShard(folder, 'model.safetensors', ['only']);
    expect([...(await findWeightFiles(folder)).tensors.keys()]).toEqual(['only']);
  });

  it('names the blob itself where the file is a link', async () => {
    const folder = await realpath(await temporaryFolder());
    await mkdir(join(folder, 'blobs'));
    await mkdir(join(folder, 'snapshot'));
    await writeShard(folder, 'model.safetensors', ['a']);
    await rename(join(folder, 'model.safetensors'), join(folder, 'blobs', 'abc'));
    await symlink('../blobs/abc', join(folder, 'snapshot', 'model.safetensors'));
    const stored = await findWeightFiles(join(folder, 'snapshot'));
    expect(stored.files).toEqual([join(folder, 'blobs', 'abc')]);
    expect(stored.tensors.get('a')?.file).toBe(join(folder, 'blobs', 'abc'));
  });

  it('says which shard is missing', async () => {
    const folder = await writeSharded();
    await rm(join(folder, '2.safetensors'));
    await expect(findWeightFiles(folder)).rejects.toThrow(ModelError);
    await expect(findWeightFiles(folder)).rejects.toThrow(
      /the shard "2\.safetensors" \(one of 2\) in ".*", got none; download the missing file/,
    );
  });

  it('says which tensor a shard lacks', async () => {
    const folder = await writeSharded();
    await writeShard(folder, '1.safetensors', ['a']);
    await expect(findWeightFiles(folder)).rejects.toThrow(ModelError);
    await expect(findWeightFiles(folder)).rejects.toThrow(
      /1\.safetensors": expected tensor "b", which the index says/,
    );
  });

  it('says which tensor lies in two shards', async () => {
    const folder = await writeSharded();
    await writeShard(folder, '2.safetensors', ['c', 'a']);
    await expect(findWeightFiles(folder)).rejects.toThrow(ModelError);
    await expect(findWeightFiles(folder)).rejects.toThrow(
      /got "a" in both ".*1\.safetensors" and ".*2\.safetensors"/,
    );
  });

  it('says that there are no weights, or a malformed shard', async () => {
    const folder = await temporaryFolder();
    await expect(findWeightFiles(folder)).rejects.toThrow(/model\.safetensors or .*, got neither; convert/);
    await writeFile(join(folder, 'model.safetensors'), 'version https://git-lfs.github.com/spec/v1');
    await expect(findWeightFiles(folder)).rejects.toThrow(ParseError);
  });
});

describe('parseWeightIndex', () => {
  const parse = (json: JsonObject): ReadonlyMap<string, readonly string[]> =>
    parseWeightIndex(json, 'i.json');

  it.each<Json>([
    '../x.safetensors',
    '/etc/passwd',
    'a/b',
    String.raw`..\x`,
    'C:x',
    '..',
    '.',
    '',
    'a\0b',
    1,
    null,
    ['a'],
  ])('refuses the shard %j', (shard) => {
    expect(() => parse({ weight_map: { t: shard } })).toThrow(ParseError);
    expect(() => parse({ weight_map: { t: shard } })).toThrow(
      /a file name beside the index for tensor "t", got /,
    );
  });

  it.each<[JsonObject, RegExp]>([
    [{}, /"weight_map" to be an object of tensor names, got nothing/],
    [{ weight_map: [] }, /"weight_map" to be an object of tensor names, got \[\]/],
    [{ weight_map: {} }, /from 1 to 4096 shards, got 0/],
    [
      { weight_map: Object.fromEntries(Array.from({ length: 4097 }, (_, i) => [`t${i}`, `s${i}`])) },
      /from 1 to 4096 shards, got 4097/,
    ],
  ])('refuses %#', (json, message) => {
    expect(() => parse(json)).toThrow(ParseError);
    expect(() => parse(json)).toThrow(message);
  });

  it('parses any object, with every tensor in one shard, or throws a ParseError', async () => {
    const shard = fc.oneof(fc.constantFrom('a', 'b', 'model-00001-of-00002.safetensors'), fc.jsonValue());
    const json = fc.record({ weight_map: fc.oneof(fc.dictionary(fc.string(), shard), fc.jsonValue()) });
    await fc.assert(
      fc.asyncProperty(json, async (made) => {
        const object = JSON.parse(JSON.stringify(made)) as JsonObject;
        const { value, error } = await outcome(() => parse(object));
        expect([null, 'ParseError']).toContain(error);
        const expected = value === null ? [] : Object.keys(object['weight_map'] as JsonObject);
        expect([...(value?.values() ?? [])].flat().sort()).toEqual(expected.sort());
      }),
    );
  });
});
