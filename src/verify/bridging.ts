/**
 * Bridges of the gateway, real ones: a port of the host is a port here, with a wire of its own.
 *
 *       wires                 gateway
 *   --> w1 ================ veth3 ----.
 *   --> w2 ================ veth4 ---- docker0     routing, netfilter (br_netfilter)
 *   --> w3 ============== nrport0 ----'
 *
 * `nrport0` is the port that nobody states: what was captured on the bridge itself comes in there, and what the host sends
 * to a neighbour whose address it does not have goes out there. Nothing is learnt of it, and nothing flooded to it.
 *
 * Nobody answers ARP here, so a bridge is NOARP like every interface, which has it send to its own MAC. A chain at its
 * egress readdresses that to where `nrport0` is. But what DNAT leads from port to port goes by the neighbour's MAC alone
 * (br_nf_pre_routing_finish_bridge), so whoever may be sought there has an entry (neighbourBatch).
 */
import { formatAddress, parseAddress, parsePrefix, prefixContains } from '../host/address.js';
import type { AddressJson, HostFile, LinkJson } from '../host/hostschema.js';

/** A neighbour, by the interface it is at. */
export interface Station {
  readonly iface: string;
  readonly address: string;
  readonly mac: string;
}

export interface GatewayBridge {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** The port that nobody states. */
  readonly entry: string;
  readonly ports: readonly { readonly name: string; readonly hairpin: boolean }[];
  readonly callIptables: boolean;
  readonly callIp6tables: boolean;
}

/** Who the gateway takes to be behind the port that nobody states. */
const ENTRY_STATION = '02:6e:72:04:00:01';
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;

/**
 * Names of the host's interfaces that become bridges: those with ports, and a MAC address by which their frames are told.
 * A bond or VRF has ports too, and is none.
 */
export function bridgeNames({ addr }: HostFile): ReadonlySet<string> {
  const masters = new Set(addr.flatMap(({ ifname, master }) => (ifname === undefined ? [] : [master])));
  return new Set(
    addr.flatMap((link) => {
      const { ifname, master, address = '', linkinfo } = link;
      if (ifname === undefined || master !== undefined || !masters.has(ifname)) return [];
      const kind = linkinfo?.info_kind ?? 'bridge';
      return kind === 'bridge' && MAC.test(address.toLowerCase()) && !/^(00:){5}00$/.test(address) ? [ifname] : [];
    }),
  );
}

/** Names of their ports. */
export function bridgePorts(host: HostFile): ReadonlySet<string> {
  const bridges = bridgeNames(host);
  return new Set(
    host.addr.flatMap(({ ifname, master }) =>
      ifname === undefined || master === undefined || !bridges.has(master) ? [] : [ifname],
    ),
  );
}

export function planBridge(link: LinkJson & { ifname: string }, entry: string, host: HostFile): GatewayBridge {
  const { info_data: data } = link.linkinfo ?? {};
  const on = (value: number | boolean | undefined): boolean => value === 1 || value === true;
  return {
    name: link.ifname,
    mac: (link.address ?? '').toLowerCase(),
    mtu: link.mtu ?? 1500,
    entry,
    ports: host.addr.flatMap(({ ifname, master, linkinfo }) =>
      ifname === undefined || master !== link.ifname
        ? []
        : [{ name: ifname, hairpin: linkinfo?.info_slave_data?.hairpin === true }],
    ),
    callIptables: on(data?.nf_call_iptables),
    callIp6tables: on(data?.nf_call_ip6tables),
  };
}

/** Lines for `ip -batch -` in the gateway, where the ports' ends are there already. Forwards at once, and says nothing. */
export function bridgeLines({ name, mac, mtu, entry, ports, callIptables, callIp6tables }: GatewayBridge): string[] {
  const bit = (on: boolean): string => (on ? '1' : '0');
  const quiet = 'stp_state 0 forward_delay 0 mcast_snooping 0';
  const calls = `nf_call_iptables ${bit(callIptables)} nf_call_ip6tables ${bit(callIp6tables)}`;
  return [
    `link add name ${name} address ${mac} type bridge ${quiet} ${calls}`,
    `link set dev ${entry} master ${name}`,
    `link set dev ${entry} type bridge_slave learning off flood off mcast_flood off bcast_flood off`,
    ...ports.map((port) => `link set dev ${port.name} master ${name}`),
    ...ports.filter(({ hairpin }) => hairpin).map((port) => `link set dev ${port.name} type bridge_slave hairpin on`),
    `link set dev ${name} mtu ${mtu}`,
  ];
}

/** Input of `bridge -batch -` in the gateway. */
export function fdbBatch(bridges: readonly GatewayBridge[]): string {
  return bridges.map(({ entry }) => `fdb replace ${ENTRY_STATION} dev ${entry} master static\n`).join('');
}

/** Chains of the gateway's netdev table. */
export function bridgeChains(bridges: readonly GatewayBridge[]): string {
  return bridges
    .map(
      ({ name, mac, entry }) => `  chain ${entry} {
    type filter hook egress device "${name}" priority 0; policy accept;
    ether daddr ${mac} ether daddr set ${ENTRY_STATION}
  }
`,
    )
    .join('');
}

/**
 * A table of the bridge family: what was captured on the bridge itself and is for everybody is not bridged, since nobody
 * knows which ports it was bridged to.
 */
export function entryTable(bridges: readonly GatewayBridge[]): string {
  if (bridges.length === 0) return '';
  const entries = bridges.map(({ entry }) => `"${entry}"`).join(', ');
  return `table bridge natreplay {
  chain entry {
    type filter hook forward priority -300; policy accept;
    iifname { ${entries} } ether daddr and 01:00:00:00:00:00 == 01:00:00:00:00:00 drop
  }
}
`;
}

/** Input of `ip -batch -`: the bridges forget behind which port they saw whom. */
export function forgetBatch(bridges: readonly GatewayBridge[]): string {
  return bridges.map(({ name }) => `link set dev ${name} type bridge fdb_flush\n`).join('');
}

/** Addresses of a range in the rules that get neighbours; further ones do not. */
const MOST_OF_RANGE = 256;

/**
 * Input of `ip -batch -`: the neighbours on bridges. Those that were seen, and whomever else rules or routes name, with an
 * address that no station has: what is sent there is flooded, as before its first answer.
 */
export function neighbourBatch(
  bridges: readonly GatewayBridge[],
  host: HostFile,
  rules: string,
  stations: readonly Station[],
): string {
  const names = new Set(bridges.map(({ name }) => name));
  if (names.size === 0) return '';
  const known = new Map<string, string>();
  const prefixes = host.addr.flatMap(({ ifname = '', addr_info: infos = [] }) =>
    names.has(ifname) ? infos.flatMap((info) => onLink(ifname, info)) : [],
  );
  const named = [...addressesIn(rules), ...gatewaysOf(host)];
  for (const address of named) {
    const parsed = parseAddress(address);
    if (parsed === undefined) continue;
    const text = formatAddress(parsed.family, parsed.words);
    for (const { iface, prefix, own } of prefixes) {
      if (own === text || prefix.family !== parsed.family || !prefixContains(prefix, parsed.words)) continue;
      known.set(`${text} ${iface}`, `02:6e:72:05:${hex16(known.size)}`);
    }
  }
  for (const { iface, address, mac } of stations) {
    if (names.has(iface)) known.set(`${address} ${iface}`, mac);
  }
  return [...known]
    .map(([key, mac]) => {
      const [address = '', iface = ''] = key.split(' ');
      return `neighbour replace ${address} lladdr ${mac} dev ${iface} nud permanent\n`;
    })
    .join('');
}

function onLink(iface: string, info: AddressJson) {
  const own = info.local ?? '';
  const family = own.includes(':') ? 6 : 4;
  const prefix = parsePrefix(`${own}/${info.prefixlen ?? (family === 6 ? 128 : 32)}`, family);
  return prefix === undefined ? [] : [{ iface, prefix, own }];
}

/** Every address, and those of ranges (`192.0.2.1-192.0.2.9`), as far as the last byte tells them apart. */
function* addressesIn(text: string): Generator<string> {
  for (const [, from = '', to] of text.matchAll(/(\d+\.\d+\.\d+\.\d+)(?:-(\d+\.\d+\.\d+\.\d+))?/g)) {
    yield* range(from, to ?? from);
  }
  for (const [address] of text.matchAll(/[0-9a-f]*:[0-9a-f:]*:[0-9a-f:.]*/gi)) yield address.replace(/^::$/, '');
}

function* range(from: string, to: string): Generator<string> {
  const first = parseAddress(from)?.words[0];
  const last = parseAddress(to)?.words[0];
  if (first === undefined || last === undefined) return;
  for (let word = first; word <= last && word - first < MOST_OF_RANGE; word++) {
    yield formatAddress(4, Uint32Array.of(word, 0, 0, 0));
  }
}

function gatewaysOf({ route = [], route6 = [] }: HostFile): string[] {
  return [...route, ...route6].flatMap(({ gateway, nexthops = [] }) =>
    [gateway, ...nexthops.map((hop) => hop.gateway)].filter((text): text is string => text !== undefined),
  );
}

function hex16(value: number): string {
  const text = (value & 0xffff).toString(16).padStart(4, '0');
  return `${text.slice(0, 2)}:${text.slice(2)}`;
}
