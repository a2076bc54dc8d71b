/** With no port left, a new connection may take the tuple of one that is closed already (kernel: nf_nat_used_tuple_harder). */
import { HOME_HOST } from '../hosts.js';
import { type Case, chapter } from './chapter.js';

/** A connection of 192.168.1.9 behind 203.0.113.5:4000: segments of the client (`>`) and the server (`<`), as they leave. */
const talk = (...segments: readonly string[]): string =>
  segments
    .map((segment) => {
      const [side, flags = '', ...numbers] = segment.split(' ');
      const words = `${flags} ${numbers.join(' ')}`;
      return side === '>'
        ? `in lan tcp 192.168.1.9:4000 > 198.51.100.1:80 ${words}\nout wan tcp 203.0.113.5:4000 > 198.51.100.1:80 ${flags}`
        : `in wan tcp 198.51.100.1:80 > 203.0.113.5:4000 ${words}\nout lan tcp 198.51.100.1:80 > 192.168.1.9:4000 ${flags}`;
    })
    .join('\n');
/** Somebody else's connection to the same server, for which the range has no port left. */
const other = (seq: number, taken: boolean): string =>
  `in lan tcp 192.168.1.10:4000 > 198.51.100.1:80 S seq ${seq}\n${taken ? 'out wan tcp 203.0.113.5:4000 > 198.51.100.1:80 S' : 'drop'}`;
const HANDSHAKE = ['> S seq 1000', '< SA seq 9000 ack 1001', '> A seq 1001 ack 9001'];
/** The client's last byte, its FIN, has number 1001. */
const CLOSED_BY_CLIENT = [
  ...HANDSHAKE,
  '> FA seq 1001 ack 9001',
  '< A seq 9001 ack 1002',
  '< FA seq 9001 ack 1002',
  '> A seq 1002 ack 9002',
];
const CLOSED_BY_SERVER = [
  ...HANDSHAKE,
  '< FA seq 9001 ack 1001',
  '> A seq 1001 ack 9002',
  '> FA seq 1001 ack 9002',
  '< A seq 9002 ack 1002',
];
const NEWCOMER = 'tcp SYN_SENT 192.168.1.10:4000 > 198.51.100.1:80 [UNREPLIED] 198.51.100.1:80 > 203.0.113.5:4000';
const first = (state: string): string =>
  `tcp ${state} 192.168.1.9:4000 > 198.51.100.1:80 198.51.100.1:80 > 203.0.113.5:4000 [ASSURED]`;

/** Of two ports one is in use, as the kernel does not even ask whether a range's only port is free. */
const FULL_BUT_ONE =
  'in lan tcp 192.168.1.20:4001 > 198.51.100.1:80 S\nout wan tcp 203.0.113.5:4001 > 198.51.100.1:80 S';

const TAKEOVERS: readonly Case[] = [
  {
    name: 'in TIME_WAIT, closed by the client: a SYN whose sequence number goes on from it takes the tuple',
    script: `${talk(...CLOSED_BY_CLIENT)}\n${other(1002, true)}`,
    connections: [NEWCOMER],
  },
  {
    name: 'in TIME_WAIT, closed by the client: a SYN with the number of its last byte, or a lower one, does not',
    script: `${talk(...CLOSED_BY_CLIENT)}\n${[1001, 1000, 7, 0x8000_03e9].map((seq) => other(seq, false)).join('\n')}`,
    connections: [first('TIME_WAIT')],
  },
  {
    name: 'in TIME_WAIT, closed by the server: the same',
    script: `${talk(...CLOSED_BY_SERVER)}\n${other(1001, false)}\n${other(50_000, true)}`,
    connections: [NEWCOMER],
  },
  {
    name: 'in TIME_WAIT: sequence numbers are compared modulo 2^32',
    script: `${talk(
      '> S seq 4294967290',
      '< SA seq 9000 ack 4294967291',
      '> A seq 4294967291 ack 9001',
      '> FA seq 4294967291 ack 9001',
      '< FA seq 9001 ack 4294967292',
      '> A seq 4294967292 ack 9002',
    )}\n${other(4_294_967_200, false)}\n${other(5, true)}`,
    connections: [NEWCOMER],
  },
  {
    name: 'whoever took the tuple of TIME_WAIT gets the answers, and the one before it is a new connection',
    script: `${talk(...CLOSED_BY_CLIENT)}
      ${other(5000, true)}
      in  wan  tcp 198.51.100.1:80 > 203.0.113.5:4000 SA seq 7000 ack 5001
      out lan  tcp 198.51.100.1:80 > 192.168.1.10:4000 SA
      in  lan  tcp 192.168.1.9:4000 > 198.51.100.1:80 S seq 900000
      drop
    `,
    connections: ['tcp SYN_RECV 192.168.1.10:4000 > 198.51.100.1:80 198.51.100.1:80 > 203.0.113.5:4000'],
  },
  {
    name: 'only a SYN takes a tuple: a connection picked up in its middle does not',
    script: `${talk(...CLOSED_BY_CLIENT)}
      in  lan  tcp 192.168.1.10:4000 > 198.51.100.1:80 A seq 50000 ack 1
      drop
    `,
    connections: [first('TIME_WAIT')],
  },
  ...[
    { state: 'ESTABLISHED', segments: HANDSHAKE },
    { state: 'FIN_WAIT', segments: CLOSED_BY_CLIENT.slice(0, 4) },
    { state: 'CLOSE_WAIT', segments: CLOSED_BY_CLIENT.slice(0, 5) },
    { state: 'LAST_ACK', segments: CLOSED_BY_CLIENT.slice(0, 6) },
  ].map(({ state, segments }) => ({
    name: `in ${state}: no SYN takes the tuple, whatever its sequence number`,
    script: `${talk(...segments)}\n${other(7, false)}\n${other(50_000, false)}`,
    connections: [first(state)],
  })),
].map(({ script, connections, ...test }) => ({
  ...test,
  script: `${FULL_BUT_ONE}\n${script}`,
  connections: [
    'tcp SYN_SENT 192.168.1.20:4001 > 198.51.100.1:80 [UNREPLIED] 198.51.100.1:80 > 203.0.113.5:4001',
    ...connections,
  ],
}));

const rules = ['-t nat -A POSTROUTING -o wan -p tcp -j SNAT --to-source 203.0.113.5:4000-4001'];
chapter('tuples taken over', { host: HOME_HOST, rules }, TAKEOVERS);
