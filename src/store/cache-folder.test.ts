import { describe, expect, it } from 'vitest';
import { resolve } from 'node:path';
import { cacheFolder, weightCacheFolder } from './cache-folder.ts';

describe('cacheFolder', () => {
  it('is what the environment says', () => {
    const HOME = '/h';
    expect(cacheFolder({ HOME })).toBe('/h/.cache/persona-vectors');
    expect(cacheFolder({ HOME, XDG_CACHE_HOME: '/x' })).toBe('/x/persona-vectors');
    expect(cacheFolder({ HOME, XDG_CACHE_HOME: 'relative' })).toBe('/h/.cache/persona-vectors');
    expect(cacheFolder({ HOME, XDG_CACHE_HOME: '/x', PERSONA_CACHE: '/p' })).toBe('/p');
    expect(cacheFolder({ HOME, PERSONA_CACHE: 'here' })).toBe(resolve('here'));
    expect(cacheFolder({ HOME, XDG_CACHE_HOME: '', PERSONA_CACHE: '' })).toBe('/h/.cache/persona-vectors');
  });
});

describe('weightCacheFolder', () => {
  const fingerprint = '0123456789abcdef0123';
  it.each([
    ['Qwen/Qwen2.5-0.5B', 'Qwen-Qwen2.5-0.5B'],
    ['../.. /ö', 'model'],
    ['..hidden', 'hidden'],
    ['a'.repeat(500), 'a'.repeat(96)],
  ])('names a folder for %s that stays below the root', (model, slug) => {
    expect(weightCacheFolder('/c', model, fingerprint, 'int8-block32')).toBe(
      `/c/weights/${slug}-0123456789abcdef-int8-block32`,
    );
  });
});
