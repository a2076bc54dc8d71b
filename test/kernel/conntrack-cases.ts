/** Connection tracking of protocols other than TCP, case by case: what the kernel was seen to make of each packet. */
import type { KernelCase } from './cases.js';
import { HOME_HOST } from './hosts.js';
import { ip, udp } from './packets.js';
import { CHUNK, type SctpChunk, sctp } from './sctp.js';

/** A home gateway that masquerades, with a rule that counts each state and marks nothing. */
export const COUNTING_RULES = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -o wan -j MASQUERADE
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate INVALID
-A FORWARD -m conntrack --ctstate NEW
-A FORWARD -m conntrack --ctstate ESTABLISHED
-A FORWARD -m conntrack --ctstate RELATED
-A FORWARD -m conntrack --ctstate UNTRACKED
COMMIT
`;

const CLIENT = '192.168.1.10';
const SERVER = '198.51.100.1';
const PUBLIC = '203.0.113.5';

interface Sctp {
  readonly tag?: number;
  readonly chunks: readonly SctpChunk[];
  readonly badChecksum?: boolean;
  readonly port?: number;
}

/** From the client, and from the server to the address that it sees. */
const fromClient = ({ port = 5000, ...rest }: Sctp) => ({
  iface: 'lan',
  packet: sctp({ src: `${CLIENT}:${port}`, dst: `${SERVER}:36412`, ...rest }),
});
const fromServer = ({ port = 5000, ...rest }: Sctp) => ({
  iface: 'wan',
  packet: sctp({ src: `${SERVER}:36412`, dst: `${PUBLIC}:${port}`, ...rest }),
});

const A = 0x1111_0001;
const B = 0xfedc_ba98;
const init = fromClient({ chunks: [{ type: CHUNK.init, initiateTag: A }] });
const initAck = fromServer({ tag: A, chunks: [{ type: CHUNK.initAck, initiateTag: B }] });
const cookieEcho = fromClient({ tag: B, chunks: [{ type: CHUNK.cookieEcho }, { type: CHUNK.data }] });
const cookieAck = fromServer({ tag: A, chunks: [{ type: CHUNK.cookieAck }] });
const association = [init, initAck, cookieEcho, cookieAck];
const client = (type: number, more: Partial<Sctp> = {}) => fromClient({ tag: B, chunks: [{ type }], ...more });
const server = (type: number, more: Partial<Sctp> = {}) => fromServer({ tag: A, chunks: [{ type }], ...more });

const sctpCase = (name: string, steps: KernelCase['steps']): KernelCase => ({
  name: `SCTP: ${name}`,
  host: HOME_HOST,
  rules: COUNTING_RULES,
  steps,
});

const SCTP_CASES: readonly KernelCase[] = [
  sctpCase('an association, data both ways, an orderly end', [
    ...association,
    client(CHUNK.data),
    server(CHUNK.sack),
    server(CHUNK.data),
    client(CHUNK.shutdown),
    server(CHUNK.shutdownAck),
    client(CHUNK.shutdownComplete),
  ]),
  sctpCase('the server shuts down', [
    ...association,
    server(CHUNK.shutdown),
    client(CHUNK.shutdownAck),
    server(CHUNK.shutdownComplete),
    client(CHUNK.data),
  ]),
  sctpCase('aborted with the own tag', [...association, client(CHUNK.abort), server(CHUNK.data)]),
  sctpCase('aborted with the reflected tag', [
    ...association,
    fromClient({ tag: A, chunks: [{ type: CHUNK.abort, flags: 1 }] }),
  ]),
  sctpCase('an abort with a wrong tag is INVALID', [...association, client(CHUNK.abort, { tag: 77 })]),
  sctpCase('a wrong tag and a wrong CRC are INVALID', [
    ...association,
    client(CHUNK.data, { tag: 77 }),
    server(CHUNK.data, { tag: 77 }),
    client(CHUNK.data, { badChecksum: true }),
  ]),
  sctpCase('out of the blue: what begins an entry and what is INVALID', [
    ...[0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15, 63, 130, 192].map((type) =>
      fromClient({ port: 6000 + type, tag: B, chunks: [{ type }] }),
    ),
    fromClient({ port: 7000, tag: 5, chunks: [{ type: CHUNK.init, initiateTag: A }] }),
    fromClient({ port: 7001, tag: 0, chunks: [{ type: CHUNK.init }] }),
    fromClient({ port: 7002, chunks: [] }),
  ]),
  sctpCase('chunks that must not stand together', [
    ...association,
    fromClient({ port: 6100, chunks: [{ type: CHUNK.init, initiateTag: A }, { type: CHUNK.data }] }),
    fromClient({ tag: B, chunks: [{ type: CHUNK.data }, { type: CHUNK.cookieEcho }] }),
    fromServer({ tag: A, chunks: [{ type: CHUNK.sack }, { type: CHUNK.cookieAck }] }),
    fromServer({ tag: A, chunks: [{ type: CHUNK.sack }, { type: CHUNK.data }, { type: CHUNK.heartbeat }] }),
  ]),
  sctpCase('a chunk of length zero ends the walk', [
    ...association,
    (() => {
      const packet = Buffer.from(client(CHUNK.data).packet);
      packet.writeUInt16BE(0, 20 + 12 + 2);
      return { iface: 'lan', packet: withCrc(packet) };
    })(),
    (() => {
      const packet = Buffer.from(fromClient({ tag: B, chunks: [{ type: 3 }, { type: 0 }] }).packet);
      packet.writeUInt16BE(0, 20 + 12 + 8 + 2);
      return { iface: 'lan', packet: withCrc(packet) };
    })(),
  ]),
  sctpCase('INIT again and again, and anew after the end', [
    init,
    init,
    init,
    initAck,
    fromClient({ chunks: [{ type: CHUNK.init, initiateTag: 0x3333 }] }),
    fromServer({ tag: 0x3333, chunks: [{ type: CHUNK.initAck, initiateTag: B }] }),
    client(CHUNK.cookieEcho),
    server(CHUNK.cookieAck, { tag: 0x3333 }),
    client(CHUNK.shutdown),
    init,
  ]),
  sctpCase('an INIT ACK that contradicts', [
    init,
    initAck,
    fromServer({ tag: A, chunks: [{ type: CHUNK.initAck, initiateTag: 0x4444 }] }),
    fromClient({ tag: 0x4444, chunks: [{ type: CHUNK.cookieEcho }] }),
    fromClient({ tag: B, chunks: [{ type: CHUNK.cookieEcho }] }),
  ]),
  sctpCase('INITs that cross', [
    init,
    fromServer({ chunks: [{ type: CHUNK.init, initiateTag: B }] }),
    fromClient({ tag: B, chunks: [{ type: CHUNK.initAck, initiateTag: A }] }),
    fromServer({ tag: A, chunks: [{ type: CHUNK.initAck, initiateTag: 0x5555 }] }),
    fromServer({ tag: A, chunks: [{ type: CHUNK.initAck, initiateTag: B }] }),
    cookieEcho,
    cookieAck,
  ]),
  sctpCase('a stale cookie', [init, initAck, cookieEcho, server(CHUNK.error), init]),
  sctpCase('a second path by heartbeat', [
    client(CHUNK.heartbeat),
    client(CHUNK.heartbeat),
    server(CHUNK.heartbeatAck),
    client(CHUNK.data),
    server(CHUNK.data),
    server(CHUNK.data, { tag: 3 }),
  ]),
  sctpCase('a heartbeat with another tag, and its answer', [
    client(CHUNK.heartbeat),
    server(CHUNK.heartbeatAck),
    client(CHUNK.heartbeat, { tag: 0x6666 }),
    fromClient({ tag: 0x7777, chunks: [{ type: CHUNK.heartbeat }, { type: CHUNK.data }] }),
    server(CHUNK.heartbeatAck, { tag: 0x8888 }),
    server(CHUNK.data, { tag: 0x8888 }),
    client(CHUNK.heartbeat, { tag: 0x6666 }),
    client(CHUNK.data, { tag: 0x6666 }),
  ]),
  {
    ...sctpCase('ports in use give way, with a new CRC', [
      ...association,
      (() => {
        const packet = sctp({
          src: '192.168.1.11:5000',
          dst: `${SERVER}:36412`,
          chunks: [{ type: 1, initiateTag: 9 }],
        });
        return { iface: 'lan', packet };
      })(),
    ]),
  },
  {
    ...sctpCase('DNAT to another port', [
      { iface: 'wan', packet: sctp({ src: `${SERVER}:7`, dst: `${PUBLIC}:9`, chunks: [{ type: 1, initiateTag: 9 }] }) },
      {
        iface: 'lan',
        packet: sctp({
          src: '192.168.1.20:36412',
          dst: `${SERVER}:7`,
          tag: 9,
          chunks: [{ type: 2, initiateTag: 8 }],
        }),
      },
    ]),
    rules: COUNTING_RULES.replace(
      '-A POSTROUTING',
      '-A PREROUTING -i wan -p sctp -m sctp --dport 9 -j DNAT --to-destination 192.168.1.20:36412\n-A POSTROUTING',
    ).replace(' -m sctp --dport 9', ''),
  },
  {
    ...sctpCase('with nf_conntrack_checksum 0 a wrong CRC is let pass, and made right by NAT', [
      fromClient({ chunks: [{ type: CHUNK.init, initiateTag: A }], badChecksum: true }),
    ]),
    host: { ...HOME_HOST, sysctl: { 'net.netfilter.nf_conntrack_checksum': '0' } },
  },
];

/** A packet whose SCTP part was changed by hand. */
function withCrc(packet: Buffer): Uint8Array {
  const fixed = Buffer.from(packet);
  fixed.writeUInt32LE(0, 28);
  let crc = 0xffffffff;
  for (const byte of fixed.subarray(20)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0x82f63b78;
  }
  fixed.writeUInt32LE(~crc >>> 0, 28);
  return fixed;
}

const udpPacket = (port: number, more: { badChecksum?: boolean } = {}) => ({
  iface: 'lan',
  packet: udp({ src: `${CLIENT}:${port}`, dst: `${SERVER}:53`, payload: 'x', ...more }),
});
const udpAnswer = (port: number) => ({
  iface: 'wan',
  packet: udp({ src: `${SERVER}:53`, dst: `${PUBLIC}:${port}`, payload: 'y' }),
});

/** UDP-Lite with coverage 8 (RFC 3828); `sum` goes over what the number of `protocol` and the whole length make. */
function udpLite(src: string, sport: number, options: { coverage?: number; sumOf?: number; sum?: number } = {}) {
  const { coverage = 8, sumOf = 136 } = options;
  const datagram = Buffer.alloc(12, 'abcd');
  datagram.writeUInt16BE(sport, 0);
  datagram.writeUInt16BE(7, 2);
  datagram.writeUInt16BE(coverage, 4);
  datagram.writeUInt16BE(0, 6);
  const pseudo = Buffer.concat([
    Buffer.from([...src.split('.').map(Number), ...SERVER.split('.').map(Number), 0, sumOf, 0, 12]),
    coverage === 0 ? datagram : datagram.subarray(0, coverage),
  ]);
  let sum = 0;
  for (let i = 0; i < pseudo.length; i += 2) sum += pseudo.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  datagram.writeUInt16BE(options.sum ?? ~sum & 0xffff, 6);
  return { iface: 'lan', packet: ip({ src, dst: SERVER }, 136, datagram) };
}

const other = (src: string, protocol: number, hex: string) => ({
  iface: 'lan',
  packet: ip({ src, dst: SERVER }, protocol, Buffer.from(hex, 'hex')),
});
const otherAnswer = (protocol: number, hex: string) => ({
  iface: 'wan',
  packet: ip({ src: SERVER, dst: PUBLIC }, protocol, Buffer.from(hex, 'hex')),
});

const DCCP_REQUEST = '13881f4005000000abcd0000000000010000000200000000';
const counting = (name: string, steps: KernelCase['steps'], sysctl: Record<string, string> = {}): KernelCase => ({
  name,
  host: { ...HOME_HOST, sysctl },
  rules: COUNTING_RULES,
  steps,
});

export const CONNTRACK_CASES: readonly KernelCase[] = [
  ...SCTP_CASES,
  counting('UDP is assured when it is answered and older than two seconds (F4)', [
    udpPacket(4000),
    udpAnswer(4000),
    { ...udpPacket(4000), wait: 1000 },
    udpPacket(4001),
    udpAnswer(4001),
    { ...udpPacket(4000), wait: 1300 },
    udpPacket(4001),
  ]),
  counting(
    'UDP times out by the host file',
    [udpPacket(4000), udpAnswer(4000), { ...udpAnswer(4000), wait: 1500 }, udpPacket(4000)],
    { 'net.netfilter.nf_conntrack_udp_timeout': '1' },
  ),
  counting('a wrong checksum with nf_conntrack_checksum 0', [udpPacket(4000, { badChecksum: true })], {
    'net.netfilter.nf_conntrack_checksum': '0',
  }),
  counting('UDP-Lite: correct is INVALID, summed as UDP is not (E3)', [
    udpLite('192.168.1.10', 1000),
    udpLite('192.168.1.11', 1000, { coverage: 0, sumOf: 17 }),
    udpLite('192.168.1.12', 1000, { coverage: 0 }),
    udpLite('192.168.1.13', 1000, { sum: 0 }),
    udpLite('192.168.1.14', 1000, { coverage: 12, sumOf: 17 }),
    udpLite('192.168.1.15', 1000, { coverage: 4, sumOf: 17 }),
    udpLite('192.168.1.16', 1000, { coverage: 13, sumOf: 17 }),
  ]),
  counting(
    'UDP-Lite without checksums verified',
    [
      udpLite('192.168.1.10', 1000),
      udpLite('192.168.1.11', 1000),
      udpLite('192.168.1.13', 1000, { sum: 0 }),
      udpLite('192.168.1.15', 1000, { coverage: 4 }),
    ],
    { 'net.netfilter.nf_conntrack_checksum': '0' },
  ),
  counting('DCCP has no tracker of its own: one user of an address at a time, ports kept', [
    other('192.168.1.10', 33, DCCP_REQUEST),
    otherAnswer(33, DCCP_REQUEST),
    other('192.168.1.11', 33, DCCP_REQUEST),
    other('192.168.1.12', 33, '1388'),
  ]),
  counting('GRE: version 0 by addresses, PPTP by call id, cut and odd ones (B11)', [
    other('192.168.1.10', 47, '0000080045000000'),
    otherAnswer(47, '0000080045000000'),
    other('192.168.1.10', 47, '0000080045000000'),
    other('192.168.1.11', 47, '0000080045000000'),
    other('192.168.1.10', 47, '2001880b000000420000000a'),
    otherAnswer(47, '2001880b000000420000000a'),
    other('192.168.1.12', 47, '2001880b000000430000000a'),
    other('192.168.1.12', 47, '2001880b000000440000000a'),
    other('192.168.1.13', 47, '20010800000000440000000a'),
    other('192.168.1.14', 47, '200108'),
    other('192.168.1.14', 47, '20010800'),
    other('192.168.1.15', 47, '2002080000000001'),
    other('192.168.1.16', 47, ''),
  ]),
  counting('protocols that nothing is known of', [
    other('192.168.1.10', 50, '0001020304050607'),
    otherAnswer(50, '0001020304050607'),
    other('192.168.1.11', 50, '0001020304050607'),
    other('192.168.1.11', 51, ''),
    other('192.168.1.12', 4, '45'),
    other('192.168.1.12', 253, '01'),
    other('192.168.1.12', 0, '01'),
    other('192.168.1.12', 58, '8000000000000000'),
    other('192.168.1.12', 255, '01'),
  ]),
];
