/** `--sport` and `--dport`, which the matches tcp and udp have alike (kernel: net/netfilter/xt_tcpudp.c). */
import type { HeaderReads, ListNames, ParseContext, ParsedOption } from '../extension.js';
import { formatPortRange, listPortRange, type PortRange, parsePortRange } from '../values/ports.js';
import { argument, bang, find, option } from './support.js';

export interface Negatable<T> {
  readonly negated: boolean;
  readonly value: T;
}

export interface PortOptions {
  readonly sourcePorts: Negatable<PortRange> | undefined;
  readonly destinationPorts: Negatable<PortRange> | undefined;
}

export const PORT_OPTIONS = [option(true, '--sport', '--source-port'), option(true, '--dport', '--destination-port')];

export function parseNegatable<T>(
  found: ParsedOption | undefined,
  read: (found: ParsedOption) => T,
): Negatable<T> | undefined {
  return found === undefined ? undefined : { negated: found.negated, value: read(found) };
}

export function parsePorts(options: readonly ParsedOption[], context: ParseContext): PortOptions {
  const ports = (name: string): Negatable<PortRange> | undefined =>
    parseNegatable(find(options, name), (found) => parsePortRange(argument(found), context));
  return { sourcePorts: ports('--sport'), destinationPorts: ports('--dport') };
}

/** As iptables-save prints them: a range of all ports is left out, negated or not. */
export function printPorts({ sourcePorts, destinationPorts }: PortOptions): string {
  const print = (name: string, ports: Negatable<PortRange> | undefined): string =>
    ports === undefined || isAnyPort(ports) ? '' : ` ${bang(ports.negated)}--${name} ${formatPortRange(ports.value)}`;
  return print('sport', sourcePorts) + print('dport', destinationPorts);
}

/** `spt:80`, `dpts:!80:90`: as listings word ports. */
export function listPorts({ sourcePorts, destinationPorts }: PortOptions, names?: ListNames): string {
  const list = (name: string, ports: Negatable<PortRange> | undefined): string => {
    if (ports === undefined || (isAnyPort(ports) && !ports.negated)) return '';
    const single = ports.value.min === ports.value.max;
    return ` ${name}${single ? '' : 's'}:${ports.negated ? '!' : ''}${listPortRange(ports.value, names)}`;
  };
  return list('spt', sourcePorts) + list('dpt', destinationPorts);
}

/** The only destination ports that a rule with these options can match; undefined: any may. */
export function onlyDestinationPorts({ destinationPorts }: PortOptions): PortRange | undefined {
  return destinationPorts?.negated === false ? destinationPorts.value : undefined;
}

/** As MatchExtension.reads. */
export function readsPorts({ sourcePorts, destinationPorts }: PortOptions): HeaderReads {
  return {
    sourcePorts: sourcePorts === undefined ? [] : [sourcePorts.value],
    destinationPorts: destinationPorts === undefined ? [] : [destinationPorts.value],
  };
}

/** Whether the ports of the header at `l4`, which is there, fit. */
export function compilePorts(options: PortOptions): (view: DataView, l4: number) => boolean {
  const [sourceMin, sourceMax, sourceNot] = bounds(options.sourcePorts);
  const [destinationMin, destinationMax, destinationNot] = bounds(options.destinationPorts);
  return (view, l4) => {
    const source = view.getUint16(l4);
    if ((source >= sourceMin && source <= sourceMax) === sourceNot) return false;
    const destination = view.getUint16(l4 + 2);
    return (destination >= destinationMin && destination <= destinationMax) !== destinationNot;
  };
}

/** Everything when there is no option. */
function bounds(ports: Negatable<PortRange> | undefined): [min: number, max: number, negated: boolean] {
  return ports === undefined ? [0, 65535, false] : [ports.value.min, ports.value.max, ports.negated];
}

function isAnyPort(ports: Negatable<PortRange>): boolean {
  return ports.value.min === 0 && ports.value.max === 65535;
}
