import { UsageError } from '../../errors.ts';
import { networkFailure, STALLED, statusFailure, stopped } from './failures.ts';
import type { Purpose } from './failures.ts';
import { isLoopback } from './settings.ts';

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
  const watchdog = new Watchdog(connection.stallMs, request.signal);
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
    const response = await send(url, { ...request.headers, ...authorization }, watchdog);
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

async function send(
  url: URL,
  headers: Readonly<Record<string, string>>,
  watchdog: Watchdog,
): Promise<Response> {
  watchdog.start();
  try {
    return await fetch(url, {
      redirect: 'manual',
      signal: watchdog.signal,
      // A compressed body has neither the length nor the ranges of the file.
      headers: { 'user-agent': 'persona-vectors', 'accept-encoding': 'identity', ...headers },
    });
  } catch (error) {
    throw watchdog.failure(error, url);
  } finally {
    watchdog.pause();
  }
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
    body: readBody(response, url, watchdog),
    discard: () => {
      watchdog.end();
      discardBody(response);
    },
  };
}

async function* readBody(response: Response, url: URL, watchdog: Watchdog): AsyncGenerator<Uint8Array, void> {
  const reader = (response.body as ReadableStream<Uint8Array> | null)?.getReader();
  if (reader === undefined) {
    watchdog.end();
    return;
  }
  // An abort that meets the last bytes of a body can leave a pending read of `fetch` unsettled for ever (seen on Node
  // 20), and a cancel too; cancelling the reader settles the read, and nothing waits for the cancel.
  const cancel = (): void => void reader.cancel().catch(() => undefined);
  watchdog.signal.addEventListener('abort', cancel, { once: true });
  try {
    for (;;) {
      watchdog.start();
      const { done, value } = await reader.read();
      // While the caller writes to a slow disk, the connection is not to blame.
      watchdog.pause();
      watchdog.signal.throwIfAborted();
      if (done) return;
      yield value;
    }
  } catch (error) {
    throw watchdog.failure(error, url);
  } finally {
    watchdog.end();
    cancel();
  }
}

/** Frees the connection of an answer that nobody reads. */
function discardBody(response: Response): void {
  void response.body?.cancel().catch(() => undefined);
}

/** Aborts a request when its caller does, and when nothing has come for too long. */
class Watchdog {
  readonly #controller = new AbortController();
  readonly #stallMs: number;
  readonly #caller: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#controller.abort();
  #timer: NodeJS.Timeout | undefined;

  constructor(stallMs: number, caller: AbortSignal | undefined) {
    this.#stallMs = stallMs;
    this.#caller = caller;
    if (caller?.aborted === true) this.#controller.abort();
    caller?.addEventListener('abort', this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  start(): void {
    this.pause();
    const stalled = Object.assign(new Error('stalled'), { code: STALLED });
    this.#timer = setTimeout(() => this.#controller.abort(stalled), this.#stallMs);
  }

  pause(): void {
    clearTimeout(this.#timer);
  }

  end(): void {
    this.pause();
    this.#caller?.removeEventListener('abort', this.#onAbort);
  }

  failure(error: unknown, url: URL): Error {
    return this.#caller?.aborted === true ? stopped() : networkFailure(error, url, this.#stallMs);
  }
}
