import { UsageError } from '../../errors.ts';
import { isLoopback } from '../../util/http/hosts.ts';
import { type Answer, follow, redirectTarget } from '../../util/http/follow.ts';
import { endingWatch, fetchAnswer, Watchdog } from '../../util/http/watched-fetch.ts';
import { downloadStopped } from '../../util/http/network-failure.ts';
import { statusFailure } from './failures.ts';
import type { Purpose } from './failures.ts';

/** What every request of a download shares. */
export interface Connection {
  readonly endpoint: string;
  /** Sent to the endpoint's own host and never on to another; null sends none. */
  readonly token: string | null;
  /** Milliseconds without a byte after which the connection counts as dead. */
  readonly stallMs: number;
}

export interface HubRequest {
  /** Path below the endpoint, encoded, with its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly purpose: Omit<Purpose, 'endpoint' | 'hasToken'>;
  readonly signal: AbortSignal | undefined;
}

/**
 * Asks the Hub. An answer has a status of success.
 *
 * @throws Interrupted where another attempt may help; UsageError where the Hub refuses or a redirect may not be followed;
 *   AbortError.
 */
export async function askHub(connection: Connection, request: HubRequest): Promise<Answer> {
  const { endpoint, token, stallMs } = connection;
  const watchdog = new Watchdog(stallMs, request.signal, downloadStopped);
  try {
    const answer = await follow(new URL(`${endpoint}/${request.path}`), {
      // A compressed body has neither the length nor the ranges of the file.
      headers: { 'accept-encoding': 'identity', ...request.headers },
      authorization: token === null ? null : `Bearer ${token}`,
      send: (url, headers) => fetchAnswer(url, headers, watchdog),
      next: (from, location) => nextUrl(from, location, endpoint),
      tooLong: (redirects) => endlessWay(endpoint, redirects),
    });
    if (answer.status >= 200 && answer.status < 300) return endingWatch(answer, watchdog);
    answer.discard();
    const purpose = { ...request.purpose, endpoint, hasToken: token !== null };
    throw statusFailure(answer.status, answer.headers, purpose);
  } catch (error) {
    watchdog.end();
    throw error;
  }
}

/** Where a redirect leads, if it may. Queries are never shown: they hold signatures. */
function nextUrl(from: URL, location: string, endpoint: string): URL {
  const to = redirectTarget(from, location);
  if (to === null)
    throw new UsageError(`${from.host} redirects to what is no http(s) address; check HF_ENDPOINT.`, {
      details: { host: from.host },
    });
  if (from.protocol === 'https:' && to.protocol === 'http:' && !isLocalTest(endpoint)) {
    throw new UsageError(
      `${from.host} redirects to ${to.host} without encryption, which is not followed; check HF_ENDPOINT.`,
      { details: { host: from.host, to: to.host } },
    );
  }
  return to;
}

/** An endpoint that is this machine itself, in clear text: nothing can be lost on the way. */
function isLocalTest(endpoint: string): boolean {
  const url = new URL(endpoint);
  return url.protocol === 'http:' && isLoopback(url);
}

function endlessWay(endpoint: string, redirects: number): UsageError {
  return new UsageError(
    `Expected a file after at most ${redirects} redirects from ${endpoint}, got another redirect; check HF_ENDPOINT.`,
    { details: { endpoint } },
  );
}
