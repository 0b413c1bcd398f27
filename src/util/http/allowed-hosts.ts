import { lookup } from 'node:dns';
import { BlockList, isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import { UsageError } from '../../errors.ts';

/** Addresses that are no public ones: this machine, its network, and what stands for them. */
const privateAddresses = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const)
  privateAddresses.addSubnet(network, bits, 'ipv4');
for (const [network, bits] of [
  ['::', 127],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 9],
  ['ff00::', 8],
] as const)
  privateAddresses.addSubnet(network, bits, 'ipv6');

/** Hosts that a user allows, each a name or an address, with a port where it is not the scheme's own. */
export class AllowedHosts {
  private readonly hosts: ReadonlySet<string>;

  /** @throws UsageError for what is no host. */
  constructor(hosts: readonly string[]) {
    this.hosts = new Set(hosts.map((host) => normalHost(host)));
  }

  /** As URLs write them. */
  get names(): readonly string[] {
    return [...this.hosts];
  }

  /** Whether a URL's host is one of them, by its name. */
  has({ host }: URL): boolean {
    return this.hosts.has(host);
  }

  /**
   * Whether a connection for a URL may go to an address that its name was found to have: to a public one, and to one of this
   * machine or its network where that address is allowed itself.
   */
  mayConnect(url: URL, address: string): boolean {
    if (!isPrivateAddress(address)) return true;
    if (url.hostname === 'localhost' && this.has(url)) return true;
    return this.hosts.has(hostAtAddress(url, address));
  }
}

/** The host of a URL with an address instead of its name, as a user would allow it. */
export function hostAtAddress(url: URL, address: string): string {
  const there = new URL(url);
  there.hostname = isIP(address) === 6 ? `[${address}]` : address;
  return there.host;
}

/**
 * Finds a name's addresses and has the connection go to what was found and checked, so that the name cannot mean another one a
 * moment later. Node does not call it for a URL whose host is an address already.
 *
 * @param refusal The error for an address that `mayConnect` refuses.
 */
export function checkedLookup(
  mayConnect: (address: string) => boolean,
  refusal: (address: string) => Error,
): LookupFunction {
  return (hostname, options, callback) =>
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, '', 0);
      const refused = found.find(({ address }) => !mayConnect(address));
      if (refused !== undefined) return callback(refusal(refused.address), '', 0);
      if (options.all === true) return callback(null, found);
      callback(null, found[0]!.address, found[0]!.family);
    });
}

function normalHost(text: string): string {
  const url = URL.canParse(`https://${text}/`) ? new URL(`https://${text}/`) : null;
  if (url === null || url.host === '' || url.pathname !== '/' || url.username !== '' || url.search !== '')
    throw new UsageError(
      `Expected a host such as hooks.example.com or 10.0.0.5:8080, got ${JSON.stringify(text)}.`,
    );
  return url.host;
}

/** Whether an address is of this machine or its network; IPv4 addresses written as IPv6 are read as what they are. */
export function isPrivateAddress(address: string): boolean {
  const version = isIP(address);
  if (version === 0) return false;
  if (version === 4) return privateAddresses.check(address, 'ipv4');
  const mapped = /^::ffff:(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/i.exec(address);
  if (mapped === null) return privateAddresses.check(address, 'ipv6');
  if (mapped[1] !== undefined) return privateAddresses.check(mapped[1], 'ipv4');
  const [high, low] = [parseInt(mapped[2]!, 16), parseInt(mapped[3]!, 16)];
  return privateAddresses.check([high >> 8, high & 255, low >> 8, low & 255].join('.'), 'ipv4');
}
