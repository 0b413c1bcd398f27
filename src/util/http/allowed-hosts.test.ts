import { describe, expect, it } from 'vitest';
import { AllowedHosts, hostAtAddress, isPrivateAddress } from './allowed-hosts.ts';

const hosts = new AllowedHosts([
  'hooks.example.com',
  'other.example.com:8443',
  '10.0.0.5:8080',
  'localhost:9000',
  '[::1]:9000',
]);

const hooks = new URL('https://hooks.example.com/');

describe('allowed hosts', () => {
  it.each(['http://x', 'x/y', 'a@b', '', 'x?y'])('to the host %j cannot be allowed', (host) => {
    expect(() => new AllowedHosts([host])).toThrow('Expected a host');
  });

  it('are told for an address with the port of the URL', () => {
    expect(hostAtAddress(new URL('http://intranet:8080/x'), '10.0.0.5')).toBe('10.0.0.5:8080');
    expect(hostAtAddress(new URL('https://intranet/x'), '::1')).toBe('[::1]');
  });
});

describe('an address', () => {
  it.each([
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.8.8.8',
    '169.254.169.254',
    '172.31.255.255',
    '192.168.1.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:a00:1',
    '64:ff9b::a00:1',
    'fd00::1',
    'fe80::1',
    'ff02::1',
  ])('%s is of this machine or its network', (address) => {
    expect(isPrivateAddress(address)).toBe(true);
    expect(hosts.mayConnect(hooks, address)).toBe(false);
  });

  it.each(['1.1.1.1', '172.32.0.1', '2606:4700::1', '::ffff:8.8.8.8'])('%s is a public one', (address) => {
    expect(isPrivateAddress(address)).toBe(false);
    expect(hosts.mayConnect(hooks, address)).toBe(true);
  });

  it('of this network is connected to where it is allowed itself', () => {
    const mayConnect = (url: string, address: string): boolean => hosts.mayConnect(new URL(url), address);
    expect(mayConnect('http://intranet:8080/', '10.0.0.5')).toBe(true);
    expect(mayConnect('http://localhost:9000/', '127.0.0.1')).toBe(true);
    expect(mayConnect('http://intranet:9000/', '::1')).toBe(true);
    expect(mayConnect('http://intranet:9000/', '10.0.0.5')).toBe(false);
    expect(mayConnect('http://intranet:8080/', '10.0.0.6')).toBe(false);
  });
});
