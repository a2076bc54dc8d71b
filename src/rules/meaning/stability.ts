/**
 * What of a packet stays as it is while it walks through a table. A match that was answered once is answered the same
 * again only if nothing in between changed what it looks at, and if it does not count, draw or remember.
 */
import type { Table } from '../types.js';
import { MARK, STATE } from './box.js';

/** Matches whose answer about a packet depends on nothing but the packet, its connection and the host. */
const STEADY: ReadonlySet<string> = new Set(
  (
    'addrtype ah bpf cgroup cluster comment connmark conntrack cpu dccp devgroup dscp dst ecn esp eui64 frag hbh helper hl ' +
    'icmp icmp6 ipcomp iprange ipv6header length mac mark mh multiport owner physdev pkttype policy realm rpfilter rt sctp ' +
    'set socket srh state string tcp tcpmss time tos ttl u32 udp'
  ).split(' '),
);

/** Targets that leave everything as it is that a match of the same table could look at. */
const HARMLESS: ReadonlySet<string> = new Set(
  (
    'ACCEPT DROP RETURN REJECT QUEUE NFQUEUE LOG NFLOG ULOG TRACE AUDIT CHECKSUM CLASSIFY SECMARK CONNSECMARK LED IDLETIMER ' +
    'RATEEST TEE DNAT SNAT MASQUERADE REDIRECT NETMAP TPROXY'
  ).split(' '),
);

const MARKS = ['mark', 'connmark', 'rpfilter'];
const BYTES = ['bpf', 'u32', 'string'];
/** Matches whose answer changes with these targets. */
const CHANGES: ReadonlyMap<string, readonly string[]> = new Map([
  ['MARK', MARKS],
  ['HMARK', MARKS],
  ['CONNMARK', MARKS],
  ['TOS', ['tos', 'dscp', 'ecn', 'realm', 'rpfilter', ...BYTES]],
  ['DSCP', ['tos', 'dscp', 'ecn', 'realm', 'rpfilter', ...BYTES]],
  ['ECN', ['tos', 'dscp', 'ecn', 'tcp', ...BYTES]],
  ['TTL', ['ttl', ...BYTES]],
  ['HL', ['hl', ...BYTES]],
  ['TCPMSS', ['tcp', 'tcpmss', 'length', ...BYTES]],
  ['TCPOPTSTRIP', ['tcp', 'tcpmss', ...BYTES]],
  ['SET', ['set', ...MARKS]],
  ['CT', ['conntrack', 'state', 'connmark']],
  ['NOTRACK', ['conntrack', 'state', 'connmark']],
]);

export interface Stability {
  /** Fields that rules of the table may change. */
  readonly unsteady: ReadonlySet<number>;
  /** Whether a term (a match as iptables-save prints it, its name first) may be answered otherwise later on. */
  forgets(term: string): boolean;
}

/** Whether a match counts, draws or remembers, so that it matters how often it is asked. */
export const isSteady = (match: string): boolean => STEADY.has(match);

export function stabilityOf(table: Table): Stability {
  const changed = new Set<string>(table.name === 'raw' ? ['conntrack', 'state', 'connmark'] : []);
  let all = false;
  for (const { rules } of table.chains.values()) {
    for (const { target, matches } of rules) {
      // It takes over the mark of the socket it finds.
      if (matches.some(({ extension, options }) => extension.name === 'socket' && extension.print(options, 4) !== ''))
        for (const match of MARKS) changed.add(match);
      if (target?.kind !== 'extension' || HARMLESS.has(target.extension.name)) continue;
      const changes = CHANGES.get(target.extension.name);
      if (changes === undefined) all = true;
      else for (const match of changes) changed.add(match);
    }
  }
  if (all) return { unsteady: new Set(Array.from({ length: MARK + 1 }, (_, d) => d)), forgets: () => true };
  const unsteady = new Set<number>();
  if (changed.has('mark')) unsteady.add(MARK);
  if (changed.has('state')) unsteady.add(STATE);
  return { unsteady, forgets: (term) => changed.has(nameOfTerm(term)) };
}

const nameOfTerm = (term: string): string => term.slice(0, term.indexOf(' '));
