/** `-m rpfilter`: would an answer leave by the interface that the packet came in by (kernel: ipt_rpfilter.c, ip6t_rpfilter.c). */
import type { Flow, Host, InterfaceIndex, Route } from '../../host/types.js';
import { NO_INTERFACE } from '../../host/types.js';
import type { PacketContext } from '../context.js';
import type { MatchExtension } from '../extension.js';
import { dsField } from './dsfield.js';
import { flag, has } from './support.js';

export interface RpfilterOptions {
  readonly loose: boolean;
  readonly validMark: boolean;
  readonly acceptLocal: boolean;
  readonly inverted: boolean;
}

const FLAGS = ['--loose', '--validmark', '--accept-local', '--invert'] as const;
const NOBODY = new Uint32Array(4);

const first = (address: Uint32Array): number => address[0] ?? 0;
const isMulticast = (address: Uint32Array): boolean => first(address) >>> 28 === 0xe;
const isLinkLocal6 = (address: Uint32Array): boolean => first(address) >>> 22 === 0xfe80 >>> 6;

/** Packets that have no route back and need none: from nowhere to everybody on the link. */
function needsNoRoute({ family, source, destination }: PacketContext): boolean {
  if (family === 6) return source.every((word) => word === 0);
  if (first(source) >>> 24 !== 0) return false;
  return first(destination) === 0xffffffff || first(destination) >>> 8 === 0xe00000;
}

function flowBack(packet: PacketContext, validMark: boolean, loopback: InterfaceIndex, loose: boolean): Flow {
  const { family, source, destination } = packet;
  const address = first(destination);
  // A group, or nobody's address, is no source to route by.
  const group4 = family === 4 && (isMulticast(destination) || address === 0xffffffff || address >>> 24 === 0);
  const group6 = family === 6 && address >>> 24 === 0xff;
  return {
    family,
    source: group4 || group6 ? NOBODY : destination,
    destination: source,
    ingress: loopback,
    egress: family === 6 && !loose ? packet.inInterface : NO_INTERFACE,
    mark: validMark ? packet.mark : 0,
    tos: family === 4 ? dsField(packet) & 0x1e : 0,
    protocol: 0,
    sourcePort: 0,
    destinationPort: 0,
  };
}

function leadsBack(
  route: Route | undefined,
  iface: InterfaceIndex,
  { loose, acceptLocal }: RpfilterOptions,
  family: 4 | 6,
): boolean {
  if (route === undefined) return false;
  if (route.type === 'local') return acceptLocal && (family === 6 || loose || usesInterface(route, iface));
  return route.type === 'unicast' && (loose || usesInterface(route, iface));
}

const usesInterface = ({ iface, interfaces }: Route, wanted: InterfaceIndex): boolean =>
  iface === wanted || interfaces?.includes(wanted) === true;

/** A link with IPv6 leads to link-local addresses, of which each link has its own. */
const hasIpv6 = (host: Host, iface: InterfaceIndex): boolean =>
  host.interfaces[iface]?.addresses.some(({ family }) => family === 6) === true;

const loopbackOf = (host: Host): InterfaceIndex =>
  host.interfaces.find((iface) => iface.loopback)?.index ?? NO_INTERFACE;

export const rpfilter: MatchExtension<RpfilterOptions> = {
  kind: 'match',
  name: 'rpfilter',
  summary: 'an answer would leave by the interface that the packet came in by',
  families: [4, 6],
  tables: ['raw', 'mangle'],
  hooks: ['PREROUTING'],
  options: FLAGS.map((name) => flag(false, name)),
  parse(options) {
    return {
      loose: has(options, '--loose'),
      validMark: has(options, '--validmark'),
      acceptLocal: has(options, '--accept-local'),
      inverted: has(options, '--invert'),
    };
  },
  print: (options) => words(options, ' --'),
  list: (options) => `rpfilter${words(options, ' ')}`,
  compile(options, { host, family }) {
    const { loose, validMark, inverted } = options;
    const loopback = loopbackOf(host);
    const byRules = host.routingDependsOn(family).any;
    return (packet) => {
      const { inInterface, source } = packet;
      if (host.interfaces[inInterface]?.loopback === true || needsNoRoute(packet)) return !inverted;
      if (family === 6 && isLinkLocal6(source)) {
        const own = host.addressType(6, source) === 'local';
        return (own ? options.acceptLocal : hasIpv6(host, inInterface)) !== inverted;
      }
      const flow = flowBack(packet, validMark, loopback, loose);
      const route = byRules || flow.egress !== NO_INTERFACE ? host.lookUp(flow) : host.route(family, source);
      return leadsBack(route, inInterface, options, family) !== inverted;
    };
  },
};

function words({ loose, validMark, acceptLocal, inverted }: RpfilterOptions, lead: string): string {
  const given = [loose && 'loose', validMark && 'validmark', acceptLocal && 'accept-local', inverted && 'invert'];
  return given.map((word) => (word === false ? '' : lead + word)).join('');
}
