import { describe, expect, it } from 'vitest';
import { FLAG_BROADCAST, FLAG_MULTICAST } from '../../src/packet/columns.js';
import type { PacketContext } from '../../src/rules/context.js';
import { STATE_DNAT, STATE_ESTABLISHED, STATE_INVALID, STATE_NEW, STATE_UNTRACKED } from '../../src/rules/context.js';
import { connection, fakeHost, matching, type PacketParts, packet, tcpHeader } from './packet.js';

type Row = readonly [what: string, rule: string, parts: PacketParts, matches: boolean];

function table(title: string, rows: readonly Row[]): void {
  describe(title, () => {
    it.each(rows)('%s: %s', (_, rule, parts, expected) => {
      expect(matching(rule)(packet(parts))).toBe(expected);
    });
  });
}

const syn = (port: number): PacketParts => ({ l4: tcpHeader(40000, port) });
const udp = (port: number): PacketParts => ({ protocol: 17, l4: [156, 64, port >> 8, port & 255, 0, 8, 0, 0] });

table('tcp', [
  ['port', '-p tcp --dport 80', syn(80), true],
  ['another port', '-p tcp --dport 80', syn(81), false],
  ['not the port', '-p tcp ! --dport 80', syn(81), true],
  ['low end of a range', '-p tcp --dport 80:90', syn(80), true],
  ['high end of a range', '-p tcp --dport 80:90', syn(90), true],
  ['beyond a range', '-p tcp --dport 80:90', syn(91), false],
  ['port 0', '-p tcp --dport 0', syn(0), true],
  ['never: not any port', '-p tcp ! --dport 0:65535', syn(80), false],
  ['source port', '-p tcp --sport 1024:', syn(80), true],
  ['SYN', '-p tcp --syn', syn(80), true],
  ['SYN+ACK is no --syn', '-p tcp --syn', { l4: tcpHeader(1, 2, 0x12) }, false],
  ['ECN SYN is a --syn', '-p tcp --syn', { l4: tcpHeader(1, 2, 0xc2) }, true],
  ['no flags', '-p tcp --tcp-flags ALL NONE', { l4: tcpHeader(1, 2, 0) }, true],
  ['MSS option', '-p tcp --tcp-option 2', { l4: tcpHeader(1, 2, 2, [1, 1, 2, 4, 5, 180, 0, 0]) }, true],
  ['no such option', '-p tcp --tcp-option 3', { l4: tcpHeader(1, 2, 2, [1, 1, 2, 4, 5, 180, 0, 0]) }, false],
  ['an option of length 0 does not hang', '-p tcp --tcp-option 9', { l4: tcpHeader(1, 2, 2, [5, 0, 5, 0]) }, false],
  ['a later fragment has no ports', '-p tcp ! --dport 80', { ...syn(81), fragmentOffset: 1480 }, false],
]);

table('udp', [
  ['port', '-p udp --dport 53', udp(53), true],
  ['another port', '-p udp --dport 53', udp(54), false],
  ['a later fragment has no ports', '-p udp --dport 53', { ...udp(53), fragmentOffset: 8 }, false],
]);

table('icmp', [
  ['ping', '-p icmp --icmp-type echo-request', { protocol: 1, l4: [8, 0, 0, 0, 0, 0, 0, 0] }, true],
  ['type and code', '-p icmp --icmp-type 3/4', { protocol: 1, l4: [3, 4, 0, 0, 0, 0, 0, 0] }, true],
  ['another code', '-p icmp --icmp-type 3/4', { protocol: 1, l4: [3, 1, 0, 0, 0, 0, 0, 0] }, false],
  ['every code', '-p icmp --icmp-type 3', { protocol: 1, l4: [3, 1, 0, 0, 0, 0, 0, 0] }, true],
  ['any type', '-p icmp --icmp-type any', { protocol: 1, l4: [42, 1, 0, 0, 0, 0, 0, 0] }, true],
  ['not ping', '-p icmp ! --icmp-type 8', { protocol: 1, l4: [0, 0, 0, 0, 0, 0, 0, 0] }, true],
]);

table('multiport', [
  ['in the list', '-p tcp -m multiport --dports 80,443', syn(443), true],
  ['in a range of the list', '-p tcp -m multiport --dports 22,8000:8100', syn(8050), true],
  ['not in it', '-p tcp -m multiport --dports 22,8000:8100', syn(443), false],
  ['negated', '-p tcp -m multiport ! --dports 22,80', syn(443), true],
  ['either way', '-p tcp -m multiport --ports 40000', syn(443), true],
  ['UDP with four bytes', '-p udp -m multiport --dports 53', { protocol: 17, l4: [0, 1, 0, 53] }, true],
]);

describe('headers that are cut short', () => {
  it.each([
    ['-p tcp --dport 80', 6, [0, 1, 0, 80]],
    ['-p udp --dport 53', 17, [0, 1, 0, 53]],
    ['-p icmp --icmp-type any', 1, [8, 0]],
    ['-p tcp -m multiport --dports 80', 6, [0, 1]],
    ['-p tcp --tcp-option 5', 6, [...tcpHeader(1, 2).slice(0, 12), 0xf0, ...tcpHeader(1, 2).slice(13)]],
  ])('drop the packet at once: %s', (rule, protocol, l4) => {
    const short = packet({ protocol, l4 });
    expect(matching(rule)(short)).toBe(false);
    expect(short.dropped).toBe(true);
  });

  it('a TCP fragment at offset 8 is dropped, others only do not match', () => {
    const evil = packet({ ...syn(80), fragmentOffset: 8 });
    matching('-p tcp --dport 80')(evil);
    expect(evil.dropped).toBe(true);
    const later = packet({ ...syn(80), fragmentOffset: 16 });
    matching('-p tcp --dport 80')(later);
    expect(later.dropped).toBe(false);
  });
});

table('small matches', [
  ['mark', '-m mark --mark 5', { mark: 5 }, true],
  ['mark under a mask', '-m mark --mark 0x10/0xf0', { mark: 0x1f }, true],
  ['a mark with the top bit', '-m mark --mark 0x80000000/0x80000000', { mark: 0xffffffff }, true],
  ['bits outside the mask never match', '-m mark --mark 5/3', { mark: 5 }, false],
  ['connmark without a connection', '-m connmark ! --mark 5', {}, false],
  ['connmark', '-m connmark ! --mark 5', { connection: connection({ mark: 4 }) }, true],
  ['iprange', '-m iprange --src-range 192.0.2.0-192.0.2.9', {}, true],
  ['iprange backwards', '-m iprange --src-range 192.0.2.9-192.0.2.0', {}, false],
  ['length', '-m length --length 20:40', { totalLength: 40 }, true],
  ['length backwards', '-m length --length 40:20', { totalLength: 30 }, false],
  ['ttl', '-m ttl --ttl-lt 64', { ttl: 63 }, true],
  ['not ttl', '-m ttl ! --ttl-eq 64', { ttl: 64 }, false],
  ['mac', '-m mac --mac-source 00:53:00:00:00:01', { sourceMac: [0, 0x53, 0, 0, 0, 1] }, true],
  ['not mac', '-m mac ! --mac-source 00:53:00:00:00:02', { sourceMac: [0, 0x53, 0, 0, 0, 1] }, true],
  ['mac where there is none', '-m mac ! --mac-source 00:53:00:00:00:02', {}, false],
  ['owner of a forwarded packet', '-m owner --uid-owner 0', {}, false],
  ['not the owner of a forwarded packet', '-m owner ! --uid-owner 0', {}, true],
  ['physdev of a routed packet', '-m physdev --physdev-in eth0', {}, false],
  ['not bridged', '-m physdev ! --physdev-is-bridged', {}, true],
  ['comment', '-m comment --comment x', {}, true],
]);

const tracked = (parts: Parameters<typeof connection>[0] = {}, state = STATE_ESTABLISHED): PacketParts => ({
  state,
  connection: connection(parts),
});

table('conntrack and state', [
  ['state', '-m state --state NEW', { state: STATE_NEW }, true],
  ['not state', '-m state ! --state NEW', { state: STATE_NEW }, false],
  ['invalid', '-m conntrack --ctstate INVALID', { state: STATE_INVALID }, true],
  ['untracked', '-m conntrack --ctstate UNTRACKED', { state: STATE_UNTRACKED }, true],
  ['DNAT', '-m conntrack --ctstate DNAT', tracked({}, STATE_NEW | STATE_DNAT), true],
  ['no DNAT', '-m conntrack ! --ctstate DNAT', tracked(), true],
  ['published port', '-m conntrack --ctorigdstport 8799', tracked(), true],
  ['original source', '-m conntrack --ctorigsrc 192.0.2.0/24', tracked(), true],
  ['reply source', '-m conntrack ! --ctreplsrc 172.17.0.0/16', tracked(), false],
  ['protocol', '-m conntrack --ctproto udp', tracked(), false],
  ['direction', '-m conntrack --ctdir REPLY', tracked({ original: false }), true],
  ['other direction', '-m conntrack --ctdir ORIGINAL', tracked({ original: false }), false],
  ['status', '-m conntrack --ctstatus SEEN_REPLY,ASSURED', tracked({ assured: true }), true],
  ['status NONE never matches', '-m conntrack --ctstatus NONE', tracked({ confirmed: false }), false],
  ['expiry in whole seconds', '-m conntrack --ctexpire 119', tracked(), true],
  [
    'without a connection only the state counts',
    '-m conntrack --ctstate INVALID --ctproto udp',
    { state: STATE_INVALID },
    true,
  ],
  ['without a connection and a state nothing matches', '-m conntrack ! --ctproto udp', { state: STATE_INVALID }, false],
]);

describe('addrtype', () => {
  const host = fakeHost({ types: { '198.51.100.1': 'local', '198.51.100.255': 'broadcast' } });
  it.each([
    ['-m addrtype --dst-type LOCAL', '198.51.100.1', true],
    ['-m addrtype --dst-type LOCAL,BROADCAST', '198.51.100.255', true],
    ['-m addrtype ! --dst-type LOCAL', '198.51.100.1', false],
    ['-m addrtype --src-type UNICAST --dst-type LOCAL', '198.51.100.1', true],
    ['-m addrtype --src-type LOCAL --dst-type LOCAL', '198.51.100.1', false],
  ])('%s to %s', (rule, destination, expected) => {
    expect(matching(rule, host)(packet({ destination }))).toBe(expected);
  });

  it('of IPv6 wants every kind asked for', () => {
    const test = matching('-m addrtype --dst-type UNICAST,MULTICAST', host, 6);
    expect(test(packet({ destination: 'ff02::1' }))).toBe(false);
    expect(matching('-m addrtype --dst-type MULTICAST', host, 6)(packet({ destination: 'ff02::1' }))).toBe(true);
  });
});

describe('pkttype', () => {
  it('goes by the frame', () => {
    const group = matching('-m pkttype --pkt-type broadcast', fakeHost({ types: { '255.255.255.255': 'broadcast' } }));
    const framed = (toGroup: number, destination = '192.0.2.1'): PacketContext =>
      Object.assign(packet({ destination, sourceMac: [2, 0, 0, 0, 0, 1] }), { toGroup });
    expect(group(framed(FLAG_BROADCAST))).toBe(true);
    expect(group(framed(FLAG_MULTICAST))).toBe(false);
    expect(group(framed(0, '255.255.255.255'))).toBe(false);
    expect(group(packet({ destination: '255.255.255.255', hook: 'POSTROUTING' }))).toBe(false);
  });

  it('goes by the destination where there is none', () => {
    const host = fakeHost({ types: { '255.255.255.255': 'broadcast' } });
    expect(matching('-m pkttype --pkt-type broadcast', host)(packet({ destination: '255.255.255.255' }))).toBe(true);
    expect(matching('-m pkttype ! --pkt-type unicast', host)(packet())).toBe(false);
  });
});

describe('limit', () => {
  it('lets the burst through, then one a period, by capture time', () => {
    const test = matching('-m limit --limit 1/second --limit-burst 3');
    const at = (seconds: number): boolean =>
      test(packet({ seconds: 1000 + Math.floor(seconds), nanoseconds: (seconds % 1) * 1e9 }));
    expect([0, 0, 0, 0].map(at)).toEqual([true, true, true, false]);
    expect([0.5, 1, 1, 1.5, 2].map(at)).toEqual([false, true, false, false, true]);
    // Idle time fills no more than the burst.
    expect([100, 100, 100, 100].map(at)).toEqual([true, true, true, false]);
  });
});

describe('statistic', () => {
  it.each([
    [0, [true, false, false, true, false, false, true]],
    [1, [false, true, false, false, true, false, false]],
    [2, [false, false, true, false, false, true, false]],
  ])('nth, every 3, packet %i', (p, expected) => {
    const test = matching(`-m statistic --mode nth --every 3 --packet ${p}`);
    expect(expected.map(() => test(packet()))).toEqual(expected);
  });

  it('random compares 31 bits of the random number with the probability', () => {
    let next = 0;
    const test = matching('-m statistic --mode random --probability 0.5', fakeHost({}), 4, () => next);
    next = 0x3fffffff;
    expect(test(packet())).toBe(true);
    next = 0x40000000;
    expect(test(packet())).toBe(false);
    next = 0x80000000;
    expect(test(packet())).toBe(true);
  });
});
