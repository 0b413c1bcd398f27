import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { mapConcurrently } from './map-concurrently.ts';

const stopped = (): Error => new Error('stopped');

async function all<R>(results: AsyncIterable<R>): Promise<R[]> {
  const list: R[] = [];
  for await (const result of results) list.push(result);
  return list;
}

describe('mapConcurrently', () => {
  it('gives every result with the place of its item, never more at once than it may', async () => {
    let [underWay, most] = [0, 0];
    const work = async (item: string, index: number): Promise<string> => {
      most = Math.max(most, ++underWay);
      for (let i = 0; i < (7 * index) % 5; i++) await turn();
      underWay--;
      return `${index}${item}`;
    };
    const items = Array.from({ length: 30 }, (_, i) => String.fromCharCode(97 + i));
    const results = await all(mapConcurrently(items, work, { limit: 4, stopped }));
    expect(results.toSorted()).toEqual(items.map((item, i) => `${i}${item}`).toSorted());
    expect(most).toBe(4);
  });

  it('works on the first items while the last are still being made', async () => {
    let [makeSecond, madeSecond]: [() => void, boolean] = [() => undefined, false];
    async function* source(): AsyncGenerator<number> {
      yield 1;
      await new Promise<void>((resolve) => (makeSecond = resolve));
      madeSecond = true;
      yield 2;
    }
    const seen: [number, boolean][] = [];
    for await (const item of mapConcurrently(source(), async (n) => n, { limit: 3, stopped })) {
      seen.push([item, madeSecond]);
      makeSecond();
    }
    expect(seen).toEqual([
      [1, false],
      [2, true],
    ]);
  });

  it('throws the first failure once what was under way has ended', async () => {
    const ended: number[] = [];
    const work = async (item: number, _: number, signal: AbortSignal): Promise<number> => {
      await turn();
      if (item === 3) throw new Error('three');
      if (item > 1) while (!signal.aborted) await turn();
      ended.push(item);
      return item;
    };
    await expect(all(mapConcurrently([1, 2, 3, 4, 5, 6], work, { limit: 3, stopped }))).rejects.toThrow(
      'three',
    );
    expect(ended).toContain(2);
    expect(ended).not.toContain(6);
  });

  it('throws the failure of its source', async () => {
    async function* source(): AsyncGenerator<number> {
      yield 1;
      throw new Error('no more');
    }
    await expect(all(mapConcurrently(source(), async (n) => n, { limit: 2, stopped }))).rejects.toThrow(
      'no more',
    );
  });

  it('stops for its signal, even while it waits for an item', async () => {
    const controller = new AbortController();
    async function* source(): AsyncGenerator<number> {
      yield 1;
      await new Promise<never>(() => undefined);
    }
    const results: number[] = [];
    const run = async (): Promise<void> => {
      const options = { limit: 2, signal: controller.signal, stopped };
      for await (const result of mapConcurrently(source(), async (n) => n, options)) {
        results.push(result);
        setImmediate(() => controller.abort());
      }
    };
    await expect(run()).rejects.toThrow('stopped');
    expect(results).toEqual([1]);
  });

  it('ends its work when the caller leaves', async () => {
    let aborted = 0;
    const work = async (item: number, _: number, signal: AbortSignal): Promise<number> => {
      await turn();
      if (item === 0) return item;
      while (!signal.aborted) await turn();
      aborted++;
      return item;
    };
    for await (const item of mapConcurrently([0, 1, 2], work, { limit: 3, stopped })) {
      expect(item).toBe(0);
      break;
    }
    expect(aborted).toBe(2);
  });
});
