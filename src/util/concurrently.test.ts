import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { forEachConcurrently } from './concurrently.ts';

/** Lets every other runner have its turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('forEachConcurrently', () => {
  it('runs every item once and never more than the limit at a time', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 12 }),
        fc.integer({ min: 1, max: 5 }),
        async (turns, limit) => {
          const done: number[] = [];
          let [running, most] = [0, 0];
          const work = async (i: number): Promise<void> => {
            most = Math.max(most, ++running);
            for (let n = 0; n < turns[i]!; n++) await turn();
            running--;
            done.push(i);
          };
          await forEachConcurrently([...turns.keys()], limit, work);
          expect(done.sort((a, b) => a - b)).toEqual([...turns.keys()]);
          expect(most).toBe(Math.min(limit, turns.length));
        },
      ),
      { numRuns: 30 },
    );
  });

  it('tells the others of the first failure, starts no more, and throws it after they ended', async () => {
    const events: string[] = [];
    const work = async (name: string, signal: AbortSignal): Promise<void> => {
      events.push(`start ${name}`);
      await turn();
      if (name === 'bad') throw new Error('first');
      while (!signal.aborted) await turn();
      events.push(`told ${name}`);
      throw new Error('second');
    };
    await expect(forEachConcurrently(['slow', 'bad', 'later'], 2, work)).rejects.toThrow('first');
    expect(events).toEqual(['start slow', 'start bad', 'told slow']);
  });

  it('hands the signal of its caller on', async () => {
    const controller = new AbortController();
    const work = async (_: number, signal: AbortSignal): Promise<void> => {
      controller.abort();
      expect(signal.aborted).toBe(true);
      await turn();
    };
    await expect(forEachConcurrently([1], 2, work, controller.signal)).resolves.toBeUndefined();
  });

  it('ends at once without items', async () => {
    await expect(
      forEachConcurrently([], 4, () => Promise.reject(new Error('never'))),
    ).resolves.toBeUndefined();
  });
});
