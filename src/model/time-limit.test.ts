import { describe, expect, it } from 'vitest';
import { withSharedTimeLimit, withTimeLimit } from './time-limit.ts';

const late = (): Error => new RangeError('late');

describe('withTimeLimit', () => {
  it('gives what the work gives and throws what it throws', () => {
    expect(withTimeLimit(1_000, () => [1], late)).toEqual([1]);
    const thrown = new TypeError('mine');
    const failing = (): never => {
      throw thrown;
    };
    expect(() => withTimeLimit(1_000, failing, late)).toThrow(thrown);
  });

  it.each([
    [
      'a loop',
      () => {
        for (;;);
      },
    ],
    ['a regular expression', () => /(a+)+$/.test(`${'a'.repeat(40)}!`)],
    [
      'a loop that catches everything',
      () => {
        for (;;) {
          try {
            for (;;);
          } catch {
            // What stops the work cannot be caught here.
          }
        }
      },
    ],
  ])('stops %s', (_, work) => {
    expect(() => withTimeLimit(20, work, late)).toThrow('late');
  });

  it('begins again where the time went by without this process', () => {
    const cell = new Int32Array(new SharedArrayBuffer(4));
    let begun = 0;
    const work = (): string => {
      if (++begun < 3) Atomics.wait(cell, 0, 0, 60_000);
      return 'done';
    };
    expect(withTimeLimit(50, work, late)).toBe('done');
    expect(begun).toBe(3);
  });

  it('gives up where that goes on', () => {
    const cell = new Int32Array(new SharedArrayBuffer(4));
    let begun = 0;
    const work = (): void => {
      begun++;
      Atomics.wait(cell, 0, 0, 60_000);
    };
    expect(() => withTimeLimit(50, work, late)).toThrow('late');
    expect(begun).toBe(5);
  });

  it('can be nested', () => {
    const inner = (): string => withTimeLimit(1_000, () => 'inner', late);
    expect(withTimeLimit(1_000, () => `${inner()}, ${inner()}`, late)).toBe('inner, inner');
  });

  it('stops a nested call with the shorter of both limits, and leaves the next call its own', () => {
    const endless = (): never => {
      for (;;);
    };
    const inner = (milliseconds: number) => (): never =>
      withTimeLimit(milliseconds, endless, () => new Error('inner'));
    expect(() => withTimeLimit(20, inner(60_000), late)).toThrow('late');
    expect(() => withTimeLimit(60_000, inner(20), late)).toThrow('inner');
    expect(() => withTimeLimit(20, endless, late)).toThrow('late');
  });
});

describe('withSharedTimeLimit', () => {
  it('gives what the work gives and throws what it throws', () => {
    expect(withSharedTimeLimit(() => [1])).toEqual([1]);
    const thrown = new TypeError('mine');
    const failing = (): never => {
      throw thrown;
    };
    expect(() => withSharedTimeLimit(failing)).toThrow(thrown);
  });

  it('does work again that takes long together, under the limits of its parts', () => {
    let times = 0;
    const work = (): string => {
      times++;
      if (times === 1) for (;;);
      return withTimeLimit(1_000, () => 'done', late);
    };
    expect(withSharedTimeLimit(work)).toBe('done');
    expect(times).toBe(2);
  });
});
