/** `-j NETMAP`: one network onto another, host bits kept (kernel: net/netfilter/xt_NETMAP.c). */
import { formatAddress, maskLength, prefixMask } from '../../host/address.js';
import type { NatRange, TargetExtension } from '../extension.js';
import { applyMask, formatMask, type Network, parseNetwork } from '../values/addresses.js';
import { rangeOfOne } from '../values/nat-range.js';
import { argument, find, option, requireOne } from './support.js';

export const netmap: TargetExtension<Network> = {
  kind: 'target',
  name: 'NETMAP',
  summary: 'maps a network onto another of the same size',
  families: [4, 6],
  tables: ['nat'],
  hooks: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  options: [option(false, '--to')],
  parse(options, context) {
    requireOne(options, 'NETMAP', context, '--to');
    const found = find(options, '--to');
    const token = found === undefined ? undefined : argument(found);
    const network = parseNetwork(token?.text ?? '', context.family);
    if ('wrong' in network) {
      return context.fail(
        'RULES_BAD_ADDRESS',
        `"${token?.text ?? ''}" is not a network`,
        token,
        'write it like 10.1.0.0/16',
      );
    }
    // iptables takes a mask with gaps for that of a single address.
    const mask =
      maskLength(context.family, network.mask) === undefined
        ? prefixMask(context.family, context.family === 4 ? 32 : 128)
        : network.mask;
    return { address: applyMask(network.address, mask), mask };
  },
  print(network, family) {
    return ` --to ${formatAddress(family, network.address)}${formatMask(family, network.mask)}`;
  },
  list(network, family) {
    return `to:${formatAddress(family, network.address)}${formatMask(family, network.mask)}`;
  },
  compile({ address, mask }) {
    return {
      kind: 'nat',
      byAddress: true,
      // The hook decides for NETMAP: see TargetAction.
      manipulation: 'dst',
      range(packet): NatRange {
        const atDestination = packet.hook === 'PREROUTING' || packet.hook === 'OUTPUT';
        const own = atDestination ? packet.destination : packet.source;
        const mapped = address.map((word, i) => word | ((own[i] ?? 0) & ~(mask[i] ?? 0)));
        return rangeOfOne(mapped);
      },
    };
  },
};
