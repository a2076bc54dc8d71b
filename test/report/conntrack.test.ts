import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { conntrackLine, conntrackText } from '../../src/report/conntrack.js';
import type { ConnectionEntry, ConnectionTuple } from '../../src/report/types.js';
import { needs } from '../support/requirements.js';

const NOTHING = { sourcePort: undefined, destinationPort: undefined, icmp: undefined, greKey: undefined };

function ports(source: string, sourcePort: number, destination: string, destinationPort: number): ConnectionTuple {
  return { ...NOTHING, source, destination, sourcePort, destinationPort };
}

function icmp(source: string, destination: string, type: number, id: number): ConnectionTuple {
  return { ...NOTHING, source, destination, icmp: { type, code: 0, id } };
}

function gre(source: string, destination: string, greKey: number, greDestinationKey?: number): ConnectionTuple {
  return { ...NOTHING, source, destination, greKey, greDestinationKey };
}

function entry(
  protocol: number,
  original: ConnectionTuple,
  reply: ConnectionTuple,
  more: Partial<ConnectionEntry> = {},
) {
  const family = original.source.includes(':') ? 6 : 4;
  const plain = { timeout: 1000, tcpState: undefined, seenReply: false, assured: false, mark: 0, zone: 0 } as const;
  return { family, protocol, original, reply, ...plain, ...more } as const satisfies ConnectionEntry;
}

const A = '10.0.0.1';
const B = '10.0.0.2';
const A6 = '2001:db8::1';
const B6 = '::ffff:192.0.2.1';
const seen = { seenReply: true } as const;
const assured = { seenReply: true, assured: true } as const;

/** How conntrack -I makes the entry, the entry, and its line as conntrack 1.4.7 printed it. */
const CASES: readonly (readonly [name: string, insert: string, made: ConnectionEntry, line: string])[] = [
  [
    'TCP to a published port, both ways seen',
    '-p tcp -s 198.51.100.7 -d 192.0.2.1 --sport 40000 --dport 8799 -r 172.17.0.3 -q 198.51.100.7 --reply-port-src 1337 --reply-port-dst 40000 --state ESTABLISHED -u SEEN_REPLY,ASSURED',
    entry(6, ports('198.51.100.7', 40000, '192.0.2.1', 8799), ports('172.17.0.3', 1337, '198.51.100.7', 40000), {
      ...assured,
      tcpState: 'ESTABLISHED',
    }),
    'tcp      6 1000 ESTABLISHED src=198.51.100.7 dst=192.0.2.1 sport=40000 dport=8799 src=172.17.0.3 dst=198.51.100.7 sport=1337 dport=40000 [ASSURED] mark=0 use=1',
  ],
  [
    'TCP without an answer',
    `-p tcp -s ${A} -d ${B} --sport 1 --dport 80 --state SYN_SENT`,
    entry(6, ports(A, 1, B, 80), ports(B, 80, A, 1), { tcpState: 'SYN_SENT' }),
    'tcp      6 1000 SYN_SENT src=10.0.0.1 dst=10.0.0.2 sport=1 dport=80 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=80 dport=1 mark=0 use=1',
  ],
  [
    'UDP with the largest mark',
    `-p udp -s ${A} -d ${B} --sport 53 --dport 53 -u SEEN_REPLY,ASSURED -m 4294967295`,
    entry(17, ports(A, 53, B, 53), ports(B, 53, A, 53), { ...assured, mark: 0xffffffff }),
    'udp      17 1000 src=10.0.0.1 dst=10.0.0.2 sport=53 dport=53 src=10.0.0.2 dst=10.0.0.1 sport=53 dport=53 [ASSURED] mark=4294967295 use=1',
  ],
  [
    'UDP in a zone',
    `-p udp -s ${A} -d ${B} --sport 54 --dport 53 -w 12`,
    entry(17, ports(A, 54, B, 53), ports(B, 53, A, 54), { zone: 12 }),
    'udp      17 1000 src=10.0.0.1 dst=10.0.0.2 sport=54 dport=53 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=53 dport=54 mark=0 zone=12 use=1',
  ],
  [
    'a ping and its answer',
    `-p icmp -s ${A} -d ${B} --icmp-type 8 --icmp-code 0 --icmp-id 17 -u SEEN_REPLY`,
    entry(1, icmp(A, B, 8, 17), icmp(B, A, 0, 17), seen),
    'icmp     1 1000 src=10.0.0.1 dst=10.0.0.2 type=8 code=0 id=17 src=10.0.0.2 dst=10.0.0.1 type=0 code=0 id=17 mark=0 use=1',
  ],
  [
    'GRE with the keys of PPTP',
    `-p gre -s ${A} -d ${B} --srckey 0x1234 --dstkey 0x22`,
    entry(47, gre(A, B, 0x1234, 0x22), gre(B, A, 0x22, 0x1234)),
    'gre      47 1000 src=10.0.0.1 dst=10.0.0.2 srckey=0x1234 dstkey=0x22 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 srckey=0x22 dstkey=0x1234 mark=0 use=1',
  ],
  [
    'plain GRE',
    `-p gre -s ${A} -d 10.0.0.3 --srckey 0 --dstkey 0`,
    entry(47, gre(A, '10.0.0.3', 0), gre('10.0.0.3', A, 0)),
    'gre      47 1000 src=10.0.0.1 dst=10.0.0.3 srckey=0x0 dstkey=0x0 [UNREPLIED] src=10.0.0.3 dst=10.0.0.1 srckey=0x0 dstkey=0x0 mark=0 use=1',
  ],
  [
    'SCTP',
    `-p sctp -s ${A} -d ${B} --sport 1000 --dport 2000 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2`,
    entry(132, ports(A, 1000, B, 2000), ports(B, 2000, A, 1000), { tcpState: 'ESTABLISHED' }),
    'sctp     132 1000 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1000 dport=2000 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=2000 dport=1000 mark=0 use=1',
  ],
  [
    'UDP-Lite',
    `-p udplite -s ${A} -d ${B} --sport 1000 --dport 2000`,
    entry(136, ports(A, 1000, B, 2000), ports(B, 2000, A, 1000)),
    'udplite  136 1000 src=10.0.0.1 dst=10.0.0.2 sport=1000 dport=2000 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=2000 dport=1000 mark=0 use=1',
  ],
  [
    'ESP, which the kernel tracks by addresses alone',
    `-p 50 -s ${A} -d ${B}`,
    entry(50, { ...NOTHING, source: A, destination: B }, { ...NOTHING, source: B, destination: A }),
    'unknown  50 1000 src=10.0.0.1 dst=10.0.0.2 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 mark=0 use=1',
  ],
  [
    'a protocol without a name',
    `-p 253 -s ${A} -d ${B}`,
    entry(253, { ...NOTHING, source: A, destination: B }, { ...NOTHING, source: B, destination: A }),
    'unknown  253 1000 src=10.0.0.1 dst=10.0.0.2 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 mark=0 use=1',
  ],
  [
    'TCP over IPv6',
    `-p tcp -s ${A6} -d ${B6} --sport 1 --dport 2 --state ESTABLISHED -u SEEN_REPLY,ASSURED`,
    entry(6, ports(A6, 1, B6, 2), ports(B6, 2, A6, 1), { ...assured, tcpState: 'ESTABLISHED' }),
    'tcp      6 1000 ESTABLISHED src=2001:db8::1 dst=::ffff:192.0.2.1 sport=1 dport=2 src=::ffff:192.0.2.1 dst=2001:db8::1 sport=2 dport=1 [ASSURED] mark=0 use=1',
  ],
  [
    'an ICMPv6 echo request',
    `-p icmpv6 -s ${A6} -d 2001:db8::2 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 9`,
    entry(58, icmp(A6, '2001:db8::2', 128, 9), icmp('2001:db8::2', A6, 129, 9)),
    'icmpv6   58 1000 src=2001:db8::1 dst=2001:db8::2 type=128 code=0 id=9 [UNREPLIED] src=2001:db8::2 dst=2001:db8::1 type=129 code=0 id=9 mark=0 use=1',
  ],
];

describe('the connection table as conntrack -L prints it', () => {
  test.each(CASES)('%s', (_, __, made, line) => expect(conntrackLine(made)).toBe(`${line}\n`));

  it('is a line per entry, in the order given', () => {
    expect(conntrackText([])).toBe('');
    const entries = CASES.map(([, , made]) => made);
    expect(conntrackText(entries)).toBe(CASES.map(([, , , line]) => `${line}\n`).join(''));
  });
});

const requirement = needs({ root: true, commands: ['ip', 'conntrack'] });
const namespace = `nrconntrack${process.pid}`;
const inside = (command: string): string =>
  execFileSync('ip', ['netns', 'exec', namespace, ...command.split(' ')], { encoding: 'utf8', stdio: 'pipe' });

describe.skipIf(requirement.skip)(`against the conntrack program ${requirement.reason}`, () => {
  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', namespace]);
  });
  afterAll(() => {
    execFileSync('ip', ['netns', 'del', namespace]);
  });

  it('prints the same entries in the same bytes', () => {
    for (const [, insert] of CASES) inside(`conntrack -I ${insert} -t 1000`);
    // The seconds that pass meanwhile don't belong to the comparison, nor does the order of the kernel's hash.
    const sorted = (text: string): string[] =>
      text
        .replace(/ (1000|99\d) /g, ' 1000 ')
        .split('\n')
        .sort();
    expect(sorted(inside('conntrack -L'))).toEqual(sorted(conntrackText(CASES.map(([, , made]) => made))));
  });
});
