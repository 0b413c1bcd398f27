import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Interrupted } from './network-failure.ts';
import { withRetries } from './retry.ts';
import type { RetryOptions } from './retry.ts';
import { AbortError, UsageError } from '../../errors.ts';

/** Pauses that were asked for, in milliseconds; none is waited for. */
const pauses: number[] = vi.hoisted(() => []);
vi.mock('node:timers/promises', () => ({
  setTimeout: (wait: number) => {
    pauses.push(wait);
    return Promise.resolve();
  },
}));
beforeEach(() => {
  pauses.length = 0;
});

const patience = { attempts: 5, firstPauseMs: 1000, longestPauseMs: 3000, stallMs: 1 };
const stopped = (): AbortError => new AbortError('it was stopped');
const options: RetryOptions = { patience, task: 'doing it', signal: undefined, stopped };

/** Fails with these, one after the other, and then succeeds. */
function failing(...failures: readonly Error[]): () => Promise<string> {
  let attempt = 0;
  return () => {
    const failure = failures[attempt++];
    return failure === undefined ? Promise.resolve('done') : Promise.reject(failure);
  };
}

const cut = (retryAfterMs: number | null = null): Interrupted =>
  new Interrupted('it was cut', { retryAfterMs });

describe('withRetries', () => {
  it('pauses longer after every failure, up to a limit, and never the same everywhere', async () => {
    await expect(withRetries(failing(cut(), cut(), cut(), cut()), options)).resolves.toBe('done');
    expect(pauses).toHaveLength(4);
    for (const [i, least] of [750, 1500, 2250, 2250].entries()) {
      expect(pauses[i]).toBeGreaterThanOrEqual(least);
      expect(pauses[i]).toBeLessThanOrEqual((least / 0.75) * 1.25);
    }
  });

  it('waits as long as it is asked to, tells so, and gives up where that is too long', async () => {
    const notes: string[] = [];
    const onNote = (line: string): void => void notes.push(line);
    await withRetries(failing(cut(60_000), cut(1)), { ...options, onNote });
    expect(pauses[0]).toBe(60_000);
    expect(pauses[1]).toBeGreaterThanOrEqual(1500);
    expect(notes).toEqual(['doing it: it was cut; next attempt in 60 s']);
    await expect(withRetries(failing(cut(300_001)), options)).rejects.toThrow(/asks to wait 301 s/);
    expect(pauses).toHaveLength(2);
  });

  it('gives up after so many failures in a row, of which progress is none', async () => {
    const five = [cut(), cut(), cut(), cut(), cut()];
    await expect(withRetries(failing(...five), options)).rejects.toThrow(
      /^Gave up doing it after 5 failures in a row \(the last: it was cut\); run the same command again/,
    );
    let attempts = 0;
    const gotFurther = (): boolean => ++attempts % 2 === 0;
    await expect(withRetries(failing(...five, ...five), { ...options, gotFurther })).resolves.toBe('done');
  });

  it('comes to an end with a server that gives a little each time', async () => {
    const work = vi.fn<() => Promise<never>>(() => Promise.reject(cut()));
    await expect(withRetries(work, { ...options, gotFurther: () => true })).rejects.toThrow(UsageError);
    expect(work).toHaveBeenCalledTimes(1000);
  });

  it('does not repeat what another attempt cannot cure', async () => {
    await expect(withRetries(failing(new UsageError('no such model')), options)).rejects.toThrow(
      'no such model',
    );
    const away = new Interrupted('nobody is there', { reached: false });
    await expect(
      withRetries(failing(away), { ...options, mustReach: 'check the connection' }),
    ).rejects.toThrow(/^Could not begin doing it: nobody is there; check the connection/);
    expect(pauses).toEqual([]);
    await expect(withRetries(failing(away), options)).resolves.toBe('done');
  });

  it('stops when its caller does', async () => {
    const controller = new AbortController();
    const work = (): Promise<never> => {
      controller.abort();
      return Promise.reject(cut());
    };
    await expect(withRetries(work, { ...options, signal: controller.signal })).rejects.toThrow(AbortError);
    expect(pauses).toEqual([]);
  });
});
