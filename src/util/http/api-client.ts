import { AbortError, UsageError } from '../../errors.ts';
import type { ApiKey } from './host-key.ts';
import { Interrupted, parseRetryAfter } from './network-failure.ts';
import type { RequestGate } from './request-gate.ts';
import { type Patience, withRetries } from './retry.ts';
import { collectBody, Watchdog, watchedBody, watchedFetch } from './watched-fetch.ts';

export interface ApiOptions {
  /** How messages name the server. */
  readonly id: string;
  /** Address below which requests are made, without a slash at the end. */
  readonly base: string;
  /** Sent to `base` and nowhere else. */
  readonly headers: Readonly<Record<string, string>>;
  readonly key: ApiKey;
  readonly patience: Patience;
  readonly gate: RequestGate;
  /** Told of every pause that a person would notice. */
  readonly onNote?: ((line: string) => void) | undefined;
}

/** A refusal that another attempt will not change; `details` has the status and the server's code for it. */
export class ApiRefusal extends UsageError {}

/** Answers are some kilobytes; a whole set of artifacts some dozens. Who asks for more says so. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;
/** Of a server's own words, so much is shown. */
const MAX_SHOWN = 300;

interface Asked {
  readonly path: string;
  readonly method: 'GET' | 'POST';
  /** JSON. */
  readonly body: string | null;
  readonly limit: number;
}

/** Asks one server in JSON: in turn, again and again where that may help, and with its key to it alone. */
export class ApiClient {
  readonly #options: ApiOptions;
  /** Until the server has been met once, being out of reach rather means a wrong address. */
  #met = false;

  constructor(options: ApiOptions) {
    this.#options = options;
  }

  /** @param limit Bytes of the answer at most. @throws ApiRefusal, UsageError, AbortError. */
  async post(
    path: string,
    body: object,
    signal: AbortSignal | undefined,
    limit: number = MAX_BODY_BYTES,
  ): Promise<unknown> {
    return this.#ask({ path, method: 'POST', body: JSON.stringify(body), limit }, signal);
  }

  /** @throws as `post`. */
  async get(path: string, signal: AbortSignal | undefined): Promise<unknown> {
    return this.#ask({ path, method: 'GET', body: null, limit: MAX_BODY_BYTES }, signal);
  }

  #ask(request: Asked, signal: AbortSignal | undefined): Promise<unknown> {
    const { id, patience, gate, onNote } = this.#options;
    return withRetries(() => gate.run(() => this.#askOnce(request, signal), signal), {
      patience,
      task: `asking ${id}`,
      signal,
      stopped,
      onNote,
      mustReach: this.#met ? undefined : 'check its address and that it runs',
    });
  }

  async #askOnce(asked: Asked, signal: AbortSignal | undefined): Promise<unknown> {
    const { path, method, body, limit } = asked;
    const { base, headers, patience, gate } = this.#options;
    const url = new URL(`${base}/${path}`);
    const watchdog = new Watchdog(patience.stallMs, signal, stopped);
    try {
      const request = {
        method,
        headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
        ...(body === null ? {} : { body }),
      } as const;
      const response = await watchedFetch(url, request, watchdog);
      this.#met = true;
      const bytes = await collectBody(watchedBody(response, url, watchdog), limit);
      return this.#read(response, bytes, limit);
    } catch (error) {
      const asked = error instanceof Interrupted ? error.retryAfterMs : null;
      if (asked !== null) gate.hold(asked);
      throw error;
    } finally {
      watchdog.end();
    }
  }

  #read(response: Response, bytes: Uint8Array | null, limit: number): unknown {
    const { status } = response;
    if (bytes === null) throw this.#refusal(status, `sent more than ${limit} bytes`, null);
    const value = parseJson(bytes);
    if (!response.ok) throw this.#failure(response, value);
    if (value === undefined) throw new Interrupted('its answer is no JSON');
    return value;
  }

  #failure({ status, headers }: Response, value: unknown): Error {
    const { code, message } = providerError(value);
    const isSpent = code === 'insufficient_quota' || code === 'billing_error';
    const mayPass = [408, 409, 425, 429].includes(status) || status >= 500;
    if (mayPass && !isSpent) {
      const reason = status === 429 ? 'too many requests' : 'trouble of its own';
      return new Interrupted(`it answered ${status}, ${reason}`, { retryAfterMs: retryAfter(headers) });
    }
    if (status >= 300 && status < 400)
      return this.#refusal(status, 'redirects elsewhere, where no key may go', code);
    if (status === 401 || status === 403) return this.#refusal(status, this.#keyAdvice(), code);
    return this.#refusal(
      status,
      message === null ? 'refused the request' : `refused: ${this.#clean(message)}`,
      code,
    );
  }

  #keyAdvice(): string {
    const { variable, value } = this.#options.key;
    return value === null ? `wants a key; set ${variable}` : `does not take the key in ${variable}`;
  }

  #refusal(status: number, what: string, code: string | null): ApiRefusal {
    const { id, base } = this.#options;
    return new ApiRefusal(`${id} ${what} (status ${status}, ${new URL(base).host}).`, {
      details: { provider: id, status, code },
    });
  }

  /** A server's own words without what must not be shown, on one line and not too long. */
  #clean(message: string): string {
    const { value } = this.#options.key;
    const safe = value === null ? message : message.replaceAll(value, '…');
    const line = safe.replace(/[\p{Cc}\s]+/gu, ' ').trim();
    return line.length <= MAX_SHOWN ? line : `${line.slice(0, MAX_SHOWN)}…`;
  }
}

function stopped(): AbortError {
  return new AbortError('Stopped while a server was asked; the answers that came are kept.');
}

function retryAfter(headers: Headers): number | null {
  const exact = headers.get('retry-after-ms');
  if (exact !== null && /^\d{1,9}(?:\.\d+)?$/.test(exact)) return Number(exact);
  return parseRetryAfter(headers.get('retry-after'), Date.now());
}

/** The value, or undefined for what is no JSON. */
function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch {
    return undefined;
  }
}

/** `{ error: { type, code, message } }`, as OpenAI and Anthropic and those who follow them write it; codes may be numbers. */
function providerError(value: unknown): { code: string | null; message: string | null } {
  const error = field(value, 'error') ?? value;
  const text = (name: string): string | null => {
    const found = field(error, name);
    return typeof found === 'string' && found !== '' ? found : null;
  };
  if (typeof error === 'string') return { code: null, message: error };
  return { code: text('code') ?? text('type'), message: text('message') };
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
