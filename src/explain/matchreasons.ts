/** Why a match does not hold, for those matches of which more can be said than how the rule words them. */
import { formatAddress } from '../host/address.js';
import { hasPorts } from '../netfilter/conntrack/tuples.js';
import type { PacketContext } from '../rules/context.js';
import { STATE_DNAT, STATE_SNAT } from '../rules/context.js';
import type { AddrtypeOptions } from '../rules/extensions/addrtype.js';
import type { ConntrackOptions } from '../rules/extensions/conntrack.js';
import { dsField } from '../rules/extensions/dsfield.js';
import { ICMP_TYPES, ICMP6_TYPES, type IcmpOptions } from '../rules/extensions/icmp-types.js';
import type { IprangeOptions } from '../rules/extensions/iprange.js';
import type { MultiportOptions } from '../rules/extensions/multiport.js';
import type { Negatable, PortOptions } from '../rules/extensions/portmatch.js';
import { formatStates } from '../rules/extensions/states.js';
import type { TcpOptions } from '../rules/extensions/tcp.js';
import type { MatchUse } from '../rules/types.js';
import { compareAddresses } from '../rules/values/addresses.js';
import { hex } from '../rules/values/numbers.js';
import { formatPortRange, type PortRange } from '../rules/values/ports.js';
import { flagsOf } from './packetstate.js';

export interface Named {
  readonly condition: string;
  readonly wanted: string;
  /** What the packet is or has instead, as the end of a sentence; undefined: nothing can be said. */
  readonly has: string | undefined;
}

/** What can be said of a match by name; undefined where it is another part of it that fails. */
type Teller = (options: unknown, packet: PacketContext) => Named | undefined;

/** The options of a match by this name are of this type: the extension has made them itself. */
function teller<O>(tell: (options: O, packet: PacketContext) => Named | undefined): Teller {
  return (options, packet) => tell(options as O, packet);
}

const has = (what: string | number): string => `the packet has ${what}`;
const is = (what: string): string => `the packet is ${what}`;
const negation = (negated: boolean): string => (negated ? 'not ' : '');

export function matchReason({ extension, options }: MatchUse, packet: PacketContext): Named {
  const told = TELLERS.get(extension.name)?.(options, packet);
  if (told !== undefined) return told;
  const actual = ACTUAL.get(extension.name)?.(packet);
  const wanted = extension.print(options, packet.family).trim();
  return { condition: `match ${extension.name}`, wanted, has: actual };
}

/** What of the packet a match looks at, for matches that ask one thing. */
const ACTUAL = new Map<string, (packet: PacketContext) => string | undefined>([
  ['mark', ({ mark }) => has(`mark ${hex(mark)}`)],
  [
    'connmark',
    ({ connection }) =>
      connection === undefined ? has('no connection') : `its connection has mark ${hex(connection.mark)}`,
  ],
  ['length', ({ totalLength }) => has(`${totalLength} bytes`)],
  ['ttl', ({ bytes, l3 }) => has(`TTL ${bytes[l3 + 8] ?? 0}`)],
  ['hl', ({ bytes, l3 }) => has(`hop limit ${bytes[l3 + 7] ?? 0}`)],
  ['tos', (packet) => has(`TOS ${hex(dsField(packet))}`)],
  ['dscp', (packet) => has(`DSCP ${hex(dsField(packet) >> 2)}`)],
  ['ecn', (packet) => has(`ECN ${dsField(packet) & 3}`)],
  ['mac', (packet) => macOf(packet)],
  ['physdev', (packet) => portsOfBridge(packet)],
  ['owner', () => 'of whose sender nothing is known'],
  ['socket', () => 'for whom no socket is known'],
  ['connbytes', ({ connection }) => (connection?.counters === undefined ? has('no counted connection') : undefined)],
]);

function macOf({ bytes, sourceMac }: PacketContext): string {
  if (sourceMac === undefined || sourceMac < 0) return 'its frame has no Ethernet address';
  return has([...bytes.subarray(sourceMac, sourceMac + 6)].map((byte) => byte.toString(16).padStart(2, '0')).join(':'));
}

function portsOfBridge({ bridgeIn, host }: PacketContext): string {
  const name = host.interfaces[bridgeIn ?? -1]?.name;
  return name === undefined ? is('not bridged') : `it came in by port ${name}`;
}

function portText({ value, negated }: Negatable<PortRange>): string {
  return `${negation(negated)}${formatPortRange(value)}`;
}

interface PacketPorts {
  readonly source: number;
  readonly destination: number;
}

function portsOf({ protocol, fragmentOffset, view, l4, end }: PacketContext): PacketPorts | undefined {
  if (fragmentOffset !== 0 || !(hasPorts(protocol) || protocol === 33) || l4 + 4 > end) return undefined;
  return { source: view.getUint16(l4), destination: view.getUint16(l4 + 2) };
}

const fits = ({ value, negated }: Negatable<PortRange>, port: number): boolean =>
  (port >= value.min && port <= value.max) !== negated;

function portReason(
  source: Negatable<PortRange> | undefined,
  destination: Negatable<PortRange> | undefined,
  packet: PacketContext,
): Named | undefined {
  const ports = portsOf(packet);
  if (ports === undefined) return { condition: 'ports', wanted: 'to be there', has: has('no whole transport header') };
  if (source !== undefined && !fits(source, ports.source))
    return { condition: 'source port', wanted: portText(source), has: has(ports.source) };
  if (destination !== undefined && !fits(destination, ports.destination))
    return { condition: 'destination port', wanted: portText(destination), has: has(ports.destination) };
  return undefined;
}

const TCP_FLAG_NAMES = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG'];
const flagNames = (bits: number): string =>
  TCP_FLAG_NAMES.filter((_, k) => (bits & (1 << k)) !== 0).join(',') || 'none';

function tcpReason(
  { sourcePorts, destinationPorts, flags, option }: TcpOptions,
  packet: PacketContext,
): Named | undefined {
  const port = portReason(sourcePorts, destinationPorts, packet);
  if (port !== undefined) return port;
  if (flags !== undefined) {
    const { mask, set } = flags.value;
    const bits = (packet.bytes[packet.l4 + 13] ?? 0) & mask;
    const wanted = `${negation(flags.negated)}${flagNames(set)} of ${flagNames(mask)}`;
    if ((bits === set) === flags.negated)
      return { condition: 'TCP flags', wanted, has: has(flagsOf(packet) ?? 'none') };
  }
  if (option === undefined) return undefined;
  const absent = option.negated ? has('it') : has('none of it');
  return { condition: 'TCP option', wanted: `${negation(option.negated)}${option.value}`, has: absent };
}

function multiportReason({ which, negated, ranges }: MultiportOptions, packet: PacketContext): Named {
  const condition = { sports: 'source port', dports: 'destination port', ports: 'source or destination port' }[which];
  const wanted = `${negation(negated)}${ranges.map((range) => formatPortRange(range)).join(',')}`;
  const ports = portsOf(packet);
  if (ports === undefined) return { condition, wanted, has: has('no whole transport header') };
  const { source, destination } = ports;
  return {
    condition,
    wanted,
    has: has({ sports: source, dports: destination, ports: `${source} and ${destination}` }[which]),
  };
}

function icmpReason({ negated, type, minCode, maxCode }: IcmpOptions, packet: PacketContext): Named {
  const types = packet.family === 4 ? ICMP_TYPES : ICMP6_TYPES;
  const text = (t: number, code: number | undefined): string => {
    const found = types.find(
      ([, one, c]) => one === t && (c === undefined || code === undefined ? c === code : c === code),
    );
    const plain = types.find(([, one, c]) => one === t && c === undefined);
    const word = found?.[0] ?? plain?.[0];
    const number = code === undefined ? String(t) : `${t}/${code}`;
    return word === undefined ? number : `${number} (${word})`;
  };
  const wanted = `${negation(negated)}${text(type, minCode === maxCode ? minCode : undefined)}`;
  const { bytes, l4, end, fragmentOffset } = packet;
  if (fragmentOffset !== 0 || l4 + 8 > end) return { condition: 'ICMP type', wanted, has: has('no whole ICMP header') };
  return { condition: 'ICMP type', wanted, has: has(text(bytes[l4] ?? 0, bytes[l4 + 1] ?? 0)) };
}

/** SNAT and DNAT stand beside the state proper. */
function stateName(packet: PacketContext): string {
  return (
    formatStates(packet.state & ~(STATE_SNAT | STATE_DNAT)) +
    (packet.state & STATE_DNAT ? ', DNAT' : '') +
    (packet.state & STATE_SNAT ? ', SNAT' : '')
  );
}

function stateReason(mask: number, negated: boolean, packet: PacketContext): Named | undefined {
  if (((packet.state & mask) !== 0) !== negated) return undefined;
  return {
    condition: 'connection state',
    wanted: `${negation(negated)}${formatStates(mask)}`,
    has: is(stateName(packet)),
  };
}

function conntrackReason({ state, ...others }: ConntrackOptions, packet: PacketContext): Named | undefined {
  const reason = state === undefined ? undefined : stateReason(state.value, state.negated, packet);
  if (reason !== undefined) return reason;
  const { connection } = packet;
  if (connection === undefined) return { condition: 'connection', wanted: 'to be there', has: has('none') };
  const { direction } = others;
  if (direction !== undefined && connection.original !== (direction === 'ORIGINAL'))
    return { condition: 'direction', wanted: direction, has: is(connection.original ? 'ORIGINAL' : 'REPLY') };
  return undefined;
}

function addrtypeReason({ source, destination, limit }: AddrtypeOptions, packet: PacketContext): Named | undefined {
  const { host, family } = packet;
  const iface = limit === undefined ? undefined : limit === 'in' ? packet.inInterface : packet.outInterface;
  // Which of the two fails can only be told where there is one.
  if ((source === undefined) === (destination === undefined)) return undefined;
  const address = source === undefined ? packet.destination : packet.source;
  const types = source ?? destination;
  const word = host.addressType(family, address, iface).toUpperCase();
  const where =
    limit === undefined ? '' : limit === 'in' ? ' (by the incoming interface)' : ' (by the outgoing interface)';
  return {
    condition: source === undefined ? 'destination type' : 'source type',
    wanted: `${negation(types?.negated === true)}${addressTypeText(types?.mask ?? 0)}${where}`,
    has: `${formatAddress(family, address)} is ${word}`,
  };
}

const ADDRESS_TYPES = [
  'UNSPEC',
  'UNICAST',
  'LOCAL',
  'BROADCAST',
  'ANYCAST',
  'MULTICAST',
  'BLACKHOLE',
  'UNREACHABLE',
  'PROHIBIT',
  'THROW',
  'NAT',
  'XRESOLVE',
];
const addressTypeText = (mask: number): string => ADDRESS_TYPES.filter((_, k) => (mask & (1 << k)) !== 0).join(',');

function iprangeReason({ source, destination }: IprangeOptions, packet: PacketContext): Named | undefined {
  const { family } = packet;
  const check = (condition: string, range: IprangeOptions['source'], address: Uint32Array): Named | undefined => {
    if (range === undefined) return undefined;
    const within = compareAddresses(address, range.min) >= 0 && compareAddresses(address, range.max) <= 0;
    if (within !== range.negated) return undefined;
    const wanted = `${negation(range.negated)}${formatAddress(family, range.min)}-${formatAddress(family, range.max)}`;
    return { condition, wanted, has: has(formatAddress(family, address)) };
  };
  return check('source', source, packet.source) ?? check('destination', destination, packet.destination);
}

interface PortPair {
  readonly source: Negatable<PortRange> | undefined;
  readonly destination: Negatable<PortRange> | undefined;
}

const TELLERS = new Map<string, Teller>([
  ['tcp', teller(tcpReason)],
  [
    'udp',
    teller(({ sourcePorts, destinationPorts }: PortOptions, packet) =>
      portReason(sourcePorts, destinationPorts, packet),
    ),
  ],
  ['sctp', teller(({ source, destination }: PortPair, packet) => portReason(source, destination, packet))],
  ['multiport', teller(multiportReason)],
  ['icmp', teller(icmpReason)],
  ['icmp6', teller(icmpReason)],
  ['conntrack', teller(conntrackReason)],
  [
    'state',
    teller(({ mask, negated }: { readonly mask: number; readonly negated: boolean }, packet) =>
      stateReason(mask, negated, packet),
    ),
  ],
  ['addrtype', teller(addrtypeReason)],
  ['iprange', teller(iprangeReason)],
  ['limit', () => ({ condition: 'limit', wanted: 'not used up', has: 'it is' })],
  [
    'statistic',
    teller((options: { readonly mode: string }) => ({
      condition: 'statistic',
      wanted: `mode ${options.mode}`,
      has: 'it is not the turn of this packet',
    })),
  ],
]);
