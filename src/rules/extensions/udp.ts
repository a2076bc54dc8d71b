/** `-m udp`: ports of UDP (kernel: net/netfilter/xt_tcpudp.c, udp_mt). */
import type { MatchExtension } from '../extension.js';
import { matchesFields, portTests } from './nftfields.js';
import {
  compilePorts,
  listPorts,
  onlyDestinationPorts,
  PORT_OPTIONS,
  type PortOptions,
  parsePorts,
  printPorts,
  readsPorts,
} from './portmatch.js';

const HEADER = 8;

export const udp: MatchExtension<PortOptions> = {
  kind: 'match',
  name: 'udp',
  summary: 'UDP source and destination ports',
  families: [4, 6],
  protocols: [17],
  options: PORT_OPTIONS,
  parse: parsePorts,
  print: printPorts,
  list: (ports, _, names) => `udp${listPorts(ports, names)}`,
  destinationPorts: onlyDestinationPorts,
  reads: readsPorts,
  compile(ports, { backend }) {
    const tests = portTests(ports.sourcePorts, ports.destinationPorts);
    if (backend === 'nft' && tests.length > 0) return matchesFields(tests);
    const portsFit = compilePorts(ports);
    return (packet) => {
      if (packet.fragmentOffset !== 0) return false;
      const { l4, view } = packet;
      if (packet.end - l4 < HEADER) {
        packet.hotDrop();
        return false;
      }
      return portsFit(view, l4);
    };
  },
};
