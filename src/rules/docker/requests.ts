/** What Docker is asked for, by options, a compose file or what was inspected: networks and containers, nothing settled yet. */
import type { Address, Prefix } from '../../host/address.js';
import type { Family } from '../../host/types.js';
import type { GatewayMode } from './firewall.js';
import type { PortRequest } from './ports.js';
import type { Fail } from './problem.js';

/** Networks by this name are the one on docker0. */
export const DEFAULT_NETWORK = 'bridge';

export interface SubnetRequest {
  readonly subnet: Prefix;
  readonly gateway?: Address | undefined;
  /** Containers get their addresses out of this part of it. */
  readonly range?: Prefix | undefined;
}

/** A bridge network. */
export interface NetworkRequest {
  readonly name: string;
  /** Interface; undefined: `br-` and what `id` begins with. */
  readonly bridge: string | undefined;
  /** The network's ID, where it is known. */
  readonly id: string | undefined;
  readonly internal: boolean;
  readonly icc: boolean;
  readonly masquerade: boolean;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly mode: Readonly<Record<Family, GatewayMode>>;
  readonly snat: Readonly<Record<Family, Address | undefined>>;
  /** Where ports are published that do not say. */
  readonly hostAddress: Address | undefined;
  readonly subnets: readonly SubnetRequest[];
  readonly fail: Fail;
}

export interface ContainerRequest {
  readonly name: string;
  /** `host` and `none` have no rules. */
  readonly mode: 'bridge' | 'host' | 'none';
  readonly attachments: readonly AttachmentRequest[];
  readonly ports: readonly PortRequest[];
  readonly fail: Fail;
}

export interface AttachmentRequest {
  /** Name of the network. */
  readonly network: string;
  readonly addresses: readonly Address[];
  /** The highest is the container's gateway; among equals, the first by name. */
  readonly priority: number;
  readonly fail: Fail;
}

/** What one source of requests yields. Warnings are for people. */
export interface Requests {
  readonly networks: readonly NetworkRequest[];
  readonly containers: readonly ContainerRequest[];
  readonly warnings: readonly string[];
}
