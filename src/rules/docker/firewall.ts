/**
 * What decides Docker's rules of one address family: its networks and containers with every address and port settled.
 * Addresses are text as iptables prints them.
 */
import type { Family } from '../../host/types.js';
import type { Policy } from '../types.js';

/** Docker 20 to 27, or 28 and later. */
export type Style = 'classic' | '28';

export type Transport = 'tcp' | 'udp' | 'sctp';

/** `com.docker.network.bridge.gateway_mode_ipv4` and `_ipv6`. */
export type GatewayMode = 'nat' | 'nat-unprotected' | 'routed' | 'isolated';

export interface Firewall {
  readonly family: Family;
  /** Without docker-proxy (`--userland-proxy=false`) containers reach published ports by NAT, as hairpins. */
  readonly hairpin: boolean;
  /** WSL2 with mirrored networking: what comes by `loopback0` is for Windows. */
  readonly wsl2Mirrored: boolean;
  /** The daemon's `--allow-direct-routing`. */
  readonly allowDirectRouting: boolean;
  /** The daemon makes DOCKER-USER; its bridge driver alone, whose tests Docker documents, does not. */
  readonly userChain: boolean;
  /** DROP where the daemon had to switch forwarding on. */
  readonly forwardPolicy: Policy;
  /** Those that have this family, in order of creation. */
  readonly networks: readonly FirewallNetwork[];
  /** In the order they were started. */
  readonly containers: readonly FirewallContainer[];
}

export interface FirewallNetwork {
  readonly bridge: string;
  readonly subnet: string;
  readonly internal: boolean;
  /** Containers may talk to each other (`enable_icc`). */
  readonly icc: boolean;
  readonly masquerade: boolean;
  readonly mode: GatewayMode;
  /** `com.docker.network.host_ipv4`: translate to this address instead of masquerading. */
  readonly snat?: string | undefined;
}

export interface FirewallContainer {
  readonly endpoints: readonly FirewallEndpoint[];
}

export interface FirewallEndpoint {
  readonly network: FirewallNetwork;
  readonly address: string;
  /** Empty but for the endpoint that is the container's gateway. In the order in which Docker takes them. */
  readonly ports: readonly FirewallPort[];
}

export interface FirewallPort {
  readonly protocol: Transport;
  readonly containerPort: number;
  /** 0: not translated (gateway mode routed). */
  readonly hostPort: number;
  /** Undefined: every address of the host. */
  readonly hostAddress?: string | undefined;
}
