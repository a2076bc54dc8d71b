/** Where the IP packet begins, by link type. */
import { describe, expect, it } from 'vitest';
import { FLAG_BROADCAST, FLAG_MULTICAST, FLAG_OTHER_HOST, FLAG_OUTGOING } from '../../src/packet/columns.js';
import { isKnownLinkType, type LinkInfo, parseLink } from '../../src/packet/link.js';
import { frame as ethernet, nullFrame, sll, sll2, tcp, vlan } from '../support/packets.js';

const packet = tcp({ src: '192.0.2.1:1', dst: '192.0.2.2:2', flags: 'S' });
const ipv6 = new Uint8Array(40).fill(0x60, 0, 1);

function parse(linkType: number, frame: Uint8Array, length = frame.length): LinkInfo {
  // In the middle of other bytes, so that looking past an end shows.
  const around = new Uint8Array(frame.length + 64).fill(0x45);
  around.set(frame, 32);
  const link: LinkInfo = { version: 9, l3: 9, flags: 9, ifindex: 9, sender: 9 };
  parseLink(linkType, new DataView(around.buffer), 32, 32 + length, link);
  return { ...link, l3: link.l3 - 32, sender: link.sender < 0 ? -1 : link.sender - 32 };
}

describe('IP inside', () => {
  it.each([
    ['Ethernet, IPv4', 1, vlan([], packet), 4, 14],
    ['Ethernet, IPv6', 1, vlan([], ipv6, 0x86dd), 6, 14],
    ['802.1Q', 1, vlan([0x8100], packet), 4, 18],
    ['QinQ (802.1ad)', 1, vlan([0x88a8, 0x8100], packet), 4, 22],
    ['Q-in-Q of before the standard, 0x9100', 1, vlan([0x9100, 0x8100], packet), 4, 22],
    ['Q-in-Q of before the standard, 0x9200', 1, vlan([0x9200], packet), 4, 18],
    ['Q-in-Q of before the standard, 0x9300', 1, vlan([0x9300], packet), 4, 18],
    ['a stack of four tags', 1, vlan([0x88a8, 0x88a8, 0x8100, 0x8100], ipv6, 0x86dd), 6, 30],
    ['Linux cooked v1', 113, sll(0, packet), 4, 16],
    ['Linux cooked v1, IPv6', 113, sll(0, ipv6, 0x86dd), 6, 16],
    [
      'Linux cooked v1 with a VLAN tag',
      113,
      sll(0, Buffer.concat([Buffer.from('00640800', 'hex'), packet]), 0x8100),
      4,
      20,
    ],
    ['Linux cooked v2', 276, sll2(0, 2, packet), 4, 20],
    ['Linux cooked v2, IPv6', 276, sll2(0, 2, ipv6, 0x86dd), 6, 20],
    [
      'Linux cooked v2 with a VLAN tag',
      276,
      sll2(0, 2, Buffer.concat([Buffer.from('00640800', 'hex'), packet]), 0x8100),
      4,
      24,
    ],
    ['raw IP, IPv4', 101, packet, 4, 0],
    ['raw IP, IPv6', 101, ipv6, 6, 0],
    ['raw IP by its old number', 12, packet, 4, 0],
    ['IPv4 alone', 228, packet, 4, 0],
    ['IPv6 alone', 229, ipv6, 6, 0],
    ['BSD null, little-endian', 0, nullFrame(2, packet), 4, 4],
    ['BSD null, big-endian', 0, nullFrame(2, packet, true), 4, 4],
    ['BSD null, AF_INET6 of Linux', 0, nullFrame(10, ipv6), 6, 4],
    ['BSD null, AF_INET6 of OpenBSD', 0, nullFrame(24, ipv6), 6, 4],
    ['BSD null, AF_INET6 of FreeBSD', 0, nullFrame(28, ipv6), 6, 4],
    ['BSD null, AF_INET6 of macOS', 0, nullFrame(30, ipv6, true), 6, 4],
    ['OpenBSD loop', 108, nullFrame(2, packet, true), 4, 4],
  ])('%s', (_, linkType, frame, version, l3) => {
    expect(isKnownLinkType(linkType)).toBe(true);
    expect(parse(linkType, frame)).toMatchObject({ version, l3 });
  });
});

describe('no IP inside', () => {
  it.each([
    ['ARP', 1, vlan([], new Uint8Array(28), 0x0806)],
    ['ARP with a VLAN tag', 1, vlan([0x8100], new Uint8Array(28), 0x0806)],
    ['a length instead of a type (802.3)', 1, vlan([], new Uint8Array(38), 38)],
    ['0x9180, which is no VLAN tag', 1, vlan([0x9180], packet)],
    ['Linux cooked v1, ARP', 113, sll(0, new Uint8Array(28), 0x0806)],
    ['Linux cooked v2, ARP', 276, sll2(0, 1, new Uint8Array(28), 0x0806)],
    ['raw bytes of version 5', 101, Uint8Array.of(0x50, 1, 2)],
    ['an empty raw frame', 101, new Uint8Array(0)],
    ['BSD null, AF_UNIX', 0, nullFrame(1, packet)],
    ['loop in the wrong byte order', 108, nullFrame(2, packet)],
    ['a link type that is not understood (802.11)', 105, packet],
  ])('%s', (_, linkType, frame) => {
    expect(parse(linkType, frame).version).toBe(0);
  });

  it.each([
    ['Ethernet', 1, vlan([], packet), 14],
    ['802.1Q', 1, vlan([0x8100], packet), 18],
    ['Linux cooked v1', 113, sll(0, packet), 16],
    ['Linux cooked v2', 276, sll2(0, 1, packet), 20],
    ['BSD null', 0, nullFrame(2, packet), 4],
  ])('%s cut anywhere before its end', (_, linkType, frame, header) => {
    for (let length = 0; length < header; length++) expect(parse(linkType, frame, length).version).toBe(0);
    expect(parse(linkType, frame, header).version).toBe(4);
  });
});

describe('what else a link layer says', () => {
  const to = (mac: string): Uint8Array => ethernet('02:00:00:00:00:99', mac, packet);

  it.each([
    ['Ethernet: the sender', 1, vlan([], packet), { sender: 6, ifindex: -1, flags: 0 }],
    ['cooked v1: to us', 113, sll(0, packet), { sender: 6, ifindex: -1, flags: 0 }],
    ['Ethernet: broadcast', 1, to('ff:ff:ff:ff:ff:ff'), { sender: 6, flags: FLAG_BROADCAST }],
    ['Ethernet: multicast', 1, to('01:00:5e:00:00:fb'), { sender: 6, flags: FLAG_MULTICAST }],
    ['Ethernet: multicast of IPv6', 1, to('33:33:00:00:00:fb'), { flags: FLAG_MULTICAST }],
    ['Ethernet: nearly everybody', 1, to('ff:ff:ff:ff:ff:fe'), { flags: FLAG_MULTICAST }],
    ['cooked v1: broadcast', 113, sll(1, packet), { flags: FLAG_BROADCAST }],
    ['cooked v1: multicast', 113, sll(2, packet), { flags: FLAG_MULTICAST }],
    ['cooked v1: to somebody else', 113, sll(3, packet), { flags: FLAG_OTHER_HOST }],
    ['cooked v1: sent by us', 113, sll(4, packet), { flags: FLAG_OUTGOING }],
    ['cooked v2: sender and interface', 276, sll2(0, 7, packet), { sender: 12, ifindex: 7, flags: 0 }],
    ['cooked v2: broadcast', 276, sll2(1, 7, packet), { flags: FLAG_BROADCAST }],
    ['cooked v2: multicast', 276, sll2(2, 7, packet), { flags: FLAG_MULTICAST }],
    ['cooked v2: to somebody else', 276, sll2(3, 7, packet), { flags: FLAG_OTHER_HOST }],
    ['cooked v2: sent by us', 276, sll2(4, 7, packet), { flags: FLAG_OUTGOING }],
    ['raw: nothing', 101, packet, { sender: -1, ifindex: -1, flags: 0 }],
  ])('%s', (_, linkType, frame, expected) => {
    expect(parse(linkType, frame)).toMatchObject(expected);
  });

  it('cooked v1 and v2: a link-layer address that is no MAC is no sender', () => {
    const tunnel = Buffer.from(sll(0, packet));
    tunnel.writeUInt16BE(4, 4);
    expect(parse(113, tunnel).sender).toBe(-1);
    const loopback = Buffer.from(sll2(0, 1, packet));
    loopback[11] = 0;
    expect(parse(276, loopback).sender).toBe(-1);
  });
});
