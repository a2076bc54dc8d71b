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
  /** Port of a bridge that sends frames back where they came in, if their destination is there. */
  readonly hairpin?: boolean | undefined;
  /** A bridge, a VLAN device; undefined for all else. */
  readonly link?: LinkKind | undefined;
  /** In the kernel's order: primaries before their secondaries. */
  readonly addresses: readonly InterfaceAddress[];
}

/** What a device is made of (`linkinfo` of `ip -d link`). */
export type LinkKind =
  | {
      readonly kind: 'bridge';
      /** Its own nf_call_iptables and nf_call_ip6tables, beside the sysctls bridge-nf-call-*. */
      readonly callIptables: boolean;
      readonly callIp6tables: boolean;
    }
  | {
      readonly kind: 'vlan';
      /** Name of the device below, which may be a VLAN device itself. */
      readonly parent: string;
      readonly id: number;
      /** EtherType of its tag: 0x8100 (802.1Q) or 0x88a8 (802.1ad). */
      readonly protocol: number;
    };

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
  /** Of a route with several next hops: the interfaces of all of them, any of which a packet may come back by. */
  readonly interfaces?: readonly InterfaceIndex[];
}

/** What a lookup may go by (kernel: struct flowi4, flowi6). */
export interface Flow {
  family: Family;
  source: Uint32Array;
  destination: Uint32Array;
  /** Interface it came in by; that of loopback for what the host itself sends. */
  ingress: InterfaceIndex;
  /** Interface that the sender asked for, NO_INTERFACE as a rule. */
  egress: InterfaceIndex;
  mark: number;
  /** The byte of the IP header: TOS, traffic class. */
  tos: number;
  /** 0: not looked at, and no rule for a protocol or port applies. Ports are 0 for protocols without. */
  protocol: number;
  sourcePort: number;
  destinationPort: number;
}

/** What, beside the destination, decides where a packet goes on this host (`ip rule`, routes with a TOS). */
export interface RoutingDependencies {
  readonly any: boolean;
  readonly source: boolean;
  readonly ingress: boolean;
  readonly mark: boolean;
  readonly tos: boolean;
  /** Protocol and ports. */
  readonly ports: boolean;
}

export interface Host {
  readonly interfaces: readonly HostInterface[];
  interfaceByName(name: string): HostInterface | undefined;
  interfaceByIfindex(ifindex: number): HostInterface | undefined;
  /**
   * Longest prefix, then lowest metric, over the local, main and default tables (or those that the policy rules name for a
   * packet of which nothing but the destination is known). Undefined: no route. Routes of type
   * blackhole, unreachable and prohibit are returned: the packet is dropped. IPv4 multicast is type multicast, 255.255.255.255
   * type broadcast, whatever the tables say; their interface is that of the tables, or NO_INTERFACE.
   */
  route(family: Family, destination: Uint32Array): Route | undefined;
  /** The same for a whole packet, by the host's policy rules where it has any. Does not keep `flow`. */
  lookUp(flow: Flow): Route | undefined;
  /** Computed once; `any` is false on most hosts, whose lookups need the destination only. */
  routingDependsOn(family: Family): RoutingDependencies;
  /**
   * Policy rules or local routes of the administrator's own: then the kernel looks every IPv4 source address up, where
   * it else only makes sure that it is none of the host's (fib_validate_source).
   */
  readonly checksSourcesByRoute: boolean;
  /**
   * Ranges of IPv4 addresses that routes and addresses name: to all of them together, addresses that are in the same ranges
   * are alike.
   */
  readonly prefixes4: readonly { readonly min: number; readonly max: number }[];
  /** Made up from rules and capture, not stated by anybody. */
  readonly inferred: boolean;
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
