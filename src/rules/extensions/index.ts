/** The registry: every match and target there is. Adding one is adding its file and its line here. */
import type { MatchExtension, TargetExtension } from '../extension.js';
import { addrtype } from './addrtype.js';
import { ah } from './ah.js';
import { bpf } from './bpf.js';
import { cgroup } from './cgroup.js';
import { cluster } from './cluster.js';
import { comment } from './comment.js';
import { connbytes } from './connbytes.js';
import { connlabel } from './connlabel.js';
import { connlimit } from './connlimit.js';
import { connmark } from './connmark.js';
import { connmarkTarget } from './connmark-target.js';
import { conntrack } from './conntrack.js';
import { cpu } from './cpu.js';
import { ct, notrack } from './ct.js';
import { dccp } from './dccp.js';
import { devgroup } from './devgroup.js';
import { dnat } from './dnat.js';
import { dscp } from './dscp.js';
import { dscpTarget } from './dscp-target.js';
import { ecn } from './ecn.js';
import { ecnTarget } from './ecn-target.js';
import { esp } from './esp.js';
import { eui64 } from './eui64.js';
import { frag } from './frag.js';
import { audit, checksum, classify } from './harmless.js';
import { hashlimit } from './hashlimit.js';
import { dst, hbh } from './hbh.js';
import { helper } from './helper.js';
import { hmark } from './hmark.js';
import { icmp } from './icmp.js';
import { icmp6 } from './icmp6.js';
import { idletimer, led } from './idletimer.js';
import { ipcomp } from './ipcomp.js';
import { iprange } from './iprange.js';
import { ipv6header } from './ipv6header.js';
import { length } from './length.js';
import { limit } from './limit.js';
import { log } from './log.js';
import { mac } from './mac.js';
import { mark } from './mark.js';
import { markTarget } from './mark-target.js';
import { masquerade } from './masquerade.js';
import { mh } from './mh.js';
import { multiport } from './multiport.js';
import { netmap } from './netmap.js';
import { nfacct } from './nfacct.js';
import { nflog, ulog } from './nflog.js';
import { nfqueue, queue } from './nfqueue.js';
import { dnpt, snpt } from './npt.js';
import { osf } from './osf.js';
import { owner } from './owner.js';
import { physdev } from './physdev.js';
import { pkttype } from './pkttype.js';
import { policy } from './policy.js';
import { quota } from './quota.js';
import { rateestTarget } from './rateest-target.js';
import { realm } from './realm.js';
import { recent } from './recent.js';
import { redirect } from './redirect.js';
import { reject } from './reject.js';
import { rpfilter } from './rpfilter.js';
import { rt } from './rt.js';
import { sctp } from './sctp.js';
import { connsecmark, secmark } from './security.js';
import { set } from './set.js';
import { setTarget } from './set-target.js';
import { snat } from './snat.js';
import { socket } from './socket.js';
import { srh } from './srh.js';
import { state } from './state.js';
import { statistic } from './statistic.js';
import { string } from './string.js';
import { synproxy } from './synproxy.js';
import { tcp } from './tcp.js';
import { tcpmss } from './tcpmss.js';
import { tcpmssTarget } from './tcpmss-target.js';
import { tcpoptstrip } from './tcpoptstrip.js';
import { tee } from './tee.js';
import { time } from './time.js';
import { tos } from './tos.js';
import { tosTarget } from './tos-target.js';
import { tproxy } from './tproxy.js';
import { trace } from './trace.js';
import { hl, ttl } from './ttl.js';
import { hlTarget, ttlTarget } from './ttl-target.js';
import { u32 } from './u32.js';
import { udp } from './udp.js';

const ALL_MATCHES: readonly MatchExtension<unknown>[] = [
  addrtype,
  ah,
  bpf,
  cgroup,
  cluster,
  comment,
  connbytes,
  connlabel,
  connlimit,
  hashlimit,
  nfacct,
  quota,
  recent,
  set,
  connmark,
  conntrack,
  cpu,
  dccp,
  devgroup,
  dscp,
  dst,
  ecn,
  esp,
  eui64,
  frag,
  hbh,
  helper,
  hl,
  icmp,
  icmp6,
  ipcomp,
  iprange,
  ipv6header,
  length,
  limit,
  mac,
  mark,
  mh,
  multiport,
  osf,
  owner,
  physdev,
  pkttype,
  policy,
  realm,
  rpfilter,
  rt,
  sctp,
  socket,
  srh,
  state,
  statistic,
  string,
  tcp,
  tcpmss,
  time,
  tos,
  ttl,
  u32,
  udp,
];
const ALL_TARGETS: readonly TargetExtension<unknown>[] = [
  audit,
  checksum,
  classify,
  connmarkTarget,
  connsecmark,
  ct,
  dnat,
  dnpt,
  dscpTarget,
  ecnTarget,
  hlTarget,
  hmark,
  idletimer,
  led,
  log,
  markTarget,
  masquerade,
  netmap,
  nflog,
  nfqueue,
  notrack,
  queue,
  rateestTarget,
  redirect,
  reject,
  setTarget,
  secmark,
  snat,
  snpt,
  synproxy,
  tcpmssTarget,
  tcpoptstrip,
  tee,
  tosTarget,
  tproxy,
  trace,
  ttlTarget,
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
  [108, 'ipcomp'],
  [132, 'sctp'],
  [135, 'mh'],
]);
