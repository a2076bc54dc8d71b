/** What a gateway is made from. */
import type { HostFile } from '../host/hostschema.js';
import type { Station } from './bridging.js';
import type { Sender } from './layout.js';

export type Backend = 'legacy' | 'nft';

export interface GatewayOptions {
  readonly host: HostFile;
  /** iptables-save text. */
  readonly rules: string;
  /** ip6tables-save text. */
  readonly rules6?: string | undefined;
  readonly backend: Backend;
  /** MTU of every interface instead of the host file's; 65535 for captures of offloading hosts. */
  readonly mtu?: number | undefined;
  /** Let out what the host itself says about packets; default: it is kept quiet. */
  readonly answers?: boolean | undefined;
  /** Neighbours whose frames shall arrive with their own source address; default: none, enough without `-m mac` and bridges. */
  readonly senders?: readonly Sender[] | undefined;
  /** Who is at a bridge, as far as the host knows before the first packet; to others it sends as if it knew them too. */
  readonly stations?: readonly Station[] | undefined;
  /** IPv6 on. Default: when there are IPv6 rules or the host file has a global IPv6 address. */
  readonly ipv6?: boolean | undefined;
}
