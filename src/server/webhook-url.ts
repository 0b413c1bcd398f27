import { UsageError } from '../errors.ts';
import { type AllowedHosts, isPrivateAddress } from '../util/http/allowed-hosts.ts';
import { isLoopback } from '../util/http/hosts.ts';

/**
 * Checks where a webhook is to be sent, before anything is.
 *
 * @throws UsageError saying what may be.
 */
export function checkWebhook(hosts: AllowedHosts, text: string): void {
  const url = new URL(text);
  if (!hosts.has(url))
    throw new UsageError(
      `Expected a webhook to one of ${hosts.names.join(', ') || 'no host'}, got ${url.host}; allow it with --allow-webhook ${url.host}.`,
    );
  if (url.username !== '' || url.password !== '')
    throw new UsageError(`Expected a webhook's address without a name and password, got one of ${url.host}.`);
  const literal = url.hostname.replace(/^\[|\]$/g, '');
  if (url.protocol !== 'https:' && !isLoopback(url) && !isPrivateAddress(literal))
    throw new UsageError(
      `Expected https for a webhook to ${url.host}, got http, which others can read on its way.`,
    );
}
