import { describe, expect, it } from 'vitest';
import { Interrupted, networkFailure, parseRetryAfter } from './network-failure.ts';
import { UsageError } from '../../errors.ts';

describe('parseRetryAfter', () => {
  const now = Date.UTC(2026, 0, 1);
  it.each<[string | null, number | null]>([
    [null, null],
    ['3', 3000],
    [' 0 ', 0],
    ['Thu, 01 Jan 2026 00:00:05 GMT', 5000],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
    ['soon', null],
    ['', null],
    ['9'.repeat(30), null],
  ])('%j is %s milliseconds', (value, expected) => {
    expect(parseRetryAfter(value, now)).toBe(expected);
  });
});

describe('networkFailure', () => {
  const url = new URL('https://hub.test/x?signature=secret');
  const withCode = (code: string): Error =>
    new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) });

  it.each<[string, boolean, string]>([
    ['ENOTFOUND', false, 'the name hub.test could not be resolved'],
    ['ECONNREFUSED', false, 'hub.test refused the connection'],
    ['UND_ERR_CONNECT_TIMEOUT', false, 'hub.test did not answer'],
    ['PERSONA_STALLED', true, 'nothing came from hub.test for 30 s'],
    ['UND_ERR_SOCKET', true, 'the connection to hub.test was cut'],
    ['ECONNRESET', true, 'the connection to hub.test was cut'],
  ])('%s may pass', (code, reached, message) => {
    const failure = networkFailure(withCode(code), url, 30_000);
    expect(failure).toBeInstanceOf(Interrupted);
    expect(failure).toMatchObject({ reached, message });
  });

  it.each(['SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'CERT_HAS_EXPIRED'])(
    '%s will not',
    (code) => {
      const failure = networkFailure(withCode(code), url, 30_000);
      expect(failure).toBeInstanceOf(UsageError);
      expect(failure.message).toMatch(/certificate of hub\.test is not trusted .* NODE_EXTRA_CA_CERTS/);
    },
  );

  it('leaves what is in words already', () => {
    const known = new UsageError('known');
    expect(networkFailure(known, url, 1)).toBe(known);
  });
});
