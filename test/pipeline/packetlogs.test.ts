/** What LOG, NFLOG, ULOG and TRACE rules say of packets, in the packet log. */
import { readFileSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import { hostFromOptions } from '../../src/host/hostoptions.js';
import { type ReplayOptions, replay } from '../../src/pipeline/replay.js';
import { parseRules } from '../../src/rules/parse.js';
import { temporaryFolder } from '../capture/build.js';
import { build, parsePacket } from '../kernel/language.js';
import { udp } from '../kernel/packets.js';
import { type CaptureRecord, frame, pcapFile } from '../support/packets.js';

const folder = temporaryFolder();
const ETH0 = '02:42:c0:00:02:01';
const PEER = '02:00:00:00:00:99';
const LAN_MAC = '02:42:c0:a8:01:01';
const host = hostFromOptions({
  iface: [`eth0@${ETH0}=192.0.2.1/24,2001:db8::1/64`, `lan@${LAN_MAC}=192.168.1.1/24,2001:db8:1::1/64`],
  route: ['default=192.0.2.254@eth0'],
});

/** Packets as the packet language of the kernel tests has them, one a millisecond, to eth0 or, with `<`, to lan. */
const records = (packets: readonly (string | Uint8Array)[]): CaptureRecord[] =>
  packets.map((text, i) => {
    const isReply = typeof text === 'string' && text.startsWith('< ');
    const packet = typeof text === 'string' ? build(parsePacket(text.replace('< ', '').split(' '))) : text;
    const ethertype = (packet[0] ?? 0) >> 4 === 6 ? 0x86dd : 0x0800;
    return { at: 1_700_000_000 + i / 1000, frame: frame(PEER, isReply ? LAN_MAC : ETH0, packet, ethertype) };
  });

let runs = 0;

/** The log's entries. */
async function log(
  rules: string,
  packets: readonly (string | Uint8Array)[],
  options: Partial<ReplayOptions> = {},
): Promise<Record<string, unknown>[]> {
  const path = folder(`in${runs++}.pcap`, pcapFile(records(packets), 1));
  const packetLog = `${path}.ndjson`;
  const family = options.rules6 === undefined ? { rules: parse(rules) } : {};
  await replay({ captures: [{ path }], host, packetLog, ...family, ...options });
  const lines = readFileSync(packetLog, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

const parse = (text: string, family: 4 | 6 = 4) => parseRules(text, { file: 'rules', family, unsupported: 'stop' });
const filter = (...rules: string[]): string =>
  ['*filter', ':INPUT ACCEPT [0:0]', ':FORWARD ACCEPT [0:0]', ':OUTPUT ACCEPT [0:0]', ...rules, 'COMMIT', ''].join(
    '\n',
  );

const TO_LAN = 'udp 198.51.100.7:40000 > 192.168.1.20:53 len 20';
const FROM_LAN = '< udp 192.168.1.20:53 > 198.51.100.7:40000 len 20';
const CONNECTION = [TO_LAN, FROM_LAN, TO_LAN, FROM_LAN, TO_LAN];

describe('a rule that logs', () => {
  test.each<[string, string, unknown]>([
    [
      'LOG, with its prefix',
      '-A FORWARD -j LOG --log-prefix "dns: "',
      { target: 'LOG', rule: 'filter:FORWARD:1', prefix: 'dns: ' },
    ],
    ['LOG without one', '-A FORWARD -p udp -j LOG', { target: 'LOG', rule: 'filter:FORWARD:1' }],
    [
      'NFLOG, with its group',
      '-A FORWARD -j NFLOG --nflog-group 5',
      { target: 'NFLOG', rule: 'filter:FORWARD:1', group: 5 },
    ],
    [
      'ULOG, in the group it has of itself',
      '-A FORWARD -j ULOG --ulog-prefix x',
      { target: 'ULOG', rule: 'filter:FORWARD:1', prefix: 'x', group: 1 },
    ],
  ])('%s', async (_name, rule, line) => {
    const [entry] = await log(filter(rule), [TO_LAN]);
    expect(entry).toMatchObject({ verdict: 'forward', logs: [line] });
    expect(entry).not.toHaveProperty('trace');
  });

  it('is in the entry of every packet that met it, established ones too, and of no other', async () => {
    const rules = filter('-A FORWARD -i eth0 -j LOG --log-prefix in');
    const entries = await log(rules, CONNECTION);
    expect(entries.map((entry) => 'logs' in entry)).toEqual([true, false, true, false, true]);
  });

  it('is there too when the packet is dropped behind it, and in the order met when there are several', async () => {
    const [entry] = await log(
      filter(
        '-N DROPPED',
        '-A FORWARD -p udp -j LOG --log-prefix "1 "',
        '-A FORWARD -p tcp -j LOG',
        '-A FORWARD -j DROPPED',
        '-A DROPPED -j NFLOG --nflog-prefix "2 "',
        '-A DROPPED -j DROP',
      ).replace('-N DROPPED', ':DROPPED - [0:0]'),
      [TO_LAN],
    );
    expect(entry).toMatchObject({
      verdict: 'drop',
      why: 'filter:DROPPED:2',
      logs: [
        { target: 'LOG', rule: 'filter:FORWARD:1', prefix: '1 ' },
        { target: 'NFLOG', rule: 'filter:DROPPED:1', prefix: '2 ', group: 0 },
      ],
    });
  });

  it('of IPv6 is named like those of IPv4', async () => {
    const [entry] = await log('', [udp({ src: '[2001:db8::7]:4000', dst: '[2001:db8:1::20]:53' })], {
      rules6: parse(filter('-A FORWARD -j LOG --log-prefix six'), 6),
    });
    expect(entry).toMatchObject({ logs: [{ target: 'LOG', rule: 'filter:FORWARD:1', prefix: 'six' }] });
  });

  it('of connections begun one like the other is met by each of them', async () => {
    const rules = filter('-A FORWARD -p udp --dport 53 -j LOG', '-A FORWARD -p tcp -j LOG');
    const packets = Array.from(
      { length: 40 },
      (_, i) => `udp 198.51.100.7:${40000 + i} > 192.168.1.20:${i % 2 === 0 ? 53 : 54} len 20`,
    );
    const entries = await log(rules, [...packets, ...packets]);
    expect(entries.map((entry) => 'logs' in entry)).toEqual([...packets, ...packets].map((_, i) => i % 2 === 0));
  });
});

describe('TRACE', () => {
  const RULES = `*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -p udp -m udp --dport 53 -j TRACE
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -o lan -j SNAT --to-source 192.168.1.1
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:EMPTY - [0:0]
:SOME - [0:0]
:ONE - [0:0]
-A FORWARD -p tcp -j LOG
-A FORWARD -p udp -j EMPTY
-A FORWARD -i eth0 -j SOME
-A FORWARD -j ONE
-A FORWARD -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT
-A ONE -j RETURN
-A SOME -p udp -j LOG --log-prefix "way: "
-A SOME -s 198.51.100.0/24 -j RETURN
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A FORWARD -m comment --comment "all of it" -j ACCEPT
-A POSTROUTING -j ACCEPT
-A PREROUTING -i eth+ -j ACCEPT
COMMIT
`;
  /** What Linux 6.18 logged of such a packet: `TRACE: raw:PREROUTING:policy:2` and so on. */
  const KERNEL = [
    'raw:PREROUTING:policy:2',
    'mangle:PREROUTING:rule:1',
    'nat:PREROUTING:policy:1',
    'mangle:FORWARD:rule:1',
    'filter:FORWARD:rule:2',
    'filter:EMPTY:return:1',
    'filter:FORWARD:rule:3',
    'filter:SOME:rule:1',
    'filter:SOME:rule:2',
    'filter:FORWARD:rule:4',
    'filter:ONE:return:1',
    'filter:FORWARD:rule:5',
    'mangle:POSTROUTING:policy:1',
    'nat:POSTROUTING:rule:1',
  ];

  it('lists every rule that the packet meets behind it, as the kernel names them', async () => {
    const [first, other, again] = await log(RULES, [TO_LAN, 'tcp 198.51.100.7:40000 > 192.168.1.20:80 S', TO_LAN]);
    expect(first).toMatchObject({
      logs: [
        { target: 'TRACE', rule: 'raw:PREROUTING:1' },
        { target: 'LOG', rule: 'filter:SOME:1', prefix: 'way: ' },
      ],
      trace: KERNEL,
    });
    expect(other).toMatchObject({ logs: [{ target: 'LOG', rule: 'filter:FORWARD:1' }] });
    expect(other).not.toHaveProperty('trace');
    // Of a known connection, without the nat table.
    expect(again).toMatchObject({ trace: KERNEL.filter((rule) => !rule.startsWith('nat:')) });
  });
});
