/** A host as stated (file, options, inference), before it is made into something that answers questions. */
import { ipv4Words, networkOf, type Prefix, prefixMask, sameAddress } from './address.js';
import type { Family, HostInterface, InterfaceAddress, RouteType } from './types.js';

export type InterfaceDescription = Omit<HostInterface, 'index'>;

export interface RouteDescription {
  readonly family: Family;
  /** Network address, host bits clear. */
  readonly words: Uint32Array;
  readonly prefixLength: number;
  readonly type: RouteType;
  /** `local`, `main`, `default`, or another table's name or number. */
  readonly table: string;
  /** Name of the interface; undefined for blackhole and the like. */
  readonly device: string | undefined;
  readonly gateway: Uint32Array | undefined;
  readonly preferredSource: Uint32Array | undefined;
  readonly metric: number;
  /** The link has no carrier; the route is used all the same unless ignore_routes_with_linkdown is set. */
  readonly linkdown: boolean;
  /** Installed by the kernel itself for an address. */
  readonly kernel: boolean;
  /** Of packets with this TOS byte only; undefined: of all. */
  readonly tos?: number | undefined;
  /** Names of the interfaces of all its next hops, when there are several. */
  readonly devices?: readonly string[] | undefined;
}

/** A line of `ip rule`. */
export interface RuleDescription {
  readonly family: Family;
  readonly priority: number;
  /** `not`: applies to what does not match. */
  readonly inverted: boolean;
  readonly from: Prefix | undefined;
  readonly to: Prefix | undefined;
  /** Names of interfaces; one the host does not have never matches. */
  readonly iif: string | undefined;
  readonly oif: string | undefined;
  readonly mark: number;
  /** 0: whatever the mark. */
  readonly mask: number;
  readonly tos: number | undefined;
  readonly protocol: number | undefined;
  readonly sourcePorts: PortSpan | undefined;
  readonly destinationPorts: PortSpan | undefined;
  /** Asks for what no packet of the replay has: a VRF, a tunnel, a user other than root. */
  readonly neverMatches: boolean;
  readonly action: RuleAction;
}

export type PortSpan = readonly [first: number, last: number];

export type RuleAction =
  | { readonly kind: 'table'; readonly table: string; readonly suppressPrefixLength: number | undefined }
  | { readonly kind: 'goto'; readonly priority: number }
  | { readonly kind: 'nop' }
  | { readonly kind: 'blackhole' | 'unreachable' | 'prohibit' };

export interface HostDescription {
  readonly interfaces: readonly InterfaceDescription[];
  readonly routes: readonly RouteDescription[];
  /** By family, in their order; undefined: the rules of a fresh kernel. */
  readonly rules?: readonly RuleDescription[] | undefined;
  readonly rules6?: readonly RuleDescription[] | undefined;
  /** Made up from rules and capture. */
  readonly inferred?: boolean;
  readonly sysctl: ReadonlyMap<string, string>;
  readonly iptables: string | undefined;
  readonly ip6tables: string | undefined;
  readonly ipset: string | undefined;
  readonly assumptions: readonly string[];
}

export const EMPTY_HOST: HostDescription = {
  interfaces: [],
  routes: [],
  sysctl: new Map(),
  iptables: undefined,
  ip6tables: undefined,
  ipset: undefined,
  assumptions: [],
};

const LOOPBACK: InterfaceDescription = {
  name: 'lo',
  ifindex: undefined,
  mac: undefined,
  mtu: 65536,
  loopback: true,
  up: true,
  master: undefined,
  addresses: [
    makeAddress(4, ipv4Words(0x7f000001), 8, { scope: 'host' }),
    makeAddress(6, Uint32Array.of(0, 0, 0, 1), 128, { scope: 'host' }),
  ],
};

/** `eth0.100` is by custom VLAN 100 of `eth0`. */
export function vlanByName(name: string): { readonly parent: string; readonly id: number } | undefined {
  const found = /^(.+)\.([0-9]{1,4})$/.exec(name);
  const id = Number(found?.[2]);
  return found?.[1] === undefined || id < 1 || id > 4094 ? undefined : { parent: found[1], id };
}

/** Every Linux network namespace has a loopback interface; it comes first, as in the kernel's own list. */
export function withLoopback(interfaces: readonly InterfaceDescription[]): readonly InterfaceDescription[] {
  return interfaces.some((iface) => iface.loopback) ? interfaces : [LOOPBACK, ...interfaces];
}

export const LOOPBACK_ADDRESSES = LOOPBACK.addresses;

/** An address as `ip addr add` makes it: the scope from the address, a broadcast address from the prefix. */
export function makeAddress(
  family: Family,
  words: Uint32Array,
  prefixLength: number,
  over: Partial<InterfaceAddress> = {},
): InterfaceAddress {
  const loopback = family === 4 && (words[0] ?? 0) >>> 24 === 127;
  const linkLocal = family === 6 && ((words[0] ?? 0) & 0xffc00000) >>> 0 === 0xfe800000;
  const scope = loopback ? 'host' : linkLocal ? 'link' : 'global';
  const broadcast =
    family === 4 && prefixLength < 31 && !loopback ? subnetBroadcast(words[0] ?? 0, prefixLength) : undefined;
  return { family, words, prefixLength, broadcast, scope, secondary: false, peer: undefined, ...over };
}

/** Last address of an IPv4 subnet. */
export function subnetBroadcast(word: number, prefixLength: number): number {
  return (word | ~(prefixMask(4, prefixLength)[0] ?? 0)) >>> 0;
}

/**
 * Marks IPv4 addresses as secondary and puts them behind the primaries, as the kernel does when they are added one after
 * another (inet_insert_ifa: same mask, same subnet as an earlier primary).
 */
export function orderAddresses(addresses: readonly InterfaceAddress[]): InterfaceAddress[] {
  const marked = addresses.map((address, i) => ({
    ...address,
    secondary: address.family === 4 && addresses.slice(0, i).some((earlier) => sameSubnet(earlier, address)),
  }));
  return [...marked.filter((address) => !address.secondary), ...marked.filter((address) => address.secondary)];
}

function sameSubnet(a: InterfaceAddress, b: InterfaceAddress): boolean {
  if (a.family !== b.family || a.prefixLength !== b.prefixLength) return false;
  const { family, prefixLength } = a;
  return sameAddress(networkOf(family, a.words, prefixLength), networkOf(family, b.words, prefixLength));
}
