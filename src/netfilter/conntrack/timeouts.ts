/** How long entries live, from the host's sysctls; the defaults are Linux's (KERNEL.md F4). */
import type { Host } from '../../host/types.js';

/** TCP states (kernel: enum tcp_conntrack), in its order: transitions and timeouts are indexed by them. */
export const TCP_NONE = 0;
export const TCP_SYN_SENT = 1;
export const TCP_SYN_RECV = 2;
export const TCP_ESTABLISHED = 3;
export const TCP_FIN_WAIT = 4;
export const TCP_CLOSE_WAIT = 5;
export const TCP_LAST_ACK = 6;
export const TCP_TIME_WAIT = 7;
export const TCP_CLOSE = 8;
export const TCP_SYN_SENT2 = 9;

/** As /proc/net/nf_conntrack and `conntrack -L` name them. */
export const TCP_STATE_NAMES: readonly string[] = [
  'NONE',
  'SYN_SENT',
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT',
  'CLOSE_WAIT',
  'LAST_ACK',
  'TIME_WAIT',
  'CLOSE',
  'SYN_SENT2',
];

/** Timeouts in milliseconds and the switches of TCP tracking. */
export interface ConntrackSettings {
  /** By TCP state. */
  readonly tcp: readonly number[];
  readonly tcpRetransmitted: number;
  readonly tcpUnacknowledged: number;
  readonly tcpMaxRetransmissions: number;
  readonly tcpLoose: boolean;
  readonly tcpLiberal: boolean;
  readonly tcpIgnoreInvalidRst: boolean;
  readonly udp: number;
  readonly udpStream: number;
  readonly icmp: number;
  readonly icmpv6: number;
  readonly gre: number;
  readonly greStream: number;
  readonly generic: number;
  /** By SCTP state. */
  readonly sctp: readonly number[];
  /** net.netfilter.nf_conntrack_checksum. */
  readonly checksum: boolean;
  /** Most entries; 0: no limit. */
  readonly max: number;
  /** Buckets of the kernel's hash table (nf_conntrack_buckets). */
  readonly buckets: number;
}

/** Of a 64-bit machine with more than 4 GiB. */
const BUCKETS = 262_144;

/** An expiry further away than this could not be told from the past (milliseconds wrap at 2^32). */
const LONGEST = 0x3fffffff;

export function conntrackSettings(host: Host): ConntrackSettings {
  const number = (name: string, standard: number): number => {
    const value = Number(host.sysctl(`net.netfilter.nf_conntrack_${name}`) ?? standard);
    return Number.isFinite(value) && value >= 0 ? value : standard;
  };
  const seconds = (name: string, standard: number): number => Math.min(number(`${name}`, standard) * 1000, LONGEST);
  const tcp = (name: string, standard: number): number => seconds(`tcp_timeout_${name}`, standard);
  const synSent = tcp('syn_sent', 120);
  const sctp = (name: string, standard: number): number => seconds(`sctp_timeout_${name}`, standard);
  const sctpClosed = sctp('closed', 10);
  return {
    tcp: [
      synSent,
      synSent,
      tcp('syn_recv', 60),
      tcp('established', 432_000),
      tcp('fin_wait', 120),
      tcp('close_wait', 60),
      tcp('last_ack', 30),
      tcp('time_wait', 120),
      tcp('close', 10),
      // SYN_SENT2 has no sysctl of its own.
      120_000,
    ],
    tcpRetransmitted: tcp('max_retrans', 300),
    tcpUnacknowledged: tcp('unacknowledged', 300),
    tcpMaxRetransmissions: number('tcp_max_retrans', 3),
    tcpLoose: number('tcp_loose', 1) !== 0,
    tcpLiberal: number('tcp_be_liberal', 0) !== 0,
    tcpIgnoreInvalidRst: number('tcp_ignore_invalid_rst', 0) !== 0,
    udp: seconds('udp_timeout', 30),
    udpStream: seconds('udp_timeout_stream', 120),
    icmp: seconds('icmp_timeout', 30),
    icmpv6: seconds('icmpv6_timeout', 30),
    gre: seconds('gre_timeout', 30),
    greStream: seconds('gre_timeout_stream', 180),
    generic: seconds('generic_timeout', 600),
    sctp: [
      sctpClosed,
      sctpClosed,
      sctp('cookie_wait', 3),
      sctp('cookie_echoed', 3),
      sctp('established', 210),
      sctp('shutdown_sent', 3),
      sctp('shutdown_recd', 3),
      sctp('shutdown_ack_sent', 3),
      sctp('heartbeat_sent', 30),
    ],
    checksum: number('checksum', 1) !== 0,
    max: number('max', 0),
    buckets: Math.max(1, number('buckets', BUCKETS)),
  };
}
