import { appendFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { openAnswerCache } from './answer-cache.ts';

describe('the cache of answers', () => {
  it('gives back what this and other processes have put there', async () => {
    const folder = join(await temporaryFolder(), 'new', 'one');
    const [first, second] = [await openAnswerCache(folder), await openAnswerCache(folder)];
    await Promise.all(Array.from({ length: 40 }, (_, i) => first.put(`a${i}`, { score: i, text: 'é\n' })));
    await second.put('b', [1, null]);
    expect(first.get('a7')).toEqual({ score: 7, text: 'é\n' });
    expect(first.get('b')).toBeUndefined();
    await Promise.all([first.close(), second.close()]);
    expect(await readdir(folder)).toHaveLength(2);
    const third = await openAnswerCache(folder);
    expect(third.get('a39')).toEqual({ score: 39, text: 'é\n' });
    expect(third.get('b')).toEqual([1, null]);
    await third.close();
    // One that only reads leaves nothing.
    expect(await readdir(folder)).toHaveLength(2);
  });

  it('has an answer on the disk when put returns', async () => {
    const folder = await temporaryFolder();
    const cache = await openAnswerCache(folder);
    await cache.put('key', 'value');
    const [name] = await readdir(folder);
    expect(await readFile(join(folder, name!), 'utf8')).toBe('{"key":"key","value":"value"}\n');
    await cache.close();
  });

  it('passes over what is damaged', async () => {
    const folder = await temporaryFolder();
    const cache = await openAnswerCache(folder);
    await cache.put('whole', 1);
    await cache.close();
    const [name] = await readdir(folder);
    await appendFile(join(folder, name!), '{"key":3,"value":1}\n{"key":"cut","val');
    const again = await openAnswerCache(folder);
    expect([again.get('whole'), again.get('cut')]).toEqual([1, undefined]);
    await again.close();
  });

  it('holds where answers lie, and not the answers', async () => {
    const folder = await temporaryFolder();
    const writer = await openAnswerCache(folder);
    await writer.put('key', 'as it was');
    await writer.close();
    const reader = await openAnswerCache(folder);
    const [name] = await readdir(folder);
    await writeFile(join(folder, name!), '{"key":"key","value":"as it is!"}\n');
    expect(reader.get('key')).toBe('as it is!');
    await writeFile(join(folder, name!), '{"key":"key","val');
    expect(reader.get('key')).toBeUndefined();
    await reader.close();
  });

  // Elsewhere no folder lists the files that a process has open.
  it.runIf(process.platform === 'linux')('reads more logs than it keeps open', async () => {
    const folder = await temporaryFolder();
    for (let i = 0; i < 70; i++) await writeFile(join(folder, `${i}.jsonl`), `{"key":"${i}","value":${i}}\n`);
    const descriptors = async (): Promise<number> => (await readdir('/proc/self/fd')).length;
    const before = await descriptors();
    const cache = await openAnswerCache(folder);
    expect(Array.from({ length: 70 }, (_, i) => cache.get(String(i)))).toEqual([...Array(70).keys()]);
    expect((await descriptors()) - before).toBe(32);
    await cache.close();
    expect(await descriptors()).toBe(before);
  });

  it('says where it cannot write', async () => {
    const file = join(await temporaryFolder(), 'file');
    await appendFile(file, 'x');
    await expect(openAnswerCache(join(file, 'below'))).rejects.toThrow(/below/);
  });
});
