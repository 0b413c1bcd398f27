import { PersonaError } from '../errors.ts';
import type { ErrorBody } from './api.ts';

/** A refusal as it is sent: an HTTP status and OpenAI's error object. */
export class HttpFailure extends Error {
  readonly status: number;
  readonly code: string | null;
  readonly param: string | null;
  /** Seconds, for `Retry-After`. */
  readonly retryAfter: number | null;

  constructor(
    status: number,
    message: string,
    more: { code?: string; param?: string; retryAfter?: number } = {},
  ) {
    super(message);
    this.status = status;
    this.code = more.code ?? null;
    this.param = more.param ?? null;
    this.retryAfter = more.retryAfter ?? null;
  }

  /** OpenAI's error object. */
  get body(): ErrorBody {
    const { message, status, code, param } = this;
    return { error: { message, type: typeOf(status), param, code } };
  }

  toResponse(): Response {
    const { status, retryAfter } = this;
    return Response.json(this.body, {
      status,
      headers: retryAfter === null ? {} : { 'retry-after': String(retryAfter) },
    });
  }
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 404) return 'not_found_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}

/** Codes of errors that say what is wrong with a request. */
const requestCodes: readonly string[] = ['usage', 'data', 'parse', 'model'];
/** Codes of errors that say what this machine cannot do now. */
const passingCodes: readonly string[] = ['engine', 'store', 'aborted'];

/** What a thrown error is to a client; a fault of this program says nothing of itself. */
export function toFailure(error: unknown): HttpFailure {
  if (error instanceof HttpFailure) return error;
  if (error instanceof PersonaError) {
    if (requestCodes.includes(error.code)) return new HttpFailure(400, error.message, { code: error.code });
    if (passingCodes.includes(error.code))
      return new HttpFailure(503, 'this cannot be done now; try again, and see the log', {
        code: error.code,
        retryAfter: 5,
      });
  }
  return new HttpFailure(500, 'internal error; the log says more');
}

/** What the log says of a thrown error that its client was told nothing of; null where the client knows. */
export function hiddenCause(error: unknown): string | null {
  if (error === undefined || error instanceof HttpFailure) return null;
  if (error instanceof PersonaError && requestCodes.includes(error.code)) return null;
  return error instanceof Error ? (error.stack ?? error.message) : 'something that is no error was thrown';
}
