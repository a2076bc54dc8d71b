/** The registry: every match and target there is. Adding one is adding its file and its line here. */
import type { MatchExtension, TargetExtension } from '../extension.js';
import { addrtype } from './addrtype.js';
import { comment } from './comment.js';
import { connmark } from './connmark.js';
import { connmarkTarget } from './connmark-target.js';
import { conntrack } from './conntrack.js';
import { ct, notrack } from './ct.js';
import { dnat } from './dnat.js';
import { audit, checksum, classify } from './harmless.js';
import { icmp } from './icmp.js';
import { icmp6 } from './icmp6.js';
import { iprange } from './iprange.js';
import { length } from './length.js';
import { limit } from './limit.js';
import { log } from './log.js';
import { mac } from './mac.js';
import { mark } from './mark.js';
import { markTarget } from './mark-target.js';
import { masquerade } from './masquerade.js';
import { multiport } from './multiport.js';
import { netmap } from './netmap.js';
import { nflog, ulog } from './nflog.js';
import { owner } from './owner.js';
import { physdev } from './physdev.js';
import { pkttype } from './pkttype.js';
import { redirect } from './redirect.js';
import { reject } from './reject.js';
import { snat } from './snat.js';
import { state } from './state.js';
import { statistic } from './statistic.js';
import { tcp } from './tcp.js';
import { trace } from './trace.js';
import { hl, ttl } from './ttl.js';
import { udp } from './udp.js';

const ALL_MATCHES: readonly MatchExtension<unknown>[] = [
  addrtype,
  comment,
  connmark,
  conntrack,
  hl,
  icmp,
  icmp6,
  iprange,
  length,
  limit,
  mac,
  mark,
  multiport,
  owner,
  physdev,
  pkttype,
  state,
  statistic,
  tcp,
  ttl,
  udp,
];
const ALL_TARGETS: readonly TargetExtension<unknown>[] = [
  audit,
  checksum,
  classify,
  connmarkTarget,
  ct,
  dnat,
  log,
  markTarget,
  masquerade,
  netmap,
  nflog,
  notrack,
  redirect,
  reject,
  snat,
  trace,
  ulog,
];

export const MATCHES: ReadonlyMap<string, MatchExtension<unknown>> = new Map(
  ALL_MATCHES.map((extension) => [extension.name, extension]),
);

export const TARGETS: ReadonlyMap<string, TargetExtension<unknown>> = new Map(
  ALL_TARGETS.map((extension) => [extension.name, extension]),
);

/** The match iptables loads by itself when a rule has `-p PROTOCOL` and an option of it (`-p tcp --dport 80`). */
export const PROTOCOL_MATCHES: ReadonlyMap<number, string> = new Map([
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [33, 'dccp'],
  [50, 'esp'],
  [51, 'ah'],
  [58, 'icmp6'],
  [132, 'sctp'],
  [135, 'mh'],
]);
