import { describe, expect, it } from 'vitest';
import { statusFailure } from './failures.ts';
import { UsageError } from '../../errors.ts';

const purpose = {
  endpoint: 'https://hub.test',
  repo: 'acme/tiny',
  revision: 'main',
  path: 'a.json',
  hasToken: false,
};

describe('statusFailure', () => {
  it.each([408, 429, 500, 502, 503, 504, 599])('%i may pass', (status) => {
    expect(statusFailure(status, new Headers({ 'retry-after': '2' }), purpose)).toMatchObject({
      retryAfterMs: 2000,
      reached: true,
    });
  });

  it.each<[number, string | null, RegExp]>([
    [404, 'EntryNotFound', /lists "a\.json" but has no such file/],
    [404, 'RevisionNotFound', /no revision "main"/],
    [403, null, /accepted its licence/],
    [401, null, /no public model/],
    [400, null, /answered 400 for acme\/tiny/],
    [300, null, /answered 300/],
  ])('%i %s will not', (status, code, message) => {
    const failure = statusFailure(
      status,
      new Headers(code === null ? {} : { 'x-error-code': code }),
      purpose,
    );
    expect(failure).toBeInstanceOf(UsageError);
    expect(failure.message).toMatch(message);
  });
});
