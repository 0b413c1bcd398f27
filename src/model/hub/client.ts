import { UsageError } from '../../errors.ts';
import { isLoopback } from '../../util/http/hosts.ts';
import { discardBody, Watchdog, watchedBody, watchedFetch } from '../../util/http/watched-fetch.ts';
import { statusFailure, stopped } from './failures.ts';
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

/** An answer with a status of success, its body not read yet. Read the body or call `discard`. */
export interface HubAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** The body piece by piece. Throws `Interrupted` where it breaks off. */
  readonly body: AsyncGenerator<Uint8Array, void>;
  discard(): void;
}

/** Hops from the endpoint to the server that has the bytes; the Hub needs two. */
const MAX_REDIRECTS = 8;

/**
 * Asks the Hub. Redirects are followed by hand, because `fetch` alone would take headers of ours along.
 *
 * @throws Interrupted where another attempt may help; UsageError where the Hub refuses or a redirect may not be followed;
 *   AbortError.
 */
export async function askHub(connection: Connection, request: HubRequest): Promise<HubAnswer> {
  const watchdog = new Watchdog(connection.stallMs, request.signal, stopped);
  try {
    return await follow(connection, request, watchdog);
  } catch (error) {
    watchdog.end();
    throw error;
  }
}

async function follow(connection: Connection, request: HubRequest, watchdog: Watchdog): Promise<HubAnswer> {
  const { endpoint, token } = connection;
  const home = new URL(endpoint).origin;
  let url = new URL(`${endpoint}/${request.path}`);
  let authorization = token === null ? {} : { authorization: `Bearer ${token}` };
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    // Once away from the endpoint's host the token stays away, even where the way leads back.
    if (url.origin !== home) authorization = {};
    // A compressed body has neither the length nor the ranges of the file.
    const headers = { 'accept-encoding': 'identity', ...request.headers, ...authorization };
    const response = await watchedFetch(url, { headers }, watchdog);
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || location === null) {
      if (response.ok) return answer(response, url, watchdog);
      discardBody(response);
      throw statusFailure(response.status, response.headers, {
        ...request.purpose,
        endpoint,
        hasToken: token !== null,
      });
    }
    discardBody(response);
    url = nextUrl(url, location, endpoint);
  }
  throw new UsageError(
    `Expected a file after at most ${MAX_REDIRECTS} redirects from ${endpoint}, got another redirect; check HF_ENDPOINT.`,
    { details: { endpoint } },
  );
}

/** Where a redirect leads, if it may. Queries are never shown: they hold signatures. */
function nextUrl(from: URL, location: string, endpoint: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : null;
  const isWeb = to !== null && (to.protocol === 'https:' || to.protocol === 'http:');
  if (!isWeb || to.username !== '' || to.password !== '') {
    throw new UsageError(`${from.host} redirects to what is no http(s) address; check HF_ENDPOINT.`, {
      details: { host: from.host },
    });
  }
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

function answer(response: Response, url: URL, watchdog: Watchdog): HubAnswer {
  return {
    status: response.status,
    headers: response.headers,
    body: watchedBody(response, url, watchdog),
    discard: () => {
      watchdog.end();
      discardBody(response);
    },
  };
}
