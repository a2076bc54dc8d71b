/** `-m udp`: ports of UDP (kernel: net/netfilter/xt_tcpudp.c, udp_mt). */
import type { MatchExtension, ParsedOption } from '../extension.js';
import { type PortRange, parsePortRange } from '../values/ports.js';
import { matchesFields, portTests } from './nftfields.js';
import { argument, option } from './support.js';
import { listPorts, type Negatable, parseNegatable, portTest, printPorts } from './tcp.js';

export interface UdpOptions {
  readonly sourcePorts: Negatable<PortRange> | undefined;
  readonly destinationPorts: Negatable<PortRange> | undefined;
}

const HEADER = 8;

export const udp: MatchExtension<UdpOptions> = {
  kind: 'match',
  name: 'udp',
  summary: 'UDP source and destination ports',
  families: [4, 6],
  protocols: [17],
  options: [option(true, '--sport', '--source-port'), option(true, '--dport', '--destination-port')],
  parse(options, context) {
    const ports = (name: string): Negatable<PortRange> | undefined =>
      parseNegatable(
        options.find((found: ParsedOption) => found.name === name),
        (found) => parsePortRange(argument(found), context),
      );
    return { sourcePorts: ports('--sport'), destinationPorts: ports('--dport') };
  },
  print({ sourcePorts, destinationPorts }) {
    return printPorts('sport', sourcePorts) + printPorts('dport', destinationPorts);
  },
  list({ sourcePorts, destinationPorts }) {
    return `udp${listPorts('spt', sourcePorts)}${listPorts('dpt', destinationPorts)}`;
  },
  destinationPorts: ({ destinationPorts }) =>
    destinationPorts?.negated === false ? destinationPorts.value : undefined,
  compile({ sourcePorts, destinationPorts }, { backend }) {
    if (backend === 'nft') return matchesFields(portTests(sourcePorts, destinationPorts));
    const [sourceMin, sourceMax, sourceNot] = portTest(sourcePorts);
    const [destinationMin, destinationMax, destinationNot] = portTest(destinationPorts);
    return (packet) => {
      if (packet.fragmentOffset !== 0) return false;
      const { l4, view } = packet;
      if (packet.end - l4 < HEADER) {
        packet.hotDrop();
        return false;
      }
      const source = view.getUint16(l4);
      if ((source >= sourceMin && source <= sourceMax) === sourceNot) return false;
      const destination = view.getUint16(l4 + 2);
      return (destination >= destinationMin && destination <= destinationMax) !== destinationNot;
    };
  },
};
