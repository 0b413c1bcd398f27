import { describe, expect, it } from 'vitest';
import { AsyncQueue } from './async-queue.ts';

async function readAll(queue: AsyncQueue<number>): Promise<number[]> {
  const read: number[] = [];
  for await (const value of queue) read.push(value);
  return read;
}

describe('AsyncQueue', () => {
  it('gives what was there before and what comes later, in order, until the end', async () => {
    const queue = new AsyncQueue<number>();
    queue.push([1, 2]);
    const reading = readAll(queue);
    await Promise.resolve();
    queue.push([3]);
    await new Promise(setImmediate);
    queue.push([4, 5]);
    queue.end();
    queue.push([6]);
    expect(await reading).toEqual([1, 2, 3, 4, 5]);
  });

  it('ends at once when it is cut, with or without a waiting reader', async () => {
    const early = new AsyncQueue<number>();
    early.push([1]);
    early.cut();
    expect(await readAll(early)).toEqual([]);
    const late = new AsyncQueue<number>();
    const reading = readAll(late);
    await new Promise(setImmediate);
    late.cut();
    expect(await reading).toEqual([]);
  });
});
