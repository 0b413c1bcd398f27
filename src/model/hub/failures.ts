import { UsageError } from '../../errors.ts';
import { type Interrupted, passingFailure } from '../../util/http/network-failure.ts';

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
  const passing = passingFailure(status, headers);
  if (passing !== null) return passing;
  const { endpoint, repo, revision, path } = purpose;
  const details = { repo, revision, path, status };
  return new UsageError(refusal(status, headers.get('x-error-code'), purpose), {
    details: { ...details, endpoint },
  });
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
