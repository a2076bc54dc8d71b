/** Conntrack zones: one tuple in two zones is two connections. */
import type { KernelCase } from './cases.js';
import { HOME_HOST, link } from './hosts.js';
import { icmp, tcp, udp } from './packets.js';

const HOST = { ...HOME_HOST, addr: [...HOME_HOST.addr, link('lan2', '10.0.2.1/24')] };

const rules = (raw: readonly string[], nat: readonly string[] = [], filter: readonly string[] = []): string =>
  [
    '*raw',
    ':PREROUTING ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ...raw.map((rule) => `-A ${rule}`),
    'COMMIT',
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    ':INPUT ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ':POSTROUTING ACCEPT [0:0]',
    ...nat.map((rule) => `-A ${rule}`),
    'COMMIT',
    '*filter',
    ':INPUT ACCEPT [0:0]',
    ':FORWARD ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ...filter.map((rule) => `-A ${rule}`),
    ...['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'].map(
      (state) => `-A FORWARD -m conntrack --ctstate ${state}`,
    ),
    'COMMIT',
    '',
  ].join('\n');

const CLIENT = '192.168.1.10:4000';
const SERVER = '198.51.100.1:80';
const from = (iface: string, flags = 'S', src = CLIENT, dst = SERVER) => ({ iface, packet: tcp({ src, dst, flags }) });
const datagram = (iface: string, src: string, dst: string) => ({ iface, packet: udp({ src, dst, payload: 'x' }) });
const unreachable = (iface: string, src: string, dst: string, about: Uint8Array) => ({
  iface,
  packet: icmp({ src, dst, type: 3, code: 3, payload: about.subarray(0, 28) }),
});

export const ZONE_CASES: readonly KernelCase[] = [
  {
    name: 'what a rule of raw sees behind CT and NOTRACK',
    host: HOST,
    rules: rules([
      'PREROUTING -p tcp -j CT --zone 1',
      'PREROUTING -p icmp -j NOTRACK',
      ...['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED', 'SNAT', 'DNAT'].map(
        (state) => `PREROUTING -m conntrack --ctstate ${state}`,
      ),
      ...[
        '! --ctstate NEW',
        '--ctproto tcp',
        '! --ctproto tcp',
        '--ctorigsrc 192.168.1.10',
        '! --ctorigsrc 192.168.1.10',
        '--ctorigsrc 0.0.0.0',
        '--ctorigdstport 80',
        '! --ctorigdstport 80',
        '--ctstatus NONE',
        '--ctstatus CONFIRMED',
        '--ctstatus ASSURED',
        '--ctstatus SEEN_REPLY',
        '! --ctstatus CONFIRMED',
        '--ctexpire 0',
        '! --ctexpire 0',
        '--ctdir ORIGINAL',
        '--ctdir REPLY',
      ].map((what) => `PREROUTING -m conntrack ${what}`),
      'PREROUTING -m connmark --mark 0',
      'PREROUTING -m connmark ! --mark 0',
    ]),
    steps: [
      from('lan'),
      datagram('lan', CLIENT, SERVER),
      { iface: 'lan', packet: icmp({ src: '192.168.1.10', dst: '198.51.100.1', type: 8 }) },
      from('wan', 'SA', SERVER, CLIENT),
      from('lan', 'SF'),
    ],
  },
  {
    name: 'the same tuple from two interfaces, a zone each',
    host: HOST,
    rules: rules([
      'PREROUTING -i lan -j CT --zone 1',
      'PREROUTING -i lan2 -j CT --zone 2',
      'PREROUTING -i wan -j CT --zone 1',
    ]),
    steps: [
      from('lan'),
      from('lan2'),
      from('wan', 'SA', SERVER, CLIENT),
      from('lan', 'A'),
      from('lan2', 'A'),
      unreachable('wan', '198.51.100.1', '192.168.1.10', from('lan').packet),
    ],
  },
  {
    name: 'NAT with zones that hold for the original direction only: replies come back in zone 0',
    host: HOST,
    rules: rules(
      ['PREROUTING -i lan -j CT --zone-orig 1', 'PREROUTING -i lan2 -j CT --zone-orig 2'],
      ['POSTROUTING -o wan -j SNAT --to-source 203.0.113.5'],
    ),
    steps: [
      datagram('lan', '192.168.1.10:4000', '198.51.100.1:53'),
      datagram('lan2', '192.168.1.10:4000', '198.51.100.1:53'),
      (sent) => ({ iface: 'wan', packet: answer(sent[0]?.frame) }),
      datagram('lan', '192.168.1.10:4000', '198.51.100.1:53'),
      datagram('lan', '192.168.1.10:4000', '198.51.100.2:53'),
      datagram('lan2', '192.168.1.10:4000', '198.51.100.2:53'),
    ],
  },
  {
    name: 'zones that hold for the reply direction only',
    host: HOST,
    rules: rules(['PREROUTING -i lan -j CT --zone-reply 3', 'PREROUTING -i wan -j CT --zone 3']),
    steps: [
      datagram('lan', '192.168.1.10:4000', '198.51.100.1:53'),
      datagram('wan', '198.51.100.1:53', '192.168.1.10:4000'),
      datagram('lan2', '192.168.1.10:4000', '198.51.100.1:53'),
    ],
  },
  {
    name: 'a reply that its zone keeps from its connection collides with it (seed 10362)',
    host: HOST,
    rules: rules(['PREROUTING -i lan -j CT --zone-reply 3']),
    steps: [
      datagram('lan', '192.168.1.10:4000', '198.51.100.1:53'),
      datagram('wan', '198.51.100.1:53', '192.168.1.10:4000'),
      from('lan'),
      from('wan', 'S', SERVER, CLIENT),
      { iface: 'lan', packet: icmp({ src: '192.168.1.10', dst: '198.51.100.1', type: 8, icmpId: 9 }) },
      { iface: 'wan', packet: icmp({ src: '198.51.100.1', dst: '192.168.1.10', type: 8, icmpId: 9 }) },
    ],
  },
  {
    name: 'the same where the connection is translated',
    host: HOST,
    rules: rules(
      ['PREROUTING -i lan -j CT --zone-reply 3'],
      ['POSTROUTING -s 192.168.1.0/24 -o wan -j SNAT --to-source 203.0.113.9'],
    ),
    steps: [
      datagram('lan', '192.168.1.10:4000', '198.51.100.1:53'),
      datagram('wan', '198.51.100.1:53', '192.168.1.10:4000'),
      datagram('wan', '198.51.100.1:53', '203.0.113.9:4000'),
    ],
  },
  {
    name: "of two connections with one tuple in one zone, the newer has the packets: its original, the older one's reply",
    host: HOST,
    rules: rules(['PREROUTING -i wan -j CT --zone-reply 3']),
    steps: [
      datagram('lan', '192.168.1.10:4000', '198.51.100.1:53'),
      datagram('wan', '198.51.100.1:53', '192.168.1.10:4000'),
      datagram('lan2', '198.51.100.1:53', '192.168.1.10:4000'),
      datagram('lan', '192.168.1.10:4000', '198.51.100.1:53'),
      unreachable('lan2', '10.0.2.9', '198.51.100.1', udp({ src: SERVER, dst: CLIENT })),
      from('lan'),
      from('wan', 'S', SERVER, CLIENT),
      from('lan2', 'S', SERVER, CLIENT),
      from('lan', 'S'),
    ],
  },
  {
    name: "of two connections with one tuple in one zone, the newer has the packets: its reply, the older one's original",
    host: HOST,
    rules: rules(['PREROUTING -i wan -j CT --zone-reply 3', 'PREROUTING -i lan -j CT --zone-orig 4']),
    steps: [
      datagram('wan', '198.51.100.1:53', '192.168.1.10:4000'),
      datagram('lan', '192.168.1.10:4000', '198.51.100.1:53'),
      datagram('lan2', '198.51.100.1:53', '192.168.1.10:4000'),
      datagram('wan', '198.51.100.1:53', '192.168.1.10:4000'),
      datagram('lan2', '192.168.1.10:4000', '198.51.100.1:53'),
    ],
  },
  {
    name: 'when the newer of two connections with one tuple is gone the older has the packets again, until there is another',
    host: HOST,
    rules: rules([
      'PREROUTING -i wan -j CT --zone-reply 3',
      'PREROUTING -i lan -p tcp --tcp-flags RST RST -j CT --zone 3',
    ]),
    steps: [
      from('lan'),
      from('wan', 'S', SERVER, CLIENT),
      from('lan2', 'S', SERVER, CLIENT),
      { iface: 'lan', packet: tcp({ src: CLIENT, dst: SERVER, flags: 'RA', ack: 1001 }) },
      from('lan2', 'S', SERVER, CLIENT),
      from('wan', 'S', SERVER, CLIENT),
      from('lan2', 'S', SERVER, CLIENT),
    ],
  },
  {
    name: 'the newer of two connections with one tuple where the older one is translated',
    host: HOST,
    rules: rules(
      ['PREROUTING -i wan -j CT --zone-reply 3'],
      ['POSTROUTING -s 192.168.1.0/24 -o wan -j SNAT --to-source 203.0.113.9'],
    ),
    steps: [
      datagram('lan', '192.168.1.10:4000', '198.51.100.1:53'),
      datagram('wan', '198.51.100.1:53', '203.0.113.9:4000'),
      datagram('lan2', '198.51.100.1:53', '203.0.113.9:4000'),
      datagram('lan', '192.168.1.10:4000', '198.51.100.1:53'),
    ],
  },
  {
    name: 'from an address and port to themselves: a reply too, unless that is in another zone (seed 10362)',
    host: HOST,
    rules: rules(['PREROUTING -i lan -j CT --zone-reply 3', 'PREROUTING -i wan -j CT --zone 4']),
    steps: ['192.168.1.10:4000', '192.168.1.10:4001'].flatMap((end) => [
      datagram('lan', end, end),
      datagram('lan2', end, end),
      datagram('lan', end, end),
      datagram('wan', end, end),
      datagram('wan', end, end),
    ]),
  },
  {
    name: 'the mark as zone, set before and after the rule; the first CT or NOTRACK rule holds',
    host: HOST,
    rules: rules([
      'PREROUTING -i lan -p tcp -j MARK --set-mark 0x10007',
      'PREROUTING -i lan -j CT --zone mark',
      'PREROUTING -i lan -j CT --notrack',
      'PREROUTING -i lan -p udp -j MARK --set-mark 9',
      'PREROUTING -i lan2 -p udp -j NOTRACK',
      'PREROUTING -i lan2 -j CT --zone 8',
    ]),
    steps: [
      from('lan'),
      datagram('lan', '192.168.1.10:4000', '198.51.100.1:53'),
      datagram('lan2', '192.168.1.10:4000', '198.51.100.1:53'),
      from('lan2'),
    ],
  },
  {
    name: 'ports taken in one zone are free in another; addresses of a range are hashed with the zone',
    host: HOST,
    rules: rules(
      ['PREROUTING -i lan -j CT --zone 1', 'PREROUTING -i lan2 -j CT --zone 2'],
      ['POSTROUTING -o wan -j SNAT --to-source 203.0.113.16-203.0.113.31'],
    ),
    steps: [
      ...[1, 2, 3, 4, 5, 6].flatMap((n) => [
        datagram('lan', `192.168.1.${n}0:4000`, '198.51.100.1:53'),
        datagram('lan2', `192.168.1.${n}0:4000`, '198.51.100.1:53'),
        datagram('lan', `192.168.1.${n}0:4000`, '198.51.100.2:53'),
      ]),
    ],
  },
  {
    name: 'CT without options, and with events only, in raw OUTPUT and PREROUTING: tracking is on',
    host: HOST,
    rules: rules(['PREROUTING -i lan -j CT', 'OUTPUT -j CT --ctevents new,destroy', 'PREROUTING -i lan -j NOTRACK']),
    steps: [from('lan'), from('lan2')],
  },
];

/** A UDP answer to what the server got. */
function answer(frame: Uint8Array | undefined): Uint8Array {
  const packet = Buffer.from(frame ?? new Uint8Array(42)).subarray(14);
  const dst = `${packet.subarray(12, 16).join('.')}:${packet.readUInt16BE(20)}`;
  return udp({ src: `${packet.subarray(16, 20).join('.')}:${packet.readUInt16BE(22)}`, dst, payload: 'y' });
}
