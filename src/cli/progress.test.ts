import { describe, expect, it } from 'vitest';
import { createProgress, duration } from './progress.ts';

/** A progress whose clock and stream the test holds. */
function watched(isTTY: boolean) {
  let text = '';
  let time = 0;
  const stream = { isTTY, write: (piece: string) => (text += piece) };
  const progress = createProgress({ unit: 'rows', stream, now: () => time });
  const at = (milliseconds: number, done: number, label = 'work', detail?: string): void => {
    time = milliseconds;
    progress.update(label, done, 100, detail);
  };
  return { at, end: () => progress.end(), text: () => text };
}

describe('progress', () => {
  it('redraws one line on a terminal, with rate and time left', () => {
    const { at, end, text } = watched(true);
    at(0, 0);
    at(50, 10);
    at(1000, 20);
    at(5000, 100);
    end();
    expect(text()).toBe(
      '\rwork: 0 of 100 rows\u001B[K\rwork: 20 of 100 rows, 20 rows/s, 4.0 s left\u001B[K\rwork: 100 of 100 rows, 20 rows/s, took 5.0 s\u001B[K\n',
    );
  });

  it('tells more behind the count', () => {
    const { at, text } = watched(true);
    at(0, 0);
    at(1000, 20, 'work', 'loss 1.5');
    expect(text()).toContain('work: 20 of 100 rows, 20 rows/s, 4.0 s left; loss 1.5\u001B[K');
  });

  it('writes plain lines now and then elsewhere', () => {
    const { at, end, text } = watched(false);
    at(0, 40);
    at(9000, 45);
    at(10_000, 50);
    at(11_000, 55);
    at(60_000, 100);
    end();
    expect(text()).toBe(
      'work: 50 of 100 rows, 1.00 rows/s, 50 s left\nwork: 100 of 100 rows, 1.00 rows/s, took 1 min 0 s\n',
    );
  });

  it('says nothing in a log about work that is done at once', () => {
    const { at, end, text } = watched(false);
    at(0, 0);
    at(900, 100);
    end();
    expect(text()).toBe('');
  });

  it('starts a new line and a new rate with new work', () => {
    const { at, end, text } = watched(true);
    at(0, 0, 'first');
    at(100, 10, 'second');
    end();
    expect(text()).toBe('\rfirst: 0 of 100 rows\u001B[K\n\rsecond: 10 of 100 rows\u001B[K\n');
  });
});

describe('duration', () => {
  it('is short for every length', () => {
    expect([0.04, 9.94, 10, 59.4, 60, 200, 7500].map(duration)).toEqual([
      '0.0 s',
      '9.9 s',
      '10 s',
      '59 s',
      '1 min 0 s',
      '3 min 20 s',
      '2 h 5 min',
    ]);
  });
});
