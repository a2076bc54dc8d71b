import { describe, expect, it, test } from 'vitest';
import { formatAddress } from '../../src/host/address.js';
import { hostFromOptions } from '../../src/host/hostoptions.js';
import { masqueradeAddress, redirectAddress } from '../../src/host/sourceaddress.js';
import { type Host, NO_INTERFACE } from '../../src/host/types.js';
import { address } from './support.js';

const HOST = hostFromOptions({
  iface: [
    'ppp0=',
    'lan0=192.168.1.1/24,192.168.1.2/24,192.168.2.1/24',
    'wan0=198.51.100.7/24',
    'six0=2001:db8:1::1/64,2001:db8:2::1/64,fd00::1/64,fe80::1/64',
  ],
});

const index = (host: Host, name: string): number => host.interfaceByName(name)?.index ?? NO_INTERFACE;

describe('the address MASQUERADE takes', () => {
  test.each<[iface: string, towards: string, expected: string | undefined, why: string]>([
    ['lan0', '192.168.1.50', '192.168.1.1', 'the first whose subnet has the next hop'],
    ['lan0', '192.168.2.50', '192.168.2.1', 'the second subnet'],
    ['lan0', '10.0.0.1', '192.168.1.1', 'the first if none has it; never a secondary'],
    ['wan0', '10.0.0.1', '198.51.100.7', 'the only one'],
    ['ppp0', '10.0.0.1', '192.168.1.1', "another interface's, as ppp0 has none"],
    ['six0', '2001:db8:2::77', '2001:db8:2::1', 'the longest common prefix (RFC 6724 rule 8)'],
    ['six0', '2001:db8:1::77', '2001:db8:1::1', 'the longest common prefix'],
    ['six0', 'fd12::1', 'fd00::1', 'the same label (rule 6)'],
    ['six0', 'fe80::99', 'fe80::1', 'the smallest scope that reaches (rule 2)'],
    ['six0', 'ff02::fb', 'fe80::1', 'link-local for link-local multicast'],
    ['wan0', '2001:db8:2::77', '2001:db8:2::1', "another interface's, as wan0 has none"],
    ['wan0', 'fe80::99', undefined, 'none: link-local stays on its link'],
  ])('by %s towards %s is %s: %s', (iface, towards, expected) => {
    const { family, words } = address(towards);
    const found = masqueradeAddress(HOST, family, index(HOST, iface), words);
    expect(found && formatAddress(family, found)).toBe(expected);
  });

  it('is none when the host has no global address', () => {
    const bare = hostFromOptions({ iface: ['eth0='] });
    expect(masqueradeAddress(bare, 4, index(bare, 'eth0'), address('10.0.0.1').words)).toBeUndefined();
  });
});

describe('the address REDIRECT takes', () => {
  test.each<[iface: string, towards: string, expected: string | undefined, why: string]>([
    ['lan0', '10.0.0.1', '192.168.1.1', 'the first of the interface the packet came in by'],
    ['ppp0', '10.0.0.1', undefined, 'none: the packet is dropped'],
    ['@local', '10.0.0.1', '127.0.0.1', 'the loopback in OUTPUT'],
    ['six0', '2001:db8::9', '2001:db8:1::1', 'the first'],
    ['six0', 'fe80::9', 'fe80::1', 'one of the destination’s scope'],
    ['@local', '2001:db8::9', '::1', 'the loopback in OUTPUT'],
  ])('from %s to %s is %s: %s', (iface, destination, expected) => {
    const { family, words } = address(destination);
    const found = redirectAddress(HOST, family, index(HOST, iface), words);
    expect(found && formatAddress(family, found)).toBe(expected);
  });
});
