/** `-j MASQUERADE`: SNAT to the egress interface's own address (kernel: net/netfilter/nf_nat_masquerade.c). */
import { sameAddress } from '../../host/address.js';
import { masqueradeAddress } from '../../host/sourceaddress.js';
import { type Family, type Host, type InterfaceIndex, NO_INTERFACE } from '../../host/types.js';
import type { PacketContext } from '../context.js';
import type { NatRange, TargetAction, TargetExtension } from '../extension.js';
import {
  formatPortPart,
  natFlags,
  type PortNatOptions,
  parsePortPart,
  rangeOfOne,
  requireMappableProtocol,
} from '../values/nat-range.js';
import { argument, find, flag, option } from './support.js';

export const masquerade: TargetExtension<PortNatOptions> = {
  kind: 'target',
  name: 'MASQUERADE',
  summary: "translates the source address to the egress interface's own",
  families: [4, 6],
  tables: ['nat'],
  hooks: ['POSTROUTING'],
  options: [option(false, '--to-ports'), flag(false, '--random'), flag(false, '--random-fully')],
  parse(options, context) {
    const found = find(options, '--to-ports');
    const token = found === undefined ? undefined : argument(found);
    if (token !== undefined) requireMappableProtocol(context, token);
    const ports = token === undefined ? undefined : parsePortPart(token.text, token, context, false);
    const { random, randomFully } = natFlags(options);
    return { ports, random, randomFully };
  },
  print({ ports, random, randomFully }) {
    let text = ports === undefined ? '' : ` --to-ports ${formatPortPart(ports.min, ports.max)}`;
    if (random) text += ' --random';
    if (randomFully) text += ' --random-fully';
    return text;
  },
  list({ ports, random, randomFully }) {
    const words: string[] = [];
    if (ports !== undefined) words.push(`masq ports: ${formatPortPart(ports.min, ports.max)}`);
    if (random) words.push('random');
    if (randomFully) words.push('random-fully');
    return words.join(' ');
  },
  compile(options, { host, family, shared }) {
    // What is remembered of destinations is the same for all rules that ask for the same.
    const { ports, random, randomFully } = options;
    const name = [family, ports?.min, ports?.max, random, randomFully].join();
    return shared.named('MASQUERADE', name, () => compileOnce(options, host, family));
  },
};

function compileOnce(options: PortNatOptions, host: Host, family: Family): TargetAction {
  const rangeOf = rangesByAddress(options);
  const choose = (packet: PacketContext): NatRange | undefined =>
    rangeOf(chooseAddress(host, family, packet.outInterface, packet.destination));
  if (family === 6) return { kind: 'nat', manipulation: 'src', range: choose };
  const chosen = remembered(choose);
  const range = (packet: PacketContext): NatRange | undefined => (packet.source[0] === 0 ? AS_IT_IS : chosen(packet));
  return { kind: 'nat', manipulation: 'src', range };
}

/** Who has no address yet (DHCP) keeps none (nf_nat_masquerade_ipv4). Only a bridge lets such packets come so far. */
const AS_IT_IS: NatRange = {
  minAddress: undefined,
  maxAddress: undefined,
  minPort: undefined,
  maxPort: undefined,
  basePort: undefined,
  random: false,
  randomFully: false,
  persistent: false,
};

/** Destinations whose range is remembered; a power of two. */
const REMEMBERED = 4096;

/**
 * The host's addresses and routes never change during a run, so what was chosen for a destination stays chosen. A
 * destination keeps its answer until another takes its place; a Map of as many was among the costs of new connections.
 */
function remembered(
  choose: (packet: PacketContext) => NatRange | undefined,
): (packet: PacketContext) => NatRange | undefined {
  const destinations = new Int32Array(REMEMBERED);
  const interfaces = new Int32Array(REMEMBERED).fill(NO_INTERFACE);
  const ranges = new Array<NatRange | undefined>(REMEMBERED).fill(undefined);
  return (packet) => {
    const out = packet.outInterface;
    const destination = (packet.destination[0] ?? 0) | 0;
    const slot = Math.imul(destination ^ out, 0x9e3779b1) >>> 20;
    if (out !== NO_INTERFACE && destinations[slot] === destination && interfaces[slot] === out) return ranges[slot];
    const fresh = choose(packet);
    destinations[slot] = destination;
    interfaces[slot] = out;
    ranges[slot] = fresh;
    return fresh;
  };
}

/** inet_select_addr is asked with the next hop, ipv6_dev_get_saddr with the destination. */
function chooseAddress(
  host: Host,
  family: Family,
  out: InterfaceIndex,
  destination: Uint32Array,
): Uint32Array | undefined {
  if (out === NO_INTERFACE) return undefined;
  const towards = family === 4 ? (host.route(family, destination)?.gateway ?? destination) : destination;
  return masqueradeAddress(host, family, out, towards);
}

/** Gives the same range object for the same address, so that a new connection allocates nothing. */
export function rangesByAddress(options: PortNatOptions): (address: Uint32Array | undefined) => NatRange | undefined {
  const known: { address: Uint32Array; range: NatRange }[] = [];
  return (address) => {
    if (address === undefined) return undefined;
    const entry = known.find((candidate) => sameAddress(candidate.address, address));
    if (entry !== undefined) return entry.range;
    const range = rangeOfOne(address, options);
    known.push({ address: Uint32Array.from(address), range });
    return range;
  };
}
