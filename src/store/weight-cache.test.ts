import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { cp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../test/helpers/temporary-folder.ts';
import { AbortError, StoreError } from '../errors.ts';
import { safetensorsHeader } from '../model/safetensors-writer.ts';
import { sha256 } from '../util/hash.ts';
import type { WeightCacheContent } from './weight-cache-check.ts';
import { openWeightCache } from './weight-cache.ts';

const PIECES = 40;
const ROW = 24;
const outline = safetensorsHeader([
  { name: 'a.q', dtype: 'U8', shape: [PIECES, 16] },
  { name: 'a.scales', dtype: 'F32', shape: [PIECES, 2] },
]);
const [q, scales] = outline.entries as [(typeof outline.entries)[0], (typeof outline.entries)[0]];
const bytesOf = (piece: number): Uint8Array => Uint8Array.from({ length: ROW }, (_, i) => 31 * piece + i);

function contentIn(folder: string, changed: Partial<WeightCacheContent> = {}): WeightCacheContent {
  const pieces = Array.from({ length: PIECES }, (_, i) => [
    { offset: q.offset + 16 * i, byteLength: 16 },
    { offset: scales.offset + 8 * i, byteLength: 8 },
  ]);
  const rest = { fingerprint: 'f'.repeat(64), recipe: 'int8-block32', version: 3 };
  return { folder, model: 'tiny', outline, pieces, ...rest, ...changed };
}

/** A cache in a folder of its own, and what happened to it. */
class Cache {
  readonly notices: string[] = [];
  builds = 0;
  readonly folder: string;
  constructor(folder: string) {
    this.folder = folder;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async open(changed: Partial<WeightCacheContent> = {}, signal?: AbortSignal): Promise<string> {
    const content = contentIn(this.folder, changed);
    const write = async (file: number): Promise<string[]> => {
      this.builds++;
      return content.pieces.map((spans, i) => {
        let at = 0;
        for (const { offset, byteLength } of spans) {
          writeSync(file, bytesOf(i), at, byteLength, offset);
          at += byteLength;
        }
        return createHash('sha256').update(bytesOf(i)).digest('hex');
      });
    };
    const onNotice = (message: string): void => void this.notices.push(message);
    const file = await openWeightCache(content, write, { onNotice, signal });
    return file;
  }
}

async function newCache(): Promise<Cache> {
  return new Cache(join(await temporaryFolder(), 'weights', 'tiny'));
}

async function builtCache(): Promise<Cache> {
  const cache = await newCache();
  await cache.open();
  cache.notices.length = 0;
  return cache;
}

async function flip(path: string, position: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[position]! ^= 4;
  await writeFile(path, bytes);
}

/** Makes the file in its present state count as hashed whole. */
async function forgeRecord(cache: Cache): Promise<void> {
  const { ino, size, mtimeNs, ctimeNs } = await stat(cache.path('weights.safetensors'), { bigint: true });
  const manifest = sha256(await readFile(cache.path('manifest.json')));
  const file = [ino, size, mtimeNs, ctimeNs].join(' ');
  await writeFile(cache.path('verified.json'), JSON.stringify({ manifest, file }));
}

describe('openWeightCache', () => {
  it('builds once, saying so, and afterwards finds what is there', async () => {
    const cache = await newCache();
    const file = await cache.open();
    expect(file).toBe(cache.path('weights.safetensors'));
    expect(cache.notices).toEqual([
      `Writing the int8-block32 weights of tiny once, 2 kB in "${cache.folder}".`,
    ]);
    expect(await cache.open()).toBe(file);
    expect(cache.builds).toBe(1);
    expect(cache.notices).toHaveLength(1);
    expect((await readdir(cache.folder)).sort()).toEqual([
      'manifest.json',
      'verified.json',
      'weights.safetensors',
    ]);
  });

  const change = (cache: Cache, fields: Record<string, unknown>): Promise<void> =>
    readFile(cache.path('manifest.json'), 'utf8').then((text) =>
      writeFile(cache.path('manifest.json'), JSON.stringify({ ...(JSON.parse(text) as object), ...fields })),
    );
  const weights = (cache: Cache): string => cache.path('weights.safetensors');
  const damages: [string, (cache: Cache) => Promise<unknown>, string][] = [
    [
      'a flipped bit in q',
      (c) => flip(weights(c), q.offset + 16 * 20),
      'piece 21 of 40 of their file is damaged',
    ],
    ['a flipped bit in the scales', (c) => flip(weights(c), scales.offset + 8 * 39), 'piece 40 of 40'],
    ['a flipped bit in the header', (c) => flip(weights(c), 30), 'the header of their file is damaged'],
    ['a truncated file', (c) => truncate(weights(c), 500), `500 bytes instead of ${outline.fileLength}`],
    ['a longer file', (c) => truncate(weights(c), 9000), '9000 bytes instead of'],
    ['no file', (c) => rm(weights(c)), 'their file is missing'],
    ['no manifest', (c) => rm(c.path('manifest.json')), 'a process ended while it wrote them'],
    ['half a manifest', (c) => truncate(c.path('manifest.json'), 100), 'their manifest is no JSON'],
    [
      'a manifest of another kind',
      (c) => change(c, { kind: 'x' }),
      'their manifest is of another kind (in "kind"',
    ],
    ['a manifest of a later schema', (c) => change(c, { schema: 2 }), 'another kind (in "schema"'],
    ['other weights', (c) => change(c, { fingerprint: 'e'.repeat(64) }), 'they were made from other weights'],
    ['another recipe', (c) => change(c, { recipe: 'int4' }), 'they are of the recipe int4'],
    ['another version', (c) => change(c, { version: 2 }), 'they are of version 2, this is version 3'],
    ['too few hashes', (c) => change(c, { pieces: [] }), 'their manifest tells of other tensors'],
    [
      'the file of a killed process alone',
      async (c) => {
        for (const name of await readdir(c.folder)) await rm(c.path(name));
        await writeFile(c.path('.weights.safetensors.0123.tmp'), 'half');
      },
      'a process ended while it wrote them',
    ],
  ];
  it.each(damages)('notices %s and builds again, in one line', async (_, damage, problem) => {
    const cache = await builtCache();
    const whole = await readFile(weights(cache));
    await damage(cache);
    await cache.open();
    expect(cache.notices).toHaveLength(1);
    expect(cache.notices[0]).toContain(
      `The cached int8-block32 weights of tiny in "${cache.folder}" are built again: `,
    );
    expect(cache.notices[0]).toContain(problem);
    expect(cache.notices[0]).not.toContain('\n');
    expect(cache.builds).toBe(2);
    expect(sha256(await readFile(weights(cache)))).toBe(sha256(whole));
    expect((await readdir(cache.folder)).filter((name) => name.startsWith('.'))).toEqual([]);
    await cache.open();
    expect(cache.builds).toBe(2);
  });

  it('hashes a copy whole, and only once', async () => {
    const first = await builtCache();
    const copy = new Cache(`${first.folder}-copy`);
    await cp(first.folder, copy.folder, { recursive: true, preserveTimestamps: true });
    const record = await readFile(copy.path('verified.json'), 'utf8');
    await copy.open();
    expect(copy.builds).toBe(0);
    expect(await readFile(copy.path('verified.json'), 'utf8')).not.toBe(record);
    await flip(weights(copy), q.offset + 16 * 20);
    await copy.open();
    expect(copy.builds).toBe(1);
  });

  it('hashes samples of a file that was hashed whole before', async () => {
    const cache = await builtCache();
    // Piece 1 is not among the samples, piece 39 is the last one.
    await flip(weights(cache), q.offset + 16 * 1);
    await forgeRecord(cache);
    await cache.open();
    expect(cache.notices).toEqual([]);
    await flip(weights(cache), q.offset + 16 * 39);
    await forgeRecord(cache);
    await cache.open();
    expect(cache.notices[0]).toContain('piece 40 of 40 of their file is damaged');
  });

  it('lets one of two build and the other wait', async () => {
    const cache = await newCache();
    const [a, b] = await Promise.all([cache.open(), cache.open()]);
    expect(a).toBe(b);
    expect(cache.builds).toBe(1);
    expect(cache.notices).toContain(
      'Waiting for another process that builds the int8-block32 weights of tiny.',
    );
  });

  it('stops waiting when told to', async () => {
    const cache = await builtCache();
    await rm(cache.path('manifest.json'));
    await writeFile(cache.path('lock'), JSON.stringify({ ...owner, pid: 1 }));
    await expect(cache.open({}, AbortSignal.abort())).rejects.toThrow(AbortError);
  });

  it('takes over from a process of another machine that has long written nothing', async () => {
    const cache = await builtCache();
    await rm(cache.path('manifest.json'));
    await writeFile(cache.path('lock'), JSON.stringify(owner));
    const old = new Date(Date.now() - 11 * 60_000);
    await utimes(cache.path('lock'), old, old);
    await cache.open();
    expect(cache.builds).toBe(2);
    // One that still writes is waited for.
    await rm(cache.path('manifest.json'));
    await writeFile(cache.path('lock'), JSON.stringify(owner));
    await utimes(cache.path('lock'), old, old);
    await writeFile(cache.path('.weights.safetensors.0123.tmp'), 'half');
    const stop = AbortSignal.timeout(400);
    await expect(cache.open({}, stop)).rejects.toThrow(AbortError);
    expect(cache.builds).toBe(2);
  });

  it('leaves nothing of a build that failed', async () => {
    const cache = await newCache();
    const broken = async (): Promise<string[]> => {
      throw Object.assign(new Error('full'), { code: 'ENOSPC' });
    };
    const attempt = openWeightCache(contentIn(cache.folder), broken);
    await expect(attempt).rejects.toThrow(StoreError);
    await expect(attempt).rejects.toThrow('no space is left on the disk');
    expect(await readdir(cache.folder)).toEqual([]);
    await cache.open();
  });

  it('asks for the space beforehand', async () => {
    const cache = await newCache();
    const attempt = cache.open({ outline: { ...outline, fileLength: 2 ** 52 } });
    await expect(attempt).rejects.toThrow(StoreError);
    await expect(attempt).rejects.toThrow(
      /^Expected 4503599645 MB free in ".*" for the int8-block32 weights of tiny, got \d+ MB; free some space, or set PERSONA_CACHE to a folder on a larger disk\.$/,
    );
    expect(cache.builds).toBe(0);
    expect(await readdir(cache.folder)).toEqual([]);
  });
});

const owner = { pid: 1, host: 'another-machine', started: '1', token: 'x' };
