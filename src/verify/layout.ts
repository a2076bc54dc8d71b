/**
 * How the namespaces are furnished: pure functions from a host file to the text that ip, nft, ipset and sysctl are fed.
 *
 *        wires                                        gateway
 *   tcpreplay -> nrin == nrsplit --fwd--> w0 ======== eth0     routing, netfilter
 *                           |      fwd--> w1 ======== docker0
 *                           `------fwd--> wm ======== nrmark   every frame logged and sent back
 *
 * `nrsplit` sends each frame on by its source address (02:6e:72:00:<interface>), which nothing else looks at. Every
 * frame, marker or not, crosses the same number of veths (three) before it is seen coming out, so on one CPU, whose
 * backlog is a queue, a marker can neither overtake the outputs of the packet before it nor be overtaken by the next.
 */
import { NatreplayError } from '../errors.js';
import { parseAddress, parsePrefix, prefixContains } from '../host/address.js';
import type { AddressJson, HostFile, LinkJson, RouteJson, RuleJson } from '../host/hostschema.js';
import { bridgeChains, bridgeLines, bridgeNames, entryTable, type GatewayBridge, planBridge } from './bridging.js';
import { SENDER_UID } from './hostsender.js';

export const INJECT = 'nrin';
export const SPLIT = 'nrsplit';
export const MARK_WIRE = 'wm';
/** Netlink log group of the gateway; any number nobody's rules are likely to use. */
export const LOG_GROUP = 28274;
/** Packets that the kernel gathers before it hands them to the reader of the log group. */
export const LOG_BATCH = 32;
/** Largest MTU of a veth: what captures of offloading hosts (GSO, GRO) need. */
export const MAX_MTU = 65535;

export interface GatewayInterface {
  readonly name: string;
  /** The gateway's end of its wire: itself, or of a bridge the port that nobody states. */
  readonly device: string;
  /** The bridge that it is, or is a port of. */
  readonly bridge: string | undefined;
  /** Name of the other end. */
  readonly wire: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly addresses: readonly AddressJson[];
  /** Source address of frames that are to arrive here. */
  readonly selector: string;
}

/** A neighbour whose frames shall arrive with the source address they were captured with. */
export interface Sender {
  readonly iface: string;
  readonly mac: string;
}

export interface Layout {
  /** Each with the source address that its frames are injected with. */
  readonly senders: readonly (Sender & { readonly selector: string })[];
  readonly interfaces: readonly GatewayInterface[];
  readonly bridges: readonly GatewayBridge[];
  /** Addresses of the loopback interface beyond 127.0.0.1 and ::1. */
  readonly loopback: readonly AddressJson[];
  readonly markInterface: string;
  readonly markSelector: string;
}

/**
 * Every interface of the host but loopback becomes one end of a veth pair: for routed packets a VLAN or tunnel interface is
 * what an Ethernet interface of its name is. Bridges become bridges (bridging.ts); ports of a bond or the like have no wire.
 */
export function planLayout(host: HostFile, mtu: number | undefined, senders: readonly Sender[] = []): Layout {
  const unreachable = unreachableInterfaces(host);
  const links = host.addr.flatMap((link) => {
    const { ifname } = link;
    return ifname === undefined || isLoopback(link) || unreachable.has(ifname) ? [] : [{ ...link, ifname }];
  });
  const names = new Set(links.map((link) => link.ifname));
  const mtuOf = (link: LinkJson): number => Math.min(mtu ?? link.mtu ?? 1500, MAX_MTU);
  const bridges = links
    .filter((link) => bridgeNames(host).has(link.ifname))
    .map((link, k) => planBridge({ ...link, mtu: mtuOf(link) }, unused(`nrport${k}`, names), host));
  const macs = new Set<string>();
  const interfaces = links.map((link, index): GatewayInterface => {
    checkName(link.ifname);
    const own = bridges.find(({ name }) => name === link.ifname);
    // A bridge often has the address of one of its ports.
    const mac = own?.mac ?? usableMac(link.address, macs) ?? `02:6e:72:01:${hex16(index)}`;
    if (own === undefined) macs.add(mac);
    return {
      name: link.ifname,
      device: own?.entry ?? link.ifname,
      bridge: own?.name ?? link.master,
      wire: `w${index}`,
      mac,
      mtu: mtuOf(link),
      up: link.flags === undefined || link.flags.includes('UP'),
      addresses: link.addr_info ?? [],
      selector: `02:6e:72:00:${hex16(index)}`,
    };
  });
  return {
    senders: senders.map((sender, index) => ({
      ...sender,
      selector: `02:6e:73:${hex16(index >>> 8)}:${(index & 0xff).toString(16).padStart(2, '0')}`,
    })),
    interfaces,
    bridges,
    loopback: host.addr.filter(isLoopback).flatMap((link) => link.addr_info ?? []),
    markInterface: unused('nrmark', names),
    markSelector: `02:6e:72:00:${hex16(0xffff)}`,
  };
}

function unused(name: string, taken: ReadonlySet<string>): string {
  let free = name;
  for (let n = 0; taken.has(free); n++) free = `${name}x${n}`;
  return free;
}

/** Interfaces that have no wire of their own, ports of what is not a bridge: packets can't be made to arrive there. */
export function unreachableInterfaces(host: HostFile): ReadonlySet<string> {
  const bridges = bridgeNames(host);
  return new Set(
    host.addr.flatMap(({ ifname, master }) =>
      ifname === undefined || master === undefined || bridges.has(master) ? [] : [ifname],
    ),
  );
}

function isLoopback(link: LinkJson): boolean {
  return link.ifname === 'lo' || (link.flags?.includes('LOOPBACK') ?? false);
}

/** Names are written into the tools' own languages, so only those which mean nothing there are let through. */
function checkName(name: string): void {
  if (/^[A-Za-z0-9_.:@+~=-]{1,15}$/.test(name) && !/^\.{1,2}$/.test(name)) return;
  throw new NatreplayError('VERIFY_INTERFACE_NAME', `interface name '${name}' cannot be used for a network namespace`, {
    advice: 'rename it in the host file: at most 15 letters, digits and ._:@+~=-',
  });
}

function usableMac(address: string | undefined, taken: ReadonlySet<string>): string | undefined {
  const mac = address?.toLowerCase();
  if (mac === undefined || !/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac) || mac === '00:00:00:00:00:00') return undefined;
  const multicast = (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;
  return multicast || taken.has(mac) ? undefined : mac;
}

function hex16(value: number): string {
  const text = value.toString(16).padStart(4, '0');
  return `${text.slice(0, 2)}:${text.slice(2)}`;
}

/** Input of `ip -batch -` in the namespace of the wires: all veth pairs. */
export function wiresBatch(layout: Layout, gatewayNamespace: string): string {
  const lines = [`link add name ${INJECT} mtu ${MAX_MTU} type veth peer name ${SPLIT} mtu ${MAX_MTU}`];
  for (const i of layout.interfaces) {
    // The port that nobody states has an address of no interest.
    const mac = i.device === i.name ? i.mac : i.selector.replace('02:6e:72:00', '02:6e:72:01');
    lines.push(
      `link add name ${i.wire} mtu ${MAX_MTU} type veth peer name ${i.device} address ${mac} mtu ${i.mtu} netns ${gatewayNamespace}`,
    );
  }
  lines.push(`link add name ${MARK_WIRE} type veth peer name ${layout.markInterface} netns ${gatewayNamespace}`);
  for (const name of wireNames(layout)) lines.push(`link set dev ${name} arp off up`);
  return `${lines.join('\n')}\n`;
}

export function wireNames(layout: Layout): string[] {
  return [INJECT, SPLIT, MARK_WIRE, ...layout.interfaces.map((i) => i.wire)];
}

/** Input of `ip -batch -` in the gateway: addresses. NOARP sends every next hop to one MAC address without asking. */
export function addressBatch(layout: Layout, ipv6: boolean): string {
  const lines = ['link set dev lo up', `link set dev ${layout.markInterface} addrgenmode none`];
  lines.push(`link set dev ${layout.markInterface} arp off up`);
  for (const entry of layout.loopback) {
    if (entry.local !== '127.0.0.1' && entry.local !== '::1') lines.push(...addressLine(entry, 'lo', ipv6));
  }
  for (const bridge of layout.bridges) lines.push(...bridgeLines(bridge));
  for (const { device } of layout.interfaces.filter((i) => i.device !== i.name)) {
    lines.push(`link set dev ${device} addrgenmode none`, `link set dev ${device} arp off up`);
  }
  for (const i of layout.interfaces) {
    lines.push(`link set dev ${i.name} addrgenmode none`, `link set dev ${i.name} arp off`);
    for (const entry of inOrderOfAdding(i.addresses)) lines.push(...addressLine(entry, i.name, ipv6));
    if (i.up) lines.push(`link set dev ${i.name} up`);
  }
  return `${lines.join('\n')}\n`;
}

/** Of IPv6 addresses of one scope the one added last is listed, and used, first (ipv6_link_dev_addr). */
function inOrderOfAdding(addresses: readonly AddressJson[]): AddressJson[] {
  const isIpv6 = ({ family }: AddressJson): boolean => family === 'inet6';
  return [...addresses.filter((entry) => !isIpv6(entry)), ...addresses.filter(isIpv6).reverse()];
}

function addressLine(entry: AddressJson, name: string, ipv6: boolean): string[] {
  if (entry.local === undefined) return [];
  if (entry.family === 'inet6' && !ipv6) return [];
  const words = ['address', 'add', word(entry.local)];
  const length = entry.prefixlen ?? (entry.family === 'inet6' ? 128 : 32);
  if (entry.address !== undefined) words.push('peer', `${word(entry.address)}/${length}`);
  else words[2] = `${word(entry.local)}/${length}`;
  if (entry.broadcast !== undefined) words.push('broadcast', word(entry.broadcast));
  if (entry.scope !== undefined) words.push('scope', word(String(entry.scope)));
  if (entry.noprefixroute === true) words.push('noprefixroute');
  if (entry.family === 'inet6') words.push('nodad');
  words.push('dev', name);
  return [words.join(' ')];
}

/**
 * Input of `ip -batch -` that makes the gateway's routes those of the file. The kernel's own (connected, local and
 * broadcast ones) came with the addresses; those of the main table are replaced, since a host may have removed some.
 */
export function routeBatch(routes: readonly RouteJson[], layout: Layout): string {
  const names = new Set(['lo', ...layout.interfaces.filter((i) => i.up).map((i) => i.name)]);
  const usable = routes.filter((route) => routeDevices(route).every((dev) => names.has(dev)));
  const wanted = usable.filter((route) => inMain(route) || route.protocol !== 'kernel');
  // A gateway has to be on a link that is already reachable.
  const ordered = [...wanted.filter((route) => !hasGateway(route)), ...wanted.filter(hasGateway)];
  // Two addresses of one network imply its route twice; the kernel takes the same route once.
  const onLink = usable.filter((route) => !hasGateway(route));
  const lines = new Set(ordered.map((route) => routeLine(withOnlink(route, onLink))));
  return `route flush table main\n${[...lines].join('\n')}\n`;
}

function routeDevices(route: RouteJson): string[] {
  const devices = route.nexthops?.map((hop) => hop.dev) ?? [route.dev];
  return devices.filter((dev): dev is string => dev !== undefined);
}

function inMain(route: RouteJson): boolean {
  return route.table === undefined || route.table === 'main' || route.table === 254;
}

function hasGateway(route: RouteJson): boolean {
  return route.gateway !== undefined || route.via !== undefined || route.nexthops !== undefined;
}

/**
 * The kernel takes a gateway only if a route of the same device leads to it, unless told that it is there. A host may
 * have lost that route since, and keeps the other: `onlink` changes nothing but that check (fib_check_nh_v4_gw).
 */
function withOnlink(route: RouteJson, onLink: readonly RouteJson[]): RouteJson {
  const told = <Hop extends Pick<RouteJson, 'gateway' | 'dev' | 'flags'>>(hop: Hop): Hop =>
    needsOnlink(hop, onLink) ? { ...hop, flags: [...(hop.flags ?? []), 'onlink'] } : hop;
  return { ...told(route), ...(route.nexthops === undefined ? {} : { nexthops: route.nexthops.map(told) }) };
}

function needsOnlink(
  { gateway, dev, flags }: Pick<RouteJson, 'gateway' | 'dev' | 'flags'>,
  onLink: readonly RouteJson[],
) {
  if (gateway === undefined || dev === undefined || flags?.includes('onlink') === true) return false;
  const address = parseAddress(gateway);
  if (address === undefined || (address.family === 6 && prefixContains(LINK_LOCAL, address.words))) return false;
  return !onLink.some(({ dst, dev: by }) => {
    const prefix = dst === 'default' ? { ...address, prefixLength: 0 } : parsePrefix(dst, address.family);
    return by === dev && prefix !== undefined && prefixContains(prefix, address.words);
  });
}

const LINK_LOCAL = { family: 6, words: Uint32Array.of(0xfe800000, 0, 0, 0), prefixLength: 10 } as const;

function routeLine(route: RouteJson): string {
  const words = ['route', 'append'];
  if (route.type !== undefined) words.push(word(route.type));
  words.push(word(route.dst));
  if (route.tos !== undefined) words.push('tos', word(String(route.tos)));
  if (route.gateway !== undefined) words.push('via', word(route.gateway));
  if (route.via !== undefined) words.push('via', word(route.via.family ?? 'inet'), word(route.via.host));
  if (route.dev !== undefined) words.push('dev', route.dev);
  if (route.table !== undefined) words.push('table', tableNumber(route.table));
  if (route.protocol !== undefined) words.push('proto', word(String(route.protocol)));
  const { scope } = route;
  if (typeof scope === 'string') words.push('scope', word(scope));
  if (route.prefsrc !== undefined) words.push('src', word(route.prefsrc));
  if (route.metric !== undefined) words.push('metric', String(route.metric));
  if (route.flags?.includes('onlink') === true) words.push('onlink');
  for (const hop of route.nexthops ?? []) {
    words.push('nexthop');
    if (hop.gateway !== undefined) words.push('via', word(hop.gateway));
    if (hop.dev !== undefined) words.push('dev', hop.dev);
    const { weight } = hop;
    if (typeof weight === 'number') words.push('weight', String(weight));
    if (hop.flags?.includes('onlink') === true) words.push('onlink');
  }
  return words.join(' ');
}

/**
 * Input of `ip -batch -` that makes the gateway's policy rules those of the file. The first rule of all, for the local
 * table, cannot be flushed, so it is there already.
 */
export function ruleBatch(rules: readonly RuleJson[]): string {
  return `rule flush\n${rules
    .filter((rule) => (rule.priority ?? 0) !== 0)
    .map(ruleLine)
    .join('\n')}\n`;
}

function ruleLine(rule: RuleJson): string {
  const words = ['rule', 'add', 'priority', String(rule.priority ?? 0)];
  const add = (key: string, value: string | number | undefined): void => {
    if (value !== undefined) words.push(key, word(String(value)));
  };
  if ('not' in rule) words.splice(2, 0, 'not');
  const prefix = (address: string | undefined, length: number | undefined): string | undefined =>
    address === undefined || length === undefined ? address : `${address}/${length}`;
  add('from', prefix(rule.src, rule.srclen) ?? 'all');
  add('to', prefix(rule.dst, rule.dstlen));
  add('iif', rule.iif);
  add('oif', rule.oif);
  if (rule.fwmark !== undefined)
    add('fwmark', rule.fwmask === undefined ? rule.fwmark : `${rule.fwmark}/${rule.fwmask}`);
  add('tos', rule.tos);
  add('dscp', rule.dscp);
  add('ipproto', rule.ipproto);
  add('sport', span(rule.sport, rule.sport_start, rule.sport_end));
  add('dport', span(rule.dport, rule.dport_start, rule.dport_end));
  if (rule.uid_start !== undefined) add('uidrange', `${rule.uid_start}-${rule.uid_end ?? rule.uid_start}`);
  if (rule.goto !== undefined) add('goto', rule.goto);
  else if (rule.action !== undefined && rule.action !== 'to_tbl') words.push(word(rule.action));
  else add('table', rule.table === undefined ? undefined : tableNumber(rule.table));
  add('suppress_prefixlength', rule.suppress_prefixlen);
  return words.join(' ');
}

function span(one: number | undefined, start: number | undefined, end: number | undefined): string | undefined {
  if (one !== undefined) return String(one);
  return start === undefined ? undefined : `${start}-${end ?? start}`;
}

/** Names of tables are the host's own (rt_tables): here a number stands for each, the same for routes and rules. */
function tableNumber(table: string | number): string {
  const name = String(table);
  if (/^[0-9]+$/.test(name) || ['local', 'main', 'default'].includes(name)) return name;
  let hash = 0;
  for (const character of name) hash = (Math.imul(hash, 31) + (character.codePointAt(0) ?? 0)) & 0x3fffffff;
  return String(0x40000000 + hash);
}

/** A word of the host file that goes into a batch: one word it must stay. */
function word(text: string): string {
  if (/^[A-Za-z0-9_.:/-]+$/.test(text)) return text;
  throw new NatreplayError('VERIFY_HOST_FILE', `'${text}' in the host file is not an address, prefix or keyword`);
}

/** nftables of the wires: frames from the injector go to the wire their source address names. */
export function wiresNft(layout: Layout): string {
  const elements = layout.interfaces.map((i) => `${i.selector} : "${i.wire}"`);
  const wires = new Map(layout.interfaces.map((i) => [i.name, i.wire]));
  for (const { iface, selector } of layout.senders) elements.push(`${selector} : "${wires.get(iface) ?? MARK_WIRE}"`);
  elements.push(`${layout.markSelector} : "${MARK_WIRE}"`);
  return `table netdev natreplay {
  chain split {
    type filter hook ingress device "${SPLIT}" priority 0; policy drop;
    fwd to ether saddr map { ${elements.join(', ')} }
  }
}
`;
}

/**
 * nftables of the gateway: markers are logged and sent back; packets that reached the host are logged after every
 * table of iptables; what the host itself says is dropped before connection tracking can see it, unless it is wanted or
 * was sent for it (hostsender.ts): the kernel's own sockets belong to no account. Of its groups, routers and neighbours,
 * which no packet makes it speak, it says nothing either way.
 */
export function gatewayNft(layout: Layout, answers = false): string {
  const log = `log group ${LOG_GROUP} queue-threshold ${LOG_BATCH} snaplen`;
  return `table netdev natreplay {
  chain marker {
    type filter hook ingress device "${layout.markInterface}" priority 0; policy drop;
    ${log} 64
    fwd to "${layout.markInterface}"
  }
${senderChain(layout)}${bridgeChains(layout.bridges)}}
table inet natreplay {
  chain answers {
    type filter hook output priority -400; policy ${answers ? 'accept' : 'drop'};
    meta skuid { 0, ${SENDER_UID} } accept
    ip6 daddr { ff02::2, ff02::16 } drop
  }
  chain delivered {
    type filter hook input priority 2147483647; policy accept;
    ${log} 65535
  }
}
${entryTable(layout.bridges)}`;
}

/** Gives frames back the source addresses that the split needed for itself. */
function senderChain({ senders, interfaces }: Layout): string {
  if (senders.length === 0) return '';
  const deviceOf = new Map(interfaces.map(({ name, device }) => [name, device]));
  const devices = [...new Set(senders.map(({ iface }) => `"${deviceOf.get(iface) ?? iface}"`))];
  const elements = senders.map(({ selector, mac }) => `${selector} : ${mac}`);
  return `  chain senders {
    type filter hook ingress devices = { ${devices.join(', ')} } priority 0; policy accept;
    ether saddr set ether saddr map { ${elements.join(', ')} }
  }
`;
}

/** Settings of a fresh kernel that a namespace would otherwise take over from the machine it is on. */
const DEFAULT_SYSCTLS: readonly (readonly [string, string])[] = [
  ['net.ipv4.conf.all.rp_filter', '0'],
  ['net.ipv4.conf.default.rp_filter', '0'],
  ['net.ipv4.conf.all.accept_local', '0'],
  ['net.ipv4.conf.default.accept_local', '0'],
  ['net.ipv4.conf.all.accept_source_route', '0'],
  ['net.ipv4.conf.all.route_localnet', '0'],
  ['net.ipv4.conf.default.route_localnet', '0'],
  ['net.ipv4.conf.all.src_valid_mark', '0'],
  ['net.ipv4.conf.all.log_martians', '0'],
  ['net.ipv4.conf.default.log_martians', '0'],
  ['net.ipv4.ip_forward', '1'],
  // A new namespace has these on, and a host file without them tells of a host that never loaded br_netfilter.
  ['net.bridge.bridge-nf-call-iptables', '0'],
  ['net.bridge.bridge-nf-call-ip6tables', '0'],
];

const IPV6_SYSCTLS: readonly (readonly [string, string])[] = [
  ['net.ipv6.conf.all.forwarding', '1'],
  ['net.ipv6.conf.default.forwarding', '1'],
  ['net.ipv6.conf.all.accept_ra', '0'],
  ['net.ipv6.conf.default.accept_ra', '0'],
  ['net.ipv6.conf.default.router_solicitations', '0'],
];

const NO_IPV6: readonly (readonly [string, string])[] = [
  ['net.ipv6.conf.all.disable_ipv6', '1'],
  ['net.ipv6.conf.default.disable_ipv6', '1'],
];

/** Shell script, run in a namespace before it has interfaces. */
export function earlySysctls(ipv6: boolean): string {
  return sysctlScript([...DEFAULT_SYSCTLS, ...(ipv6 ? IPV6_SYSCTLS : NO_IPV6)]);
}

/** Shell script, run once the interfaces are there: the host file's own settings, `all` before those of interfaces. */
export function hostSysctls(sysctls: Readonly<Record<string, string>>, ipv6: boolean): string {
  const entries = Object.entries(sysctls).filter(([name]) => ipv6 || !name.startsWith('net.ipv6.'));
  const general = (name: string): number => (/\.conf\.all\./.test(name) || /ip_forward$/.test(name) ? 0 : 1);
  return sysctlScript(entries.sort(([a], [b]) => general(a) - general(b)));
}

/** A line per setting; one that fails (a kernel without it) prints its name on standard output. */
function sysctlScript(entries: readonly (readonly [string, string])[]): string {
  return entries
    .map(([name, value]) => {
      const path = sysctlPath(name);
      if (path === undefined) return `echo ${quote(name)}`;
      return `{ printf '%s\\n' ${quote(value)} > ${quote(path)}; } 2>/dev/null || echo ${quote(name)}`;
    })
    .concat('')
    .join('\n');
}

/**
 * File of a setting; undefined for those which do not belong to a network namespace. As sysctl(8) has it, dots and
 * slashes change places, so that interface names may hold dots (`net.ipv4.conf.eth0/100.rp_filter`).
 */
function sysctlPath(name: string): string | undefined {
  if (!/^net\.(ipv4|ipv6|netfilter|bridge)\./.test(name)) return undefined;
  const parts = name.split('.').map((part) => part.replaceAll('/', '.'));
  // Climbing out of the namespace's own tree would change the machine.
  return parts.some((part) => part === '' || part === '.' || part === '..')
    ? undefined
    : `/proc/sys/${parts.join('/')}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Shell script that switches off everything which would change or merge frames on their way. */
export function offloadScript(names: readonly string[]): string {
  return names.map((name) => `ethtool -K ${quote(name)} rx off tx off sg off tso off gso off gro off\n`).join('');
}
