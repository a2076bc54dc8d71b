/** The registry: every match and target there is. Adding one is adding its file and its line here. */
import type { MatchExtension, TargetExtension } from '../extension.js';
import { dnat } from './dnat.js';
import { masquerade } from './masquerade.js';
import { netmap } from './netmap.js';
import { redirect } from './redirect.js';
import { snat } from './snat.js';
import { tcp } from './tcp.js';
import { udp } from './udp.js';

const ALL_MATCHES: readonly MatchExtension<unknown>[] = [tcp, udp];
const ALL_TARGETS: readonly TargetExtension<unknown>[] = [dnat, masquerade, netmap, redirect, snat];

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
