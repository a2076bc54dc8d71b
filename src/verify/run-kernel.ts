/** One call for the whole way: packets in, what the running kernel made of them out. */

import type { HostFile } from '../host/hostschema.js';
import { Gateway, type GatewayOptions, type KernelDelivery, type KernelOutput, type KernelPacket } from './gateway.js';
import { MAX_MTU } from './layout.js';

export interface KernelRunOptions extends GatewayOptions {
  readonly packets: readonly KernelPacket[];
}

export interface KernelRun {
  /** In the order of the inputs; the outputs of one input in the order they left. */
  readonly outputs: readonly KernelOutput[];
  /** Packets that reached the host itself, past every chain of INPUT. */
  readonly delivered: readonly KernelDelivery[];
  /** `iptables-save -c` text after the run. */
  readonly counters: string;
  /** `ip6tables-save -c` text, empty without IPv6 rules. */
  readonly counters6: string;
  /** `conntrack -L` text after the run. */
  readonly conntrack: string;
  /** Settings of the host file that could not be made here. */
  readonly unset: readonly string[];
}

/** Needs root and the programs of `neededCommands`; throws NatreplayError. Leaves nothing behind whatever happens. */
export async function runKernel(options: KernelRunOptions): Promise<KernelRun> {
  const gateway = await Gateway.open({ ...options, mtu: options.mtu ?? neededMtu(options.host, options.packets) });
  try {
    const { outputs, delivered } = await gateway.send(options.packets);
    return {
      outputs,
      delivered,
      counters: await gateway.counters(),
      counters6: options.rules6 === undefined ? '' : await gateway.counters6(),
      conntrack: await gateway.conntrack(),
      unset: gateway.unset,
    };
  } finally {
    await gateway.close();
  }
}

/**
 * A frame larger than the MTU of its interface is several packets that offloading had merged when they were captured.
 * A veth drops it, so then every interface gets the largest MTU there is; else the host's own MTUs are kept (undefined).
 */
export function neededMtu(host: HostFile, packets: readonly KernelPacket[]): number | undefined {
  const mtus = new Map(host.addr.map((link) => [link.ifname, link.mtu ?? 1500]));
  const tooLarge = packets.some((packet) => packet.frame.length - 14 > (mtus.get(packet.iface) ?? 1500));
  return tooLarge ? MAX_MTU : undefined;
}
