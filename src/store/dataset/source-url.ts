import { UsageError } from '../../errors.ts';
import { isPrivate } from '../../util/http/hosts.ts';

/** A file of a data set on a web server. */
export interface SourceUrl {
  /** Without name, password and fragment. */
  readonly url: URL;
  /** The header that opens the file, of the name and password in the URL; null without them. */
  readonly authorization: string | null;
  /** For people and files: without what may be secret, which is the name, the password and the query. */
  readonly name: string;
}

/** Whether a text is a URL of any kind rather than a path. */
export function isUrl(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
}

/**
 * Reads the URL of a file.
 *
 * @throws UsageError, which does not show the text: it may hold a password.
 */
export function parseSourceUrl(text: string): SourceUrl {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null) throw new UsageError('Expected the URL of a file, got a text that is none; check it.');
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw new UsageError(
      `Expected an http or https URL, got one of ${url.protocol}//; download the file and name it by its path.`,
    );
  const authorization = authorizationOf(url);
  if (authorization !== null && !isPrivate(url))
    throw new UsageError(
      `Expected https for ${url.host}, got http with a name and password, which others could read on their way.`,
    );
  const bare = new URL(url);
  [bare.username, bare.password, bare.hash] = ['', '', ''];
  return { url: bare, authorization, name: nameOf(bare) };
}

/** A URL as it may be shown. */
function nameOf({ origin, pathname, search }: URL): string {
  return `${origin}${pathname}${search === '' ? '' : '?…'}`;
}

function authorizationOf({ username, password }: URL): string | null {
  if (username === '' && password === '') return null;
  const pair = `${decoded(username)}:${decoded(password)}`;
  return `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
