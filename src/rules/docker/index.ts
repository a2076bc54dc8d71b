/**
 * The rules Docker writes for its networks, containers and published ports: `requests` (from options, compose files,
 * inspected objects) are settled (subnets, addresses, host ports), then written in the style of a Docker version.
 */
import { formatAddress, formatPrefix } from '../../host/address.js';
import type { Family } from '../../host/types.js';
import type { Policy } from '../types.js';
import { classicStyle } from './classic.js';
import type { Firewall, FirewallContainer, FirewallNetwork, FirewallPort, Style } from './firewall.js';
import type { Settled, SettledNetwork, SettledPort } from './settle.js';
import { style28 } from './style28.js';

export interface DaemonOptions {
  readonly style: Style;
  readonly userlandProxy: boolean;
  readonly forwardPolicy: Policy;
  readonly allowDirectRouting?: boolean | undefined;
}

/** iptables-save text of one family, each rule as iptables itself would print it. */
export function dockerRules(settled: Settled, family: Family, daemon: DaemonOptions): string {
  const firewall = firewallOf(settled, family, daemon);
  return (daemon.style === 'classic' ? classicStyle(firewall) : style28(firewall)).toString();
}

function firewallOf(settled: Settled, family: Family, daemon: DaemonOptions): Firewall {
  const networks = new Map(
    settled.networks.flatMap((one) => {
      const made = networkOf(one, family);
      return made === undefined ? [] : [[one, made] as const];
    }),
  );
  return {
    family,
    hairpin: !daemon.userlandProxy,
    wsl2Mirrored: false,
    allowDirectRouting: daemon.allowDirectRouting ?? false,
    userChain: true,
    forwardPolicy: daemon.forwardPolicy,
    networks: [...networks.values()],
    containers: settled.containers.map(
      ({ endpoints }): FirewallContainer => ({
        endpoints: endpoints.flatMap(({ network, addresses, ports }) => {
          const [made, address] = [networks.get(network), addresses.get(family)];
          if (made === undefined || address === undefined) return [];
          const own = ports.filter((port) => port.family === family).map(firewallPort);
          return [{ network: made, address: formatAddress(family, address.words), ports: own }];
        }),
      }),
    ),
  };
}

function networkOf(
  { bridge, internal, icc, masquerade, sides }: SettledNetwork,
  family: Family,
): FirewallNetwork | undefined {
  const side = sides.get(family);
  if (side === undefined) return undefined;
  const { subnet, mode, snat } = side;
  return {
    bridge,
    internal,
    icc,
    masquerade,
    mode,
    subnet: formatPrefix(family, subnet.words, subnet.prefixLength),
    snat: snat === undefined ? undefined : formatAddress(family, snat.words),
  };
}

function firewallPort({ family, protocol, containerPort, hostPort, hostAddress }: SettledPort): FirewallPort {
  return {
    protocol,
    containerPort,
    hostPort,
    hostAddress: hostAddress === undefined ? undefined : formatAddress(family, hostAddress.words),
  };
}
