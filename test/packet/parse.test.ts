/** From frames to columns: which packets the fast path may take, which need a closer look, which the kernel drops at once. */
import { describe, expect, it } from 'vitest';
import {
  BROKEN_CHECKSUM,
  BROKEN_HEADER,
  BROKEN_LENGTH,
  FLAG_BAD_CHECKSUM,
  FLAG_CUT,
  FLAG_OUTGOING,
  KIND_CUT,
  KIND_IPV4,
  KIND_IPV4_BROKEN,
  KIND_IPV4_PORTS,
  KIND_IPV6_BROKEN,
  KIND_OTHER,
  OTHER_LINK_TYPE,
  OTHER_PROTOCOL,
} from '../../src/packet/columns.js';
import { tupleHash } from '../../src/packet/hash.js';
import { swap32 } from '../../src/packet/tuple.js';
import { type ParsedFrame, parseFrames } from '../support/gateway.js';
import { checksum, ether, gre, icmp, ip, tcp, tcpWith, udp, vlan, withHeader } from '../support/packets.js';

const SRC = '198.51.100.7:40000';
const DST = '192.0.2.1:80';
const ENDS = { src: '198.51.100.7', dst: '192.0.2.1' };
const syn = tcp({ src: SRC, dst: DST, flags: 'S' });
const query = udp({ src: SRC, dst: DST, payload: 'question' });
const options = Uint8Array.of(0x94, 4, 0, 0);

/** Columns of one frame as numbers. */
function parse(frame: ParsedFrame | Uint8Array, mode: 'verify' | 'offload' | 'ignore' = 'verify') {
  const { columns, slab } = parseFrames([frame instanceof Uint8Array ? { frame } : frame], mode);
  const { kind, flags, reason, protocol, l3, l4, end, totalLength, source, destination, ports, hash } = columns;
  const at = (column: ArrayLike<number>): number => column[0] ?? -1;
  const base = at(slab.records.frame);
  return {
    kind: at(kind),
    flags: at(flags),
    reason: at(reason),
    protocol: at(protocol),
    l3: at(l3) - base,
    l4: at(l4) - base,
    end: at(end) - base,
    totalLength: at(totalLength),
    source: at(source),
    destination: at(destination),
    ports: at(ports),
    hash: at(hash),
    bytes: Buffer.from(slab.bytes.slice(base, at(slab.records.end))),
  };
}

/** The packet with a byte of its transport header changed, checksum left as it is. */
function changed(packet: Uint8Array, offset: number, value: number): Uint8Array {
  const copy = Buffer.from(packet);
  copy[offset] = value;
  return copy;
}

describe('kinds', () => {
  const sctp = ip(ENDS, 132, new Uint8Array(12));
  it.each<[string, ParsedFrame, number]>([
    ['TCP', { frame: ether(syn) }, KIND_IPV4_PORTS],
    [
      'TCP with TCP options',
      { frame: ether(tcpWith(Uint8Array.of(2, 4, 5, 0xb4), { src: SRC, dst: DST, flags: 'S' })) },
      KIND_IPV4_PORTS,
    ],
    ['UDP', { frame: ether(query) }, KIND_IPV4_PORTS],
    ['UDP without data', { frame: ether(udp({ src: SRC, dst: DST })) }, KIND_IPV4_PORTS],
    ['with Ethernet padding', { frame: Buffer.concat([ether(syn), Buffer.alloc(6)]) }, KIND_IPV4_PORTS],
    ['behind a VLAN tag', { frame: vlan([0x8100], syn) }, KIND_IPV4_PORTS],
    ['DF set', { frame: ether(tcp({ src: SRC, dst: DST, flags: 'S', df: true })) }, KIND_IPV4_PORTS],
    [
      'the reserved flag set (RFC 3514)',
      { frame: ether(tcp({ src: SRC, dst: DST, flags: 'S', fragment: 0x8000 })) },
      KIND_IPV4_PORTS,
    ],
    ['TCP behind IP options', { frame: ether(tcp({ src: SRC, dst: DST, flags: 'S', options })) }, KIND_IPV4],
    ['ICMP', { frame: ether(icmp({ ...ENDS, type: 8 })) }, KIND_IPV4],
    ['GRE', { frame: ether(gre(ENDS)) }, KIND_IPV4],
    ['SCTP', { frame: ether(sctp) }, KIND_IPV4],
    ['a first fragment', { frame: ether(tcp({ src: SRC, dst: DST, flags: 'S', fragment: 0x2000 })) }, KIND_IPV4],
    ['a later fragment', { frame: ether(ip({ ...ENDS, fragment: 0x00b9 }, 6, new Uint8Array(40))) }, KIND_IPV4],
    ['TCP with a data offset of 16 bytes', { frame: ether(changed(syn, 32, 0x40)) }, KIND_IPV4],
    ['TCP with a data offset beyond the packet', { frame: ether(changed(syn, 32, 0xf0)) }, KIND_IPV4],
    ['TCP of 12 bytes', { frame: ether(ip(ENDS, 6, new Uint8Array(12))) }, KIND_IPV4],
    ['UDP that states a length of 7', { frame: ether(changed(query, 25, 7)) }, KIND_IPV4],
    ['UDP that states more than there is', { frame: ether(changed(query, 25, 200)) }, KIND_IPV4],
    ['UDP of 4 bytes', { frame: ether(ip(ENDS, 17, new Uint8Array(4))) }, KIND_IPV4],
    ['version 4 header behind an IPv6 type', { frame: vlan([], syn, 0x86dd) }, KIND_IPV6_BROKEN],
    ['ARP', { frame: vlan([], new Uint8Array(28), 0x0806) }, KIND_OTHER],
    ['a link type that is not understood', { frame: ether(syn), linkType: 147 }, KIND_OTHER],
    ['cut by the snaplen within the IP header', { frame: ether(syn), captured: 30 }, KIND_CUT],
    [
      'cut by the snaplen within IP options',
      { frame: ether(tcp({ src: SRC, dst: DST, flags: 'S', options })), captured: 36 },
      KIND_CUT,
    ],
    ['cut by the snaplen within the TCP header', { frame: ether(syn), captured: 14 + 20 + 12 }, KIND_IPV4],
    ['cut by the snaplen within the data', { frame: ether(query), captured: 14 + 20 + 8 + 2 }, KIND_IPV4_PORTS],
    [
      'cut by the snaplen within TCP options',
      { frame: ether(tcpWith(new Uint8Array(12).fill(1), { src: SRC, dst: DST, flags: 'S' })), captured: 14 + 44 },
      KIND_IPV4_PORTS,
    ],
  ])('%s', (_, frame, kind) => {
    expect(parse(frame, 'ignore').kind).toBe(kind);
  });

  it('says why a record is passed by', () => {
    expect(parse(vlan([], new Uint8Array(28), 0x0806)).reason).toBe(OTHER_PROTOCOL);
    expect(parse({ frame: ether(syn), linkType: 147 }).reason).toBe(OTHER_LINK_TYPE);
  });
});

describe('what the kernel drops on receipt (E6)', () => {
  it.each<[string, Uint8Array, number]>([
    ['version 5', withHeader(syn, (header) => header.writeUInt8(0x55, 0)), BROKEN_HEADER],
    ['version 6 in an IPv4 frame', withHeader(syn, (header) => header.writeUInt8(0x65, 0)), BROKEN_HEADER],
    ['a header length of 16', withHeader(syn, (header) => header.writeUInt8(0x44, 0)), BROKEN_HEADER],
    ['a header length beyond the frame', changed(ip(ENDS, 6, new Uint8Array(0)), 0, 0x4f), BROKEN_LENGTH],
    ['a wrong IP checksum', tcp({ src: SRC, dst: DST, flags: 'S', badIpChecksum: true }), BROKEN_CHECKSUM],
    ['a total length below the header', withHeader(syn, (header) => header.writeUInt16BE(19, 2)), BROKEN_LENGTH],
    ['a total length beyond the frame', withHeader(syn, (header) => header.writeUInt16BE(41, 2)), BROKEN_LENGTH],
    ['a frame of 10 bytes of IP', syn.subarray(0, 10), BROKEN_LENGTH],
  ])('%s', (_, packet, reason) => {
    expect(parse(vlan([], packet))).toMatchObject({ kind: KIND_IPV4_BROKEN, reason });
  });

  it('but not what only the snaplen made short', () => {
    expect(parse({ frame: ether(query), captured: 14 + 28 })).toMatchObject({ kind: KIND_IPV4_PORTS, flags: FLAG_CUT });
  });
});

describe('columns of a packet with ports', () => {
  it('hold addresses and ports as they lie in the packet, and their hash', () => {
    const found = parse(vlan([0x8100], syn));
    const ports = Buffer.from(syn).readInt32LE(20);
    expect(found).toMatchObject({
      kind: KIND_IPV4_PORTS,
      protocol: 6,
      l3: 18,
      l4: 38,
      end: 58,
      totalLength: 40,
      source: swap32(0xc6336407),
      destination: swap32(0xc0000201),
      ports,
      hash: tupleHash(swap32(0xc6336407), swap32(0xc0000201), ports, 6),
    });
  });

  it('end where the IP packet ends: padding is outside', () => {
    expect(parse(Buffer.concat([ether(syn), Buffer.alloc(20)])).end).toBe(14 + 40);
  });

  it('end where the capture ends, for a packet it cut', () => {
    expect(parse({ frame: ether(query), captured: 50 })).toMatchObject({ end: 50, totalLength: 36, flags: 0 });
    expect(parse({ frame: ether(query), captured: 44 })).toMatchObject({ end: 44, totalLength: 36, flags: FLAG_CUT });
  });

  it('say that the capture marks a frame as sent (pcapng direction flag)', () => {
    expect(parse({ frame: ether(syn), direction: 2 }).flags).toBe(FLAG_OUTGOING);
    expect(parse({ frame: ether(syn), direction: 1 }).flags).toBe(0);
  });

  it('forget the record before: a slab of many kinds is parsed as each alone', () => {
    const frames = [
      ether(syn),
      ether(tcp({ src: SRC, dst: DST, flags: 'S', badChecksum: true })),
      vlan([], syn, 0x0806),
      ether(query),
    ];
    const { columns } = parseFrames(frames.map((frame) => ({ frame })));
    const together = frames.map((_, i) => [columns.kind[i], columns.flags[i]]);
    expect(together).toEqual(frames.map((frame) => [parse(frame).kind, parse(frame).flags]));
  });
});

describe('transport checksums', () => {
  const wrong = [
    ['TCP', tcp({ src: SRC, dst: DST, flags: 'PA', payload: 'x', badChecksum: true })],
    ['UDP', udp({ src: SRC, dst: DST, payload: 'x', badChecksum: true })],
    ['ICMP', icmp({ ...ENDS, type: 8, payload: 'x', badChecksum: true })],
    ['TCP behind IP options', tcp({ src: SRC, dst: DST, flags: 'S', options, badChecksum: true })],
    ['UDP behind IP options', udp({ src: SRC, dst: DST, options, badChecksum: true })],
  ] as const;

  it.each(wrong)('%s, wrong: seen when verifying, with or without offload, not when ignoring', (_, packet) => {
    expect(parse(ether(packet), 'verify').flags).toBe(FLAG_BAD_CHECKSUM);
    expect(parse(ether(packet), 'offload').flags).toBe(FLAG_BAD_CHECKSUM);
    expect(parse(ether(packet), 'ignore').flags).toBe(0);
  });

  it.each([
    ['TCP', tcp({ src: SRC, dst: DST, flags: 'PA', payload: 'odd' })],
    ['UDP', udp({ src: SRC, dst: DST, payload: 'even' })],
    ['UDP without a checksum', udp({ src: SRC, dst: DST, payload: 'x', noChecksum: true })],
    ['ICMP', icmp({ ...ENDS, type: 8, payload: 'x' })],
    ['TCP behind IP options', tcp({ src: SRC, dst: DST, flags: 'S', options })],
    [
      'a fragment, whose checksum is of something else',
      tcp({ src: SRC, dst: DST, flags: 'S', fragment: 0x2000, badChecksum: true }),
    ],
    ['GRE', gre(ENDS)],
  ])('%s, right', (_, packet) => {
    expect(parse(ether(packet)).flags).toBe(0);
  });

  it('of a packet that the snaplen cut is not judged', () => {
    const packet = tcp({ src: SRC, dst: DST, flags: 'PA', payload: 'x'.repeat(100), badChecksum: true });
    expect(parse({ frame: ether(packet), captured: 80 }).flags).toBe(FLAG_CUT);
  });

  it('of UDP covers everything IP carries: bytes behind the datagram make it wrong (E3)', () => {
    const longer = Buffer.concat([query, Buffer.from('more')]);
    expect(parse(ether(withHeader(longer, (header) => header.writeUInt16BE(longer.length, 2)))).flags).toBe(
      FLAG_BAD_CHECKSUM,
    );
  });

  describe('left to the network card', () => {
    /** The packet as the sending host's own tcpdump sees it: only the pseudo header is summed. */
    function unfinished(packet: Uint8Array): Buffer {
      const copy = Buffer.from(packet);
      const protocol = copy[9] ?? 0;
      const pseudo = Buffer.concat([copy.subarray(12, 20), Buffer.from([0, protocol, 0, copy.length - 20])]);
      copy.writeUInt16BE(~checksum(pseudo) & 0xffff, 20 + (protocol === 6 ? 16 : 6));
      return copy;
    }

    it.each([
      ['TCP', tcp({ src: SRC, dst: DST, flags: 'PA', payload: 'hello' })],
      ['UDP', udp({ src: SRC, dst: DST, payload: 'hello!' })],
    ])('%s: is wrong for a verifying host, and finished under --checksum offload', (_, packet) => {
      expect(parse(ether(unfinished(packet)), 'verify').flags).toBe(FLAG_BAD_CHECKSUM);
      const finished = parse(ether(unfinished(packet)), 'offload');
      expect(finished.flags).toBe(0);
      expect(finished.bytes.subarray(14)).toEqual(Buffer.from(packet));
    });

    it('UDP whose finished checksum is 0 gets ffff (RFC 768)', () => {
      // The last two bytes are chosen so that the sum comes out as ffff.
      const without = udp({ src: SRC, dst: DST, payload: Uint8Array.of(0, 0) });
      const sum = Buffer.from(without).readUInt16BE(26);
      const packet = udp({ src: SRC, dst: DST, payload: Uint8Array.of(sum >> 8, sum & 0xff) });
      expect(Buffer.from(packet).readUInt16BE(26)).toBe(0xffff);
      expect(parse(ether(unfinished(packet)), 'offload').bytes.readUInt16BE(14 + 26)).toBe(0xffff);
    });
  });
});
