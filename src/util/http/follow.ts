/** An answer whose body is not read yet. Read the body or call `discard`. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The body piece by piece. Throws `Interrupted` where it breaks off. */
  readonly body: AsyncGenerator<Uint8Array, void>;
  /** Whether the body comes unpacked, so that lengths and ranges in the headers are not those of its bytes. */
  readonly isUnpacked: boolean;
  discard(): void;
}

export interface FollowRules {
  readonly headers: Readonly<Record<string, string>>;
  /** Sent to the first URL's own origin and never on to another; null sends none. */
  readonly authorization: string | null;
  /** Makes one request and follows nothing. */
  readonly send: (url: URL, headers: Readonly<Record<string, string>>) => Promise<Answer>;
  /** Where a redirect leads; throws where it may not. */
  readonly next: (from: URL, location: string) => URL;
  /** The error for a way without an end. */
  readonly tooLong: (redirects: number) => Error;
}

/** Hops to the server that has the bytes; the Hub needs two. */
const MAX_REDIRECTS = 8;

/**
 * Asks for a URL and follows redirects by hand, because `fetch` alone would take headers of ours along, and would go where
 * nobody has allowed.
 *
 * @returns the first answer that is no redirect, whatever its status.
 */
export async function follow(start: URL, rules: FollowRules): Promise<Answer> {
  let url = start;
  let authorization = rules.authorization === null ? {} : { authorization: rules.authorization };
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    // Once away from the first host what is secret stays away, even where the way leads back.
    if (url.origin !== start.origin) authorization = {};
    const answer = await rules.send(url, { ...rules.headers, ...authorization });
    const location = isRedirect(answer.status) ? answer.headers.get('location') : null;
    if (location === null) return answer;
    answer.discard();
    url = rules.next(url, location);
  }
  throw rules.tooLong(MAX_REDIRECTS);
}

/** A URL that a redirect leads to; null for what is no http(s) address, or brings a name and password along. */
export function redirectTarget(from: URL, location: string): URL | null {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : null;
  const isWeb = to !== null && (to.protocol === 'https:' || to.protocol === 'http:');
  return isWeb && to.username === '' && to.password === '' ? to : null;
}

/** 304 says that nothing has changed since. */
function isRedirect(status: number): boolean {
  return status >= 300 && status < 400 && status !== 304;
}
