/**
 * The emulated machine, as the rest of the program sees it. Addresses are words: IPv4 is one 32-bit word, IPv6 four,
 * both in host order (192.0.2.1 is 0xc0000201), in a Uint32Array of four of which IPv4 uses the first.
 */

export type Family = 4 | 6;

/** Index into `Host.interfaces`; -1 stands for "none". */
export type InterfaceIndex = number;
export const NO_INTERFACE = -1;

export interface InterfaceAddress {
  readonly family: Family;
  readonly words: Uint32Array;
  readonly prefixLength: number;
  /** Broadcast address of an IPv4 subnet, if the interface has one. */
  readonly broadcast: number | undefined;
  readonly scope: 'global' | 'site' | 'link' | 'host';
  readonly secondary: boolean;
  /** Peer of a point-to-point address; its words, else undefined. */
  readonly peer: Uint32Array | undefined;
  /** IPv6: still being checked for duplicates, so not used as a source. */
  readonly tentative?: boolean;
  /** IPv6: used as a source only if there is no other. */
  readonly deprecated?: boolean;
  /** Its subnet gets no route of the kernel's own (`noprefixroute`). */
  readonly noPrefixRoute?: boolean;
}

export interface HostInterface {
  readonly index: InterfaceIndex;
  readonly name: string;
  /** Kernel's ifindex, when the host file states it (SLL2 captures name interfaces by it). */
  readonly ifindex: number | undefined;
  /** Six bytes, undefined when not stated. */
  readonly mac: Uint8Array | undefined;
  readonly mtu: number;
  readonly loopback: boolean;
  readonly up: boolean;
  /** Name of the bridge (or bond) it belongs to. */
  readonly master: string | undefined;
  /** In the kernel's order: primaries before their secondaries. */
  readonly addresses: readonly InterfaceAddress[];
}

/** Types of include/uapi/linux/rtnetlink.h, as `ip route` and `-m addrtype` name them. */
export type RouteType =
  | 'unicast'
  | 'local'
  | 'broadcast'
  | 'anycast'
  | 'multicast'
  | 'blackhole'
  | 'unreachable'
  | 'prohibit'
  | 'throw'
  | 'nat'
  | 'unspec';

/** Result of a route lookup. Interned: the same route is always the same object, so it can be compared and cached. */
export interface Route {
  readonly type: RouteType;
  /** Of a local route: the interface that has the address. NO_INTERFACE for blackhole and the like. */
  readonly iface: InterfaceIndex;
  /** Next hop of the same family, undefined when the destination is on the link (or behind an IPv6 next hop of an IPv4 route). */
  readonly gateway: Uint32Array | undefined;
  /** `src` of the route, undefined when not stated. */
  readonly preferredSource: Uint32Array | undefined;
  readonly metric: number;
}

export interface Host {
  readonly interfaces: readonly HostInterface[];
  interfaceByName(name: string): HostInterface | undefined;
  interfaceByIfindex(ifindex: number): HostInterface | undefined;
  /**
   * Longest prefix, then lowest metric, over the local, main and default tables. Undefined: no route. Routes of type
   * blackhole, unreachable and prohibit are returned: the packet is dropped. IPv4 multicast is type multicast, 255.255.255.255
   * type broadcast, whatever the tables say; their interface is that of the tables, or NO_INTERFACE.
   */
  route(family: Family, destination: Uint32Array): Route | undefined;
  /** Type of an address as `-m addrtype` sees it (kernel: inet_addr_type over the local table). */
  addressType(family: Family, address: Uint32Array, limitToInterface?: InterfaceIndex): RouteType;
  /** Value of a sysctl, undefined when the host does not state it. */
  sysctl(name: string): string | undefined;
  /** Text of the host file's own rules, if it has them. */
  readonly iptables: string | undefined;
  readonly ip6tables: string | undefined;
  readonly ipset: string | undefined;
  /** What had to be assumed, with how to state it: sentences for the report. */
  readonly assumptions: readonly string[];
}
