import { UsageError } from '../../../errors.ts';

/** Where a Redis server is, as BullMQ takes it. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: Record<string, never>;
  readonly maxRetriesPerRequest: null;
}

/**
 * Reads `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS.
 *
 * @throws UsageError, without the password, for anything else.
 */
export function parseRedisAddress(text: string): RedisAddress {
  const url = URL.canParse(text) ? new URL(text) : null;
  const db = url === null || url.pathname.length <= 1 ? 0 : Number(url.pathname.slice(1));
  if (url === null || !/^rediss?:$/.test(url.protocol) || url.hostname === '' || !Number.isInteger(db))
    throw new UsageError(
      'Expected a queue such as redis://127.0.0.1:6379 or rediss://user:password@host:6379/0, got something else.',
    );
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 6379 : Number(url.port),
    db,
    ...(url.username !== '' && { username: decodeURIComponent(url.username) }),
    ...(url.password !== '' && { password: decodeURIComponent(url.password) }),
    ...(url.protocol === 'rediss:' && { tls: {} }),
    maxRetriesPerRequest: null,
  };
}

/** Asks the server for a sign of life; UsageError where there is none, so that nothing waits for it for ever. */
export async function checkRedis(address: RedisAddress): Promise<void> {
  const { Redis } = await import('ioredis');
  const once = { ...address, lazyConnect: true, connectTimeout: 5000, retryStrategy: () => null };
  const client = new Redis({ ...once, maxRetriesPerRequest: 0 });
  let problem = 'no answer';
  client.on('error', (error: Error) => (problem = error.message || problem));
  try {
    await client.connect();
    await client.ping();
  } catch (cause) {
    const said =
      cause instanceof Error && !/Connection is closed/.test(cause.message) ? cause.message : problem;
    throw new UsageError(
      `Expected a Redis server at ${address.host}:${address.port}, got: ${said}. Start one, or check the address and its password.`,
      { cause },
    );
  } finally {
    client.disconnect();
  }
}

/** The queue of one model's weights: only workers that have them take its parts. */
export function queueName(fingerprint: string): string {
  return `persona-screen-${fingerprint.slice(0, 16)}`;
}
