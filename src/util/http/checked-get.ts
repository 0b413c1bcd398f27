import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { LookupFunction } from 'node:net';
import type { Answer } from './follow.ts';
import { Interrupted } from './network-failure.ts';
import type { Watchdog } from './watched-fetch.ts';

/**
 * One GET request whose addresses are checked before the connection is made, which `fetch` cannot. Follows no redirect,
 * unpacks nothing. Reading the body ends the watchdog.
 *
 * @throws Interrupted where another attempt may help; what `lookup` fails with; UsageError for a certificate that is not
 *   trusted; what the watchdog makes of its caller's stop.
 */
export async function checkedGet(
  url: URL,
  headers: Readonly<Record<string, string>>,
  { lookup, watchdog }: { readonly lookup: LookupFunction; readonly watchdog: Watchdog },
): Promise<Answer> {
  watchdog.start();
  try {
    const response = await send(url, headers, lookup, watchdog.signal);
    return {
      status: response.statusCode ?? 0,
      headers: toHeaders(response),
      body: bodyOf(response, url, watchdog),
      isUnpacked: false,
      discard: () => void response.destroy(),
    };
  } catch (error) {
    throw watchdog.failure(causeOf(error, watchdog), url);
  } finally {
    watchdog.pause();
  }
}

function send(
  url: URL,
  headers: Readonly<Record<string, string>>,
  lookup: LookupFunction,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const request = url.protocol === 'https:' ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const sending = request(url, {
      headers: { 'user-agent': 'persona-vectors', ...headers },
      // A connection of an earlier request may lead to an address that was not checked for this one.
      agent: false,
      lookup,
      signal,
    });
    sending.on('response', resolve);
    // Kept after the answer has come, when a connection that breaks would else end the process; the body tells of it.
    sending.on('error', reject);
    sending.end();
  });
}

async function* bodyOf(
  response: IncomingMessage,
  url: URL,
  watchdog: Watchdog,
): AsyncGenerator<Uint8Array, void> {
  const pieces = response[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  try {
    for (;;) {
      watchdog.start();
      const { done, value } = await pieces.next();
      // While the caller writes to a slow disk, the connection is not to blame.
      watchdog.pause();
      watchdog.signal.throwIfAborted();
      if (done === true) break;
      yield value;
    }
    if (!response.complete) throw new Interrupted(`the connection to ${url.host} was cut`);
  } catch (error) {
    throw watchdog.failure(causeOf(error, watchdog), url);
  } finally {
    watchdog.end();
    response.destroy();
  }
}

/** Why a request was given up, where the watchdog did it: Node's own error only says that it was. */
function causeOf(error: unknown, { signal }: Watchdog): unknown {
  return signal.aborted ? signal.reason : error;
}

/** As `fetch` gives them; what is no header of the standard is left out. */
function toHeaders({ headersDistinct }: IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, values] of Object.entries(headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value);
  }
  return headers;
}
