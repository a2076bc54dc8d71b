import { describe, expect, it } from 'vitest';
import type { HostInterface, InterfaceAddress } from '../../src/host/types.js';
import type { NatRange, PacketContext } from '../../src/rules/index.js';
import { connection, fakeHost, packet, targetOf, words } from './packet.js';

function address(text: string, prefixLength: number, parts: Partial<InterfaceAddress> = {}): InterfaceAddress {
  const family = text.includes(':') ? 6 : 4;
  return {
    family,
    words: words(text),
    prefixLength,
    broadcast: undefined,
    scope: 'global',
    secondary: false,
    peer: undefined,
    ...parts,
  };
}

function iface(index: number, name: string, addresses: readonly InterfaceAddress[]): HostInterface {
  return {
    index,
    name,
    ifindex: undefined,
    mac: undefined,
    mtu: 1500,
    loopback: false,
    up: true,
    master: undefined,
    addresses,
  };
}

const eth0 = iface(0, 'eth0', [
  address('10.9.9.9', 32, { scope: 'link' }),
  address('198.51.100.7', 24),
  address('198.51.100.8', 24, { secondary: true }),
  address('192.0.2.1', 24),
]);
const ppp0 = iface(1, 'ppp0', []);
const host = fakeHost({ interfaces: [eth0, ppp0] });

function rangeOf(rule: string, context: PacketContext, at = host): NatRange | undefined {
  const action = targetOf('nat', rule, at);
  if (action.kind !== 'nat') throw new Error(action.kind);
  return action.range(context);
}

function addressesOf(range: NatRange | undefined): string[] | undefined {
  if (range?.minAddress === undefined || range.maxAddress === undefined) return undefined;
  return [range.minAddress, range.maxAddress].map((one) => (one[0] ?? 0).toString(16));
}

describe('DNAT and SNAT', () => {
  it('address and port', () => {
    const range = rangeOf('-p tcp -j DNAT --to-destination 172.17.0.3:1337', packet());
    expect(addressesOf(range)).toEqual(['ac110003', 'ac110003']);
    expect(range).toMatchObject({ minPort: 1337, maxPort: 1337, basePort: undefined, random: false });
  });

  it('ranges, shifted ports and flags', () => {
    const range = rangeOf(
      '-p udp -j DNAT --to-destination 10.0.0.1-10.0.0.9:80-90/8080 --random --persistent',
      packet(),
    );
    expect(range).toMatchObject({ minPort: 80, maxPort: 90, basePort: 8080, random: true, persistent: true });
    expect(addressesOf(range)).toEqual(['a000001', 'a000009']);
  });

  it('a port alone keeps the address', () => {
    const range = rangeOf('-p tcp -j DNAT --to-destination :80', packet());
    expect(range).toMatchObject({ minAddress: undefined, minPort: 80 });
  });

  it('give the same object every time', () => {
    const action = targetOf('nat', '-j SNAT --to-source 10.0.0.1');
    if (action.kind !== 'nat') throw new Error(action.kind);
    expect(action.manipulation).toBe('src');
    expect(action.range(packet())).toBe(action.range(packet()));
  });
});

describe('MASQUERADE', () => {
  const out = (destination: string): PacketContext => packet({ hook: 'POSTROUTING', outInterface: 0, destination });

  it('takes the primary address whose subnet holds the next hop', () => {
    expect(addressesOf(rangeOf('-j MASQUERADE', out('192.0.2.200')))).toEqual(['c0000201', 'c0000201']);
  });

  it('else the first global one', () => {
    expect(addressesOf(rangeOf('-j MASQUERADE', out('203.0.113.1')))).toEqual(['c6336407', 'c6336407']);
  });

  it('goes by the gateway when there is one', () => {
    const routed = fakeHost({ interfaces: [eth0], gateway: '192.0.2.254' });
    expect(addressesOf(rangeOf('-j MASQUERADE', out('203.0.113.1'), routed))).toEqual(['c0000201', 'c0000201']);
  });

  it('borrows the address of another interface when its own has none', () => {
    expect(addressesOf(rangeOf('-j MASQUERADE', packet({ hook: 'POSTROUTING', outInterface: 1 })))).toEqual([
      'c6336407',
      'c6336407',
    ]);
  });

  it('drops when there is no address at all', () => {
    const bare = fakeHost({ interfaces: [ppp0] });
    expect(rangeOf('-j MASQUERADE', packet({ outInterface: 0 }), bare)).toBeUndefined();
  });
});

describe('REDIRECT', () => {
  it('goes to the first address of the ingress interface', () => {
    const range = rangeOf('-p tcp -j REDIRECT --to-ports 3128', packet({ hook: 'PREROUTING', inInterface: 0 }));
    expect(addressesOf(range)).toEqual(['a090909', 'a090909']);
    expect(range?.minPort).toBe(3128);
  });

  it("goes to the loopback for the host's own packets", () => {
    expect(addressesOf(rangeOf('-j REDIRECT', packet({ hook: 'OUTPUT' })))).toEqual(['7f000001', '7f000001']);
  });

  it('drops without an address', () => {
    expect(rangeOf('-j REDIRECT', packet({ hook: 'PREROUTING', inInterface: 1 }))).toBeUndefined();
  });
});

describe('NETMAP', () => {
  it.each([
    ['PREROUTING', 'a016401'],
    ['POSTROUTING', 'a010201'],
  ] as const)('in %s keeps the host part', (hook, expected) => {
    const range = rangeOf(
      '-j NETMAP --to 10.1.0.0/16',
      packet({ hook, source: '192.0.2.1', destination: '198.51.100.1' }),
    );
    expect(addressesOf(range)?.[0]).toBe(expected);
  });
});

describe('MARK and CONNMARK', () => {
  it.each([
    ['--set-mark 0x5', 0xff, 0x05],
    ['--set-mark 0x5/0x3', 0xff, 0xfd],
    ['--set-xmark 0x5/0x3', 0xff, 0xf9],
    ['--and-mark 0xf0', 0xff, 0xf0],
    ['--or-mark 0x100', 0xff, 0x1ff],
    ['--xor-mark 0x0f', 0xff, 0xf0],
    ['--set-mark 0xffffffff', 0, 0xffffffff],
  ])('MARK %s', (options, before, after) => {
    const action = targetOf('mangle', `-j MARK ${options}`);
    const marked = packet({ mark: before });
    if (action.kind === 'effect') action.apply(marked);
    expect(marked.mark).toBe(after);
  });

  it.each([
    ['--set-mark 0x5', 0xf0, 0x0a, 0x05, 0x0a],
    ['--save-mark', 0xf0, 0x0a, 0x0a, 0x0a],
    ['--save-mark --nfmask 0xff --ctmask 0x0f', 0xf0, 0x0a, 0xfa, 0x0a],
    ['--restore-mark', 0xf0, 0x0a, 0xf0, 0xf0],
    ['--restore-mark --mask 0x0f', 0xf5, 0xa0, 0xf5, 0xa5],
    ['--set-mark 0x1 --left-shift-mark 4', 0xf0, 0, 0x10, 0],
  ])('CONNMARK %s', (options, ofConnection, ofPacket, connectionAfter, packetAfter) => {
    const action = targetOf('mangle', `-j CONNMARK ${options}`);
    const view = connection({ mark: ofConnection });
    const marked = packet({ mark: ofPacket, connection: view });
    if (action.kind === 'effect') action.apply(marked);
    expect([view.mark, marked.mark]).toEqual([connectionAfter, packetAfter]);
  });

  it('CONNMARK passes over packets without a connection', () => {
    const action = targetOf('mangle', '-j CONNMARK --restore-mark');
    const marked = packet({ mark: 7 });
    if (action.kind === 'effect') action.apply(marked);
    expect(marked.mark).toBe(7);
  });
});

describe('other targets', () => {
  it.each([
    ['filter', '-j REJECT', { kind: 'reject', with: 'icmp-port-unreachable' }],
    ['raw', '-j NOTRACK', { kind: 'notrack' }],
    ['raw', '-j CT --notrack', { kind: 'notrack' }],
    ['filter', '-j LOG --log-prefix x', { kind: 'effect' }],
    ['mangle', '-j CHECKSUM --checksum-fill', { kind: 'effect' }],
  ])('%s %s', (table, rule, expected) => {
    expect(targetOf(table, rule)).toMatchObject(expected);
  });
});
