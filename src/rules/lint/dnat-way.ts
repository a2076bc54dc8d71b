/** DNAT to where the host has no way, and DNAT of what the table filter drops. */
import { formatAddress } from '../../host/address.js';
import { DESTINATION, DESTINATION_PORT, type Region } from '../meaning/box.js';
import type { LintContext } from './context.js';
import { type Refusal, refusal } from './fate.js';
import { type Finding, namesOf } from './finding.js';
import { isLocal, isLoopback, type Published, publishedPorts, targetOf, translated, wayTo } from './published.js';

export function dnatWays(context: LintContext): Finding[] {
  return publishedPorts(context).flatMap((published) => {
    const way = route(published, context);
    return way === undefined ? dropped(published, context) : [way];
  });
}

const PRIVATE4: readonly (readonly [number, number])[] = [
  [0x0a000000, 0xff000000],
  [0xac100000, 0xfff00000],
  [0xc0a80000, 0xffff0000],
];

function isPrivate(family: 4 | 6, address: Uint32Array): boolean {
  const first = address[0] ?? 0;
  if (family === 6) return first >>> 25 === 0x7e;
  return PRIVATE4.some(([network, mask]) => (first & mask) >>> 0 === network);
}

function route({ rule, address }: Published, { host, family }: LintContext): Finding | undefined {
  const base = { table: rule.table, chain: rule.chain, rule };
  const text = formatAddress(family, address);
  if (isLoopback(family, address)) {
    const allowed = host?.interfaces.some(({ name }) => host.sysctl(`net.ipv4.conf.${name}.route_localnet`) === '1');
    if (family === 6 || allowed === true || host?.sysctl('net.ipv4.conf.all.route_localnet') === '1') return undefined;
    return {
      ...base,
      code: 'DNAT_TO_LOOPBACK',
      severity: host === undefined ? 'note' : 'warning',
      reason: `what comes from outside and is sent to ${text} is dropped as martian, unless route_localnet is 1`,
      fix: 'use REDIRECT, or set net.ipv4.conf.IFACE.route_localnet=1',
    };
  }
  if (host === undefined) return undefined;
  const found = host.route(family, address);
  if (found === undefined || ['blackhole', 'unreachable', 'prohibit', 'throw'].includes(found.type))
    return {
      ...base,
      code: 'DNAT_NO_ROUTE',
      severity: 'error',
      reason: `the host has no route to ${text}${found === undefined ? '' : ` (${found.type})`}: what is sent there is dropped`,
      fix: 'correct the address, or add a route (a container or network that is gone?)',
    };
  const way = host.interfaces[found.iface]?.name ?? '';
  if (found.type !== 'unicast' || !isPrivate(family, address)) return undefined;
  const beyond = host.route(family, somewhere(family));
  if (beyond === undefined || beyond.iface !== found.iface || found.gateway === undefined) return undefined;
  if (beyond.gateway === undefined || beyond.gateway.join() !== found.gateway.join()) return undefined;
  return {
    ...base,
    code: 'DNAT_BY_DEFAULT_ROUTE',
    severity: 'warning',
    reason: `${text} is a private address, and the host knows no way there but its default route by ${way}`,
    fix: 'correct the address, or add a route (a container or network that is gone?)',
  };
}

/** An address that only a default route leads to. */
function somewhere(family: 4 | 6): Uint32Array {
  return family === 4 ? Uint32Array.of(0x01010101, 0, 0, 0) : Uint32Array.of(0x2a000001, 0, 0, 1);
}

function dropped(published: Published, context: LintContext): Finding[] {
  const { family, host, bare, reaches, universe } = context;
  const filter = reaches.get('filter');
  if (bare || filter === undefined) return [];
  const { rule, address } = published;
  const local = isLocal(host, family, address);
  const region = translated(published, family, local ? undefined : wayTo(host, family, address));
  const chain = local ? 'INPUT' : 'FORWARD';
  const refused = refusal(filter, chain, region, universe);
  if (refused === undefined) return [];
  const target = targetOf(published, family);
  return [
    {
      code: 'DNAT_DROPPED',
      severity: 'warning',
      table: rule.table,
      chain: rule.chain,
      rule,
      reason: `what is sent to ${target} is dropped in ${chain} by ${whoDrops(refused, chain)}`,
      fix: `accept it there, by the address and port behind the translation (-d ${formatAddress(family, address)}${portWords(region)})`,
      related: refused.rules.slice(0, 8),
    },
  ];
}

export function whoDrops({ rules, policy }: Refusal, chain: string): string {
  const names = rules.length === 0 ? '' : namesOf(rules);
  if (!policy) return names;
  return names === '' ? `the policy of ${chain}` : `${names} or the policy of ${chain}`;
}

function portWords(region: Region): string {
  const [first] = region[0]?.sets[DESTINATION_PORT] ?? [];
  if (first === undefined || region[0]?.sets[DESTINATION] === undefined) return '';
  const last = Number(first.to) - 1;
  return ` --dport ${first.from}${last === first.from ? '' : `:${last}`}`;
}
