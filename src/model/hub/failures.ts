import { AbortError, UsageError } from '../../errors.ts';
import { errorCode } from '../read-bytes.ts';

/** A request that failed in a way that another attempt may cure; never seen outside this folder. */
export class Interrupted extends Error {
  /** Milliseconds that the server asks to wait; null where it does not say. */
  readonly retryAfterMs: number | null;
  /** Whether the server has no such part of the file as was asked for. */
  readonly outOfRange: boolean;
  /** False where no server was met at all: for a first request, that is rather a wrong name than an accident. */
  readonly reached: boolean;

  constructor(
    message: string,
    options: { retryAfterMs?: number | null; reached?: boolean; outOfRange?: boolean; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs ?? null;
    this.reached = options.reached ?? true;
    this.outOfRange = options.outOfRange ?? false;
  }
}

/** The code of the error with which a request is given up when nothing comes any more. */
export const STALLED = 'PERSONA_STALLED';

/** What a request was for, so that its refusal can be told in one sentence. */
export interface Purpose {
  readonly endpoint: string;
  /** `owner/name`. */
  readonly repo: string;
  readonly revision: string;
  /** Path in the repository; null for the listing. */
  readonly path: string | null;
  /** Whether a token went along. */
  readonly hasToken: boolean;
}

/** The error for a status other than a success: one to throw, or one to try again after. */
export function statusFailure(status: number, headers: Headers, purpose: Purpose): UsageError | Interrupted {
  if (status === 408 || status === 429 || status >= 500) {
    const reason = status === 429 ? 'too many requests' : 'trouble of its own';
    return new Interrupted(`the server answered ${status}, ${reason}`, {
      retryAfterMs: parseRetryAfter(headers.get('retry-after'), Date.now()),
    });
  }
  if (status === 416) {
    return new Interrupted('the server has no such part of the file', { outOfRange: true });
  }
  const { endpoint, repo, revision, path } = purpose;
  const details = { repo, revision, path, status };
  return new UsageError(refusal(status, headers.get('x-error-code'), purpose), {
    details: { ...details, endpoint },
  });
}

/** Milliseconds that a Retry-After header asks for: whole seconds or a date; null for anything else. */
export function parseRetryAfter(value: string | null, now: number): number | null {
  if (value === null) return null;
  if (/^\s*\d{1,9}\s*$/.test(value)) return 1000 * Number(value);
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

/** The error for a request that got no answer, or an answer that broke off. */
export function networkFailure(error: unknown, url: URL, waitedMs: number): Error {
  if (error instanceof Interrupted || error instanceof AbortError || error instanceof UsageError)
    return error;
  const code = codeOf(error);
  if (code !== null && isCertificateProblem(code)) {
    return new UsageError(
      `The certificate of ${url.host} is not trusted here (${code}); where a proxy of your own signs it, name its certificate in NODE_EXTRA_CA_CERTS.`,
      { details: { host: url.host, reason: code }, cause: error },
    );
  }
  const met = code === null ? undefined : reasons[code];
  if (met === undefined) return new Interrupted(`the connection to ${url.host} was cut`, { cause: error });
  const reason = met.reason.replace('{host}', url.host).replace('{wait}', `${waitedMs / 1000} s`);
  return new Interrupted(reason, { reached: met.reached, cause: error });
}

/** The error for work that its caller stopped. */
export function stopped(): AbortError {
  return new AbortError(
    'The download was stopped; what has come is kept, and the same command goes on from there.',
  );
}

/** A sentence for a status that no further attempt will change. */
function refusal(status: number, code: string | null, purpose: Purpose): string {
  const { endpoint, repo, revision, path, hasToken } = purpose;
  const page = `${endpoint}/${repo}`;
  if (code === 'GatedRepo' || status === 403) {
    return hasToken
      ? `The token may not read ${repo}: accept the model's licence on ${page}, or set HF_TOKEN to a token of an account that has.`
      : `${repo} is for accounts that have accepted its licence: do so on ${page}, then set HF_TOKEN to a token of that account.`;
  }
  if (code === 'RevisionNotFound')
    return `${repo} has no revision "${revision}" on ${endpoint}; see ${page} for those it has.`;
  if (status === 401 || code === 'RepoNotFound') {
    return hasToken
      ? `The token opens no model ${repo} on ${endpoint}: check the name, and that HF_TOKEN is valid and may read it.`
      : `There is no public model ${repo} on ${endpoint}: check the name; if it is private or gated, accept its licence on ${page} and set HF_TOKEN.`;
  }
  if (status === 404 && path !== null)
    return `${page} lists "${path}" but has no such file; try again later.`;
  if (status === 404)
    return `There is no model ${repo} with a revision "${revision}" on ${endpoint}; check the name.`;
  return `${endpoint} answered ${status} for ${repo}, which is no answer of a Hub; check the name and HF_ENDPOINT.`;
}

/** The system's code somewhere along the causes of an error. */
function codeOf(error: unknown): string | null {
  for (let at = error; at instanceof Error; at = at.cause) {
    const code = errorCode(at);
    if (code !== null) return code;
  }
  return null;
}

function isCertificateProblem(code: string): boolean {
  return /CERT|SIGNATURE|ERR_TLS/.test(code);
}

const reasons: Readonly<Record<string, { readonly reason: string; readonly reached: boolean }>> = {
  ENOTFOUND: { reason: 'the name {host} could not be resolved', reached: false },
  EAI_AGAIN: { reason: 'the name {host} could not be resolved', reached: false },
  ECONNREFUSED: { reason: '{host} refused the connection', reached: false },
  EHOSTUNREACH: { reason: '{host} is out of reach', reached: false },
  ENETUNREACH: { reason: '{host} is out of reach', reached: false },
  ENETDOWN: { reason: '{host} is out of reach', reached: false },
  UND_ERR_CONNECT_TIMEOUT: { reason: '{host} did not answer', reached: false },
  ETIMEDOUT: { reason: '{host} did not answer', reached: false },
  [STALLED]: { reason: 'nothing came from {host} for {wait}', reached: true },
};
