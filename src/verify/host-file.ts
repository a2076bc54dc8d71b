/**
 * The part of a host file (DESIGN, "The host") that a gateway namespace is built from, in the words of iproute2's own
 * JSON. Everything but `addr` may be missing.
 */

/** An entry of `ip -j addr`. */
export interface LinkEntry {
  readonly ifname: string;
  readonly ifindex?: number | undefined;
  readonly flags?: readonly string[] | undefined;
  readonly mtu?: number | undefined;
  readonly link_type?: string | undefined;
  /** Link-layer address, `02:42:ac:11:00:01`. */
  readonly address?: string | undefined;
  /** Bridge, bond or VRF it belongs to. */
  readonly master?: string | undefined;
  readonly addr_info?: readonly AddressEntry[] | undefined;
}

export interface AddressEntry {
  readonly family: string;
  readonly local?: string | undefined;
  /** Peer of a point-to-point address. */
  readonly address?: string | undefined;
  readonly prefixlen: number;
  readonly broadcast?: string | undefined;
  readonly scope?: string | undefined;
  readonly noprefixroute?: boolean | undefined;
}

/** An entry of `ip -j route show table all`. */
export interface RouteEntry {
  readonly type?: string | undefined;
  readonly dst: string;
  readonly gateway?: string | undefined;
  readonly via?: { readonly family: string; readonly host: string } | undefined;
  readonly dev?: string | undefined;
  readonly table?: string | number | undefined;
  readonly protocol?: string | undefined;
  readonly scope?: string | undefined;
  readonly prefsrc?: string | undefined;
  readonly metric?: number | undefined;
  readonly flags?: readonly string[] | undefined;
  readonly nexthops?: readonly NextHopEntry[] | undefined;
}

export interface NextHopEntry {
  readonly gateway?: string | undefined;
  readonly dev?: string | undefined;
  readonly weight?: number | undefined;
  readonly flags?: readonly string[] | undefined;
}

export interface HostFile {
  readonly addr: readonly LinkEntry[];
  readonly route?: readonly RouteEntry[] | undefined;
  readonly route6?: readonly RouteEntry[] | undefined;
  readonly sysctl?: Readonly<Record<string, string>> | undefined;
  readonly iptables?: string | undefined;
  readonly ip6tables?: string | undefined;
  readonly ipset?: string | undefined;
}
