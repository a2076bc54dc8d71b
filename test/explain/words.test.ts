/** Packets in words: what can be said, and what is answered to what cannot. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NatreplayError } from '../../src/errors.js';
import { buildPacket } from '../../src/explain/bytes.js';
import { type PacketSpec, parsePacketText } from '../../src/explain/packettext.js';
import { replyTo } from '../../src/explain/replies.js';
import { meaningOf } from '../../src/explain/words.js';
import { icmp, say, tcp, udp } from '../support/packets.js';

const NUMBERS = { seq: 1000, ack: 0 };
const built = (text: string, flags = 2): Uint8Array => buildPacket(parsePacketText(text), flags, NUMBERS);

describe('packets', () => {
  it.each<[string, Partial<PacketSpec>]>([
    ['tcp 198.51.100.7:40000 > 192.0.2.1:8799 in eth0', { protocol: 6, sourcePort: 40000, iface: 'eth0', ttl: 64 }],
    ['udp [2001:db8::1]:4000 > [2001:db8::2]:domain from @local', { family: 6, destinationPort: 53, iface: '@local' }],
    ['tcp 10.0.0.1:1 -> 10.0.0.2:http', { destinationPort: 80, tcpFlags: undefined }],
    ['tcp 10.0.0.1:1 > 10.0.0.2:2 flags SA', { tcpFlags: 0x12 }],
    ['tcp 10.0.0.1:1 > 10.0.0.2:2 syn,ack', { tcpFlags: 0x12 }],
    ['tcp 10.0.0.1:1 > 10.0.0.2:2 fin ack', { tcpFlags: 0x11 }],
    ['tcp 10.0.0.1:1 > 10.0.0.2:2 flags none', { tcpFlags: 0 }],
    ['icmp 10.0.0.1 > 10.0.0.2', { icmpType: 8, icmpCode: 0 }],
    ['icmp 10.0.0.1 > 10.0.0.2 port-unreachable id 0', { icmpType: 3, icmpCode: 3 }],
    ['icmp 10.0.0.1 > 10.0.0.2 type 13 code 1 id 7', { icmpType: 13, icmpCode: 1, icmpId: 7 }],
    ['icmp6 fe80::1 > ff02::1 echo-request', { family: 6, icmpType: 128 }],
    ['proto 253 10.0.0.1 > 10.0.0.2 len 100 tos 0x10', { protocol: 253, payload: 100, tos: 16 }],
    ['gre 10.0.0.1 > 10.0.0.2 mark 0x1 ttl 1', { protocol: 47, mark: 1, ttl: 1 }],
    ['esp [2001:db8::1] > 2001:db8::2 mac 02:00:00:00:00:0a', { mac: Uint8Array.of(2, 0, 0, 0, 0, 10) }],
    [
      'udp 10.0.0.1:1 > 10.0.0.2:2 state established at 2026-01-31T12:00:00Z',
      { established: true, seconds: 1769860800 },
    ],
  ])('%s', (text, expected) => {
    expect(parsePacketText(text)).toMatchObject(expected);
  });

  it.each<[string, number, string]>([
    ['', 1, 'a protocol is missing'],
    ['tpc 10.0.0.1:1 > 10.0.0.2:2', 1, '"tpc" is no protocol; did you mean tcp?'],
    ['tcp 10.0.0.1 > 10.0.0.2:2', 5, '"10.0.0.1" is not an address with a port'],
    ['tcp 10.0.0.300:1 > 10.0.0.2:2', 5, '"10.0.0.300" is not an address'],
    ['tcp 10.0.0.1:1 10.0.0.2:2', 16, `stands where '>' is expected`],
    ['tcp 10.0.0.1:1 >', 17, 'the destination address is missing'],
    ['tcp 10.0.0.1:70000 > 10.0.0.2:2', 5, '"70000" is not a port'],
    ['tcp 10.0.0.1:1 > 10.0.0.2:htpp', 18, 'did you mean http?'],
    ['tcp 10.0.0.1:1 > [2001:db8::1]:2', 18, 'is not an IPv4 address as the source is'],
    ['icmp 2001:db8::1 > 2001:db8::2', 1, 'icmp is of IPv4; write icmp6'],
    ['proto 6 10.0.0.1 > 10.0.0.2', 7, 'protocol 6 has a name here; write tcp'],
    ['tcp 10.0.0.1:1 > 10.0.0.2:2 en eth0', 29, 'did you mean in?'],
    ['tcp 10.0.0.1:1 > 10.0.0.2:2 in', 31, 'an interface is missing'],
    ['tcp 10.0.0.1:1 > 10.0.0.2:2 in a in b', 34, 'said twice'],
    ['tcp 10.0.0.1:1 > 10.0.0.2:2 from eth0', 34, 'write in eth0, or from @local'],
    ['tcp 10.0.0.1:1 > 10.0.0.2:2 flags SX', 35, 'are no TCP flags'],
    ['udp 10.0.0.1:1 > 10.0.0.2:2 flags S', 29, 'for TCP only'],
    ['udp 10.0.0.1:1 > 10.0.0.2:2 id 7', 29, 'for ICMP only'],
    ['icmp 10.0.0.1 > 10.0.0.2 echo-requst', 26, 'did you mean echo-request?'],
    ['tcp 10.0.0.1:1 > 10.0.0.2:2 ttl 256', 33, 'write a number of 0-255'],
    ['tcp 10.0.0.1:1 > 10.0.0.2:2 state related', 35, 'write new or established'],
    ['tcp 10.0.0.1:1 > 10.0.0.2:2 at noon', 32, 'is not a time'],
    ['tcp 10.0.0.1:1 > 10.0.0.2:2 __proto__ 1', 29, 'says nothing about a packet'],
  ])('refused: %s', (text, column, what) => {
    const error = thrownBy(() => parsePacketText(text));
    expect(error).toBeInstanceOf(NatreplayError);
    expect((error as NatreplayError).place.column).toBe(column);
    expect((error as NatreplayError).message).toContain(what);
  });
});

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('their bytes are those that the slow and obvious way makes', () => {
  const ends = { src: '10.0.0.1:4000', dst: '10.0.0.2:80' };
  const ends6 = { src: '[2001:db8::1]:4000', dst: '[2001:db8::2]:80' };
  it.each<[string, Uint8Array, Uint8Array]>([
    ['TCP', built('tcp 10.0.0.1:4000 > 10.0.0.2:80'), tcp({ ...ends, flags: 'S', seq: 1000 })],
    ['UDP', built('udp 10.0.0.1:4000 > 10.0.0.2:80 len 3'), udp({ ...ends, payload: 'nat' })],
    ['ICMP', built('icmp 10.0.0.1 > 10.0.0.2 id 7'), icmp({ src: '10.0.0.1', dst: '10.0.0.2', type: 8, icmpId: 7 })],
    ['TCP over IPv6', built('tcp [2001:db8::1]:4000 > [2001:db8::2]:80'), tcp({ ...ends6, flags: 'S', seq: 1000 })],
    ['UDP over IPv6', built('udp [2001:db8::1]:4000 > [2001:db8::2]:80 len 4'), udp({ ...ends6, payload: 'natr' })],
  ])('%s', (_, packet, expected) => {
    // Fields of which a packet's text says nothing: identification, DF, window.
    const [own, other] = [packet, expected].map((bytes) => plain(bytes));
    expect(own).toEqual(other);
    expect(sumOfAll(packet)).toBe(sumOfAll(expected));
  });
});

/** In words, with lengths. */
const plain = (packet: Uint8Array): string => `${say(packet)} ${packet.length}`;

/** Whether the transport checksum is right: the words of pseudo header and payload add up to ffff, or 0 of ICMP's. */
function sumOfAll(packet: Uint8Array): number {
  const isIpv6 = (packet[0] ?? 0) >> 4 === 6;
  const [l4, from, addresses] = isIpv6 ? [40, 8, 32] : [20, 12, 8];
  const protocol = packet[isIpv6 ? 6 : 9] ?? 0;
  const pseudo = protocol === 1 ? [] : [...packet.subarray(from, from + addresses), 0, protocol, 0, packet.length - l4];
  const bytes = [...pseudo, ...packet.subarray(l4), 0];
  let sum = 0;
  for (let k = 0; k + 1 < bytes.length; k += 2) sum += (bytes[k] ?? 0) * 256 + (bytes[k + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

describe('what is answered', () => {
  it.each<[string, string, number, string]>([
    ['a SYN by SYN and ACK', 'tcp 10.0.0.1:4000 > 10.0.0.2:80', 0x02, 'tcp 10.0.0.2:80 > 10.0.0.1:4000 SA'],
    ['an ACK by an ACK', 'tcp 10.0.0.1:4000 > 10.0.0.2:80', 0x10, 'tcp 10.0.0.2:80 > 10.0.0.1:4000 A'],
    ['UDP by UDP', 'udp 10.0.0.1:4000 > 10.0.0.2:53', 0, 'udp 10.0.0.2:53 > 10.0.0.1:4000'],
  ])('%s', (_, text, flags, expected) => {
    const answer = replyTo(built(text, flags));
    expect(typeof answer === 'string' ? answer : say(answer)).toContain(expected);
  });

  it.each<[string, string, number, string]>([
    ['a reset', 'tcp 10.0.0.1:4000 > 10.0.0.2:80', 0x04, 'nobody answers a reset'],
    ['an ICMP error', 'icmp 10.0.0.1 > 10.0.0.2 time-exceeded', 0, 'nobody answers such an ICMP message'],
    ['NULL', 'tcp 10.0.0.1:4000 > 10.0.0.2:80', 0, 'nobody answers a segment with neither SYN nor ACK'],
  ])('not %s', (_, text, flags, why) => {
    expect(replyTo(built(text, flags))).toBe(why);
  });
});

describe('reasons', () => {
  it('all that docs/replay.md lists have words here', () => {
    const [, section = ''] = readFileSync(new URL('../../docs/replay.md', import.meta.url), 'utf8').split(
      '## Reasons\n',
    );
    const listed = [...(section.split(/^## /m)[0] ?? '').matchAll(/^\| `([^`]+)`/gm)].map(([, word = '']) => word);
    expect(listed.length).toBeGreaterThan(40);
    expect(listed.filter((word) => meaningOf(word) === word)).toEqual([]);
  });
});
