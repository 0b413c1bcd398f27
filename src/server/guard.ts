import { timingSafeEqual } from 'node:crypto';
import { HttpFailure } from './failure.ts';
import { hashOf } from './keys.ts';
import type { ServerSettings } from './settings.ts';

const loopbackNames = ['localhost', '127.0.0.1', '[::1]'];

/**
 * Refuses what no client of ours sends. A page in a browser on this machine can reach the loopback: it names a foreign host
 * (after rebinding one), or sends an Origin, and cannot send JSON across sites without being asked first, which is refused.
 *
 * @returns who asks: the name of a key, or null where nobody needs one.
 * @throws HttpFailure saying what was expected.
 */
export function admit(
  request: Request,
  settings: Pick<ServerSettings, 'hosts' | 'keys' | 'token'>,
): string | null {
  checkPlace(request, settings.hosts);
  checkType(request);
  const name = checkKey(request, settings);
  if (changesState(request)) checkToken(request, settings.token);
  return name;
}

/** Refuses requests that name another host or come from a page of another site. */
export function checkPlace(request: Request, hosts: readonly string[]): void {
  checkHost(request, hosts);
  checkOrigin(request, hosts);
}

/** Posts that change nothing. Whatever else is no reading needs the token, however its path is spelled. */
const harmless: readonly string[] = ['/v1/chat/completions', '/v1/completions', '/v1/activations'];

function changesState({ method, url }: Request): boolean {
  if (method === 'GET' || method === 'HEAD') return false;
  return !(method === 'POST' && harmless.includes(new URL(url).pathname));
}

function checkHost({ headers, url }: Request, hosts: readonly string[]): void {
  const host = headers.get('host') ?? new URL(url).host;
  if (isOurs(host, hosts)) return;
  throw new HttpFailure(
    403,
    `expected a request for ${[...loopbackNames, ...hosts].join(', ')}, got host ${JSON.stringify(host.slice(0, 100))}; name it with --allow-host`,
    { code: 'foreign_host' },
  );
}

function isOurs(host: string, hosts: readonly string[]): boolean {
  const name = host.toLowerCase().replace(/:\d+$/, '');
  return loopbackNames.includes(name) || hosts.includes(name);
}

function checkOrigin({ headers }: Request, hosts: readonly string[]): void {
  const origin = headers.get('origin');
  const site = headers.get('sec-fetch-site');
  const host = headers.get('host');
  const same =
    origin === null || (URL.canParse(origin) && new URL(origin).host === host && isOurs(host, hosts));
  const crosses = site !== null && site !== 'same-origin' && site !== 'none';
  if (same && !crosses) return;
  throw new HttpFailure(403, 'expected no request from a page of another site; this server answers none', {
    code: 'cross_site',
  });
}

/** Vectors are put as bytes; everything else that has a body is JSON. Neither comes packed, which could grow without bound. */
function checkType({ method, headers, url }: Request): void {
  if (method !== 'POST' && method !== 'PUT' && method !== 'PATCH') return;
  const bytes = method === 'PUT' && !new URL(url).pathname.startsWith('/persona/policies/');
  const wanted = bytes ? 'application/octet-stream' : 'application/json';
  const encoding = headers.get('content-encoding') ?? 'identity';
  if (encoding.toLowerCase() !== 'identity')
    throw new HttpFailure(
      415,
      `expected no content-encoding, got ${JSON.stringify(encoding.slice(0, 100))}`,
      {
        code: 'content_encoding',
      },
    );
  const type = (headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase();
  if (type === wanted) return;
  throw new HttpFailure(
    415,
    `expected content-type ${wanted}, got ${type === '' ? 'none' : JSON.stringify(type.slice(0, 100))}`,
    { code: 'content_type' },
  );
}

function checkKey({ headers }: Request, { keys }: Pick<ServerSettings, 'keys'>): string | null {
  if (keys === null) return null;
  const key = /^Bearer (.+)$/i.exec(headers.get('authorization') ?? '')?.[1] ?? '';
  const name = keys.nameOf(key);
  if (name !== null) return name;
  throw new HttpFailure(401, 'expected a known API key as "Authorization: Bearer KEY"', {
    code: 'invalid_api_key',
  });
}

/** @throws HttpFailure 401 for a request without the token. */
export function checkToken({ headers }: Request, token: string): void {
  const given = headers.get('x-persona-token') ?? '';
  if (token !== '' && timingSafeEqual(hashOf(given), hashOf(token))) return;
  throw new HttpFailure(401, 'expected the token that `persona serve` printed, as "x-persona-token"', {
    code: 'invalid_token',
  });
}
