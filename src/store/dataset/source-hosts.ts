import { isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import { UsageError } from '../../errors.ts';
import { type AllowedHosts, checkedLookup, hostAtAddress } from '../../util/http/allowed-hosts.ts';
import { redirectTarget } from '../../util/http/follow.ts';

/**
 * Where a file of a data set may come from. Who names a URL allows its host, on the public network. Other hosts that it leads
 * on to, and this machine and its network, are allowed by name.
 */
export class SourceHosts {
  readonly #home: URL;
  readonly #allowed: AllowedHosts;

  /** @throws UsageError where the URL itself may not be asked for. */
  constructor(home: URL, allowed: AllowedHosts) {
    this.#home = home;
    this.#allowed = allowed;
    // Nothing looks up a host that is an address. Those of redirects are this one, or allowed by name.
    const address = bareAddress(home);
    if (isIP(address) !== 0 && !allowed.mayConnect(home, address)) throw notPublic(home, address);
  }

  /**
   * Where a redirect leads. Queries are never shown: they hold signatures.
   *
   * @throws UsageError where it may not.
   */
  next(from: URL, location: string): URL {
    const to = redirectTarget(from, location);
    if (to === null)
      throw new UsageError(
        `${from.host} redirects to what is no http(s) address, which is not followed; check the URL.`,
        { details: { host: from.host } },
      );
    const details = { host: from.host, to: to.host };
    if (from.protocol === 'https:' && to.protocol === 'http:')
      throw new UsageError(
        `${from.host} redirects to ${to.host} without encryption, which is not followed; look for an address with https.`,
        { details },
      );
    if (to.host !== this.#home.host && !this.#allowed.has(to))
      throw new UsageError(
        `${from.host} redirects to ${to.host}, which is not allowed; if you trust it, give --allow-host ${to.host}.`,
        { details },
      );
    return to;
  }

  /** Finds the addresses of a URL's host, and fails with a UsageError where one may not be connected to. */
  lookup(url: URL): LookupFunction {
    return checkedLookup(
      (address) => this.#allowed.mayConnect(url, address),
      (address) => notPublic(url, address),
    );
  }
}

function notPublic(url: URL, address: string): UsageError {
  const isAddress = bareAddress(url) === address;
  const what = isAddress ? url.host : `${url.host} is ${address}, which`;
  const allow = url.hostname === 'localhost' ? url.host : hostAtAddress(url, address);
  return new UsageError(
    `${what} is an address of this machine or its network; if data are to come from there, give --allow-host ${allow}.`,
    { details: { host: url.host, address } },
  );
}

/** The host of a URL without the brackets that an IPv6 address has there. */
function bareAddress({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}
