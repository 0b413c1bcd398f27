import { describe, expect, it } from 'vitest';
import { strftime } from './strftime.ts';

describe('strftime', () => {
  const date = new Date('2024-03-05T00:07:09Z');

  it('knows the directives of dates and times, in UTC and English', () => {
    expect(strftime(date, '%Y-%m-%d %H:%M:%S')).toBe('2024-03-05 00:07:09');
    expect(strftime(date, '%A %a %B %b %y %I%p %j')).toBe('Tuesday Tue March Mar 24 12AM 065');
    expect(strftime(new Date('2023-12-31T23:59:59Z'), '%j %I%p')).toBe('365 11PM');
  });

  it('leaves alone what it does not know', () => {
    expect(strftime(date, '100%% %q %é %')).toBe('100% %q %é %');
    expect(strftime(date, '')).toBe('');
  });
});
