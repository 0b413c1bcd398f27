import type { Answer } from './follow.ts';
import { networkFailure, STALLED } from './network-failure.ts';

export interface WatchedRequest {
  /** Default GET. */
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/**
 * `fetch` under a watchdog. Redirects are not followed: whoever wants to decides what goes along.
 *
 * @throws Interrupted where another attempt may help; UsageError for a certificate that is not trusted; what the watchdog
 *   makes of its caller's stop.
 */
export async function watchedFetch(url: URL, request: WatchedRequest, watchdog: Watchdog): Promise<Response> {
  watchdog.start();
  try {
    return await fetch(url, {
      ...request,
      redirect: 'manual',
      signal: watchdog.signal,
      headers: { 'user-agent': 'persona-vectors', ...request.headers },
    });
  } catch (error) {
    throw watchdog.failure(error, url);
  } finally {
    watchdog.pause();
  }
}

/** One GET request as `watchedFetch` makes it. Reading the body ends the watchdog. */
export async function fetchAnswer(
  url: URL,
  headers: Readonly<Record<string, string>>,
  watchdog: Watchdog,
): Promise<Answer> {
  const response = await watchedFetch(url, { headers }, watchdog);
  return {
    status: response.status,
    headers: response.headers,
    body: watchedBody(response, url, watchdog),
    isUnpacked: !['identity', null].includes(response.headers.get('content-encoding')),
    discard: () => discardBody(response),
  };
}

/** The answer, the last of its request: the watchdog ends also where it is discarded. */
export function endingWatch(answer: Answer, watchdog: Watchdog): Answer {
  const discard = (): void => {
    watchdog.end();
    answer.discard();
  };
  return { ...answer, discard };
}

/** The body of an answer piece by piece. Throws as `watchedFetch`, where it breaks off. */
export async function* watchedBody(
  response: Response,
  url: URL,
  watchdog: Watchdog,
): AsyncGenerator<Uint8Array, void> {
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

/** A body as a whole; null where it has more than `limit` bytes, of which no more is then read. */
export async function collectBody(
  body: AsyncGenerator<Uint8Array, void>,
  limit: number,
): Promise<Uint8Array | null> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of body) {
    length += piece.byteLength;
    if (length > limit) return null;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** Frees the connection of an answer that nobody reads. */
function discardBody(response: Response): void {
  void response.body?.cancel().catch(() => undefined);
}

/** Aborts a request when its caller does, and when nothing has come for too long. */
export class Watchdog {
  readonly #controller = new AbortController();
  readonly #stallMs: number;
  readonly #caller: AbortSignal | undefined;
  readonly #stopped: () => Error;
  readonly #onAbort = (): void => this.#controller.abort();
  #timer: NodeJS.Timeout | undefined;

  /** @param stopped The error for a request that its caller stopped. */
  constructor(stallMs: number, caller: AbortSignal | undefined, stopped: () => Error) {
    this.#stallMs = stallMs;
    this.#stopped = stopped;
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
    return this.#caller?.aborted === true ? this.#stopped() : networkFailure(error, url, this.#stallMs);
  }
}
