import { BlockList, isIP } from 'node:net';
import { UsageError } from '../errors.ts';
import { isLoopback } from '../util/http/hosts.ts';

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

/** Hosts that webhooks may be sent to, each a name or an address, with a port where it is not the scheme's own. */
export class AllowedHosts {
  private readonly hosts: ReadonlySet<string>;

  /** @throws UsageError for what is no host. */
  constructor(hosts: readonly string[]) {
    this.hosts = new Set(hosts.map((host) => normalHost(host)));
  }

  /**
   * Checks where a webhook is to be sent, before anything is.
   *
   * @throws UsageError saying what may be.
   */
  check(text: string): void {
    const url = new URL(text);
    if (!this.hosts.has(url.host))
      throw new UsageError(
        `Expected a webhook to one of ${[...this.hosts].join(', ') || 'no host'}, got ${url.host}; allow it with --allow-webhook ${url.host}.`,
      );
    if (url.username !== '' || url.password !== '')
      throw new UsageError(
        `Expected a webhook's address without a name and password, got one of ${url.host}.`,
      );
    const literal = url.hostname.replace(/^\[|\]$/g, '');
    if (url.protocol !== 'https:' && !isLoopback(url) && !isPrivateAddress(literal))
      throw new UsageError(
        `Expected https for a webhook to ${url.host}, got http, which others can read on its way.`,
      );
  }

  /** Whether a connection for an allowed URL may go to an address that its name was found to have. */
  mayConnect(url: URL, address: string): boolean {
    if (!isPrivateAddress(address) || url.hostname === 'localhost') return true;
    const there = new URL(url);
    there.hostname = isIP(address) === 6 ? `[${address}]` : address;
    return this.hosts.has(there.host);
  }
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
