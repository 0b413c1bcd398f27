import { describe, expect, it } from 'vitest';
import { WeightedCache } from './weighted-cache.ts';

/** A cache of numbers that weigh themselves, and what was made. */
function cacheOf(most: number) {
  const cache = new WeightedCache<number>(most);
  const made: string[] = [];
  const get = (key: string, value: number): Promise<number> =>
    cache.get(
      key,
      () => {
        made.push(key);
        return Promise.resolve(value);
      },
      (weight) => weight,
    );
  return { cache, made, get };
}

describe('a weighted cache', () => {
  it('makes a value once, also for those who ask while it is made', async () => {
    const { made, get } = cacheOf(10);
    expect(await Promise.all([get('a', 3), get('a', 4)])).toEqual([3, 3]);
    expect(await get('a', 5)).toBe(3);
    expect(made).toEqual(['a']);
  });

  it('lets go what was not asked for the longest time, and never the newest', async () => {
    const { made, get } = cacheOf(10);
    await get('a', 4);
    await get('b', 4);
    await get('a', 4);
    await get('c', 4);
    await get('a', 4);
    await get('b', 4);
    expect(made).toEqual(['a', 'b', 'c', 'b']);
    await get('huge', 50);
    await get('huge', 50);
    expect(made).toEqual(['a', 'b', 'c', 'b', 'huge']);
  });

  it('keeps no failure', async () => {
    const { cache, get } = cacheOf(10);
    const fails = cache.get(
      'a',
      () => Promise.reject(new Error('no')),
      () => 1,
    );
    await expect(fails).rejects.toThrow('no');
    expect(await get('a', 2)).toBe(2);
  });
});
