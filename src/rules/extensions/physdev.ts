/**
 * `-m physdev`: the bridge ports of packets that iptables sees on a bridge (kernel: net/netfilter/xt_physdev.c). For all
 * others only negated options hold.
 */
import { type Host, type InterfaceIndex, NO_INTERFACE } from '../../host/types.js';
import type { PacketContext } from '../context.js';
import type { MatchExtension, ParsedOption } from '../extension.js';
import { argument, bang, flag, option } from './support.js';

interface Test {
  readonly name: string;
  readonly negated: boolean;
  readonly value: string | undefined;
}

export type PhysdevOptions = readonly Test[];

/** In the order iptables prints them. */
const NAMES = ['--physdev-is-in', '--physdev-in', '--physdev-is-out', '--physdev-out', '--physdev-is-bridged'];

function inWords(tests: PhysdevOptions): string {
  return tests
    .map(({ name, negated, value }) => ` ${bang(negated)}${name}${value === undefined ? '' : ` ${value}`}`)
    .join('');
}

const portIn = (packet: PacketContext): InterfaceIndex => packet.bridgeIn ?? NO_INTERFACE;
const portOut = (packet: PacketContext): InterfaceIndex => packet.bridgeOut ?? NO_INTERFACE;

/** `veth+` is every port whose name begins so. */
function interfaceMatcher(host: Host, pattern: string): (iface: InterfaceIndex) => boolean {
  const prefix = pattern.endsWith('+') ? pattern.slice(0, -1) : undefined;
  const matching = new Set(
    host.interfaces.flatMap(({ name, index }) =>
      (prefix === undefined ? name === pattern : name.startsWith(prefix)) ? [index] : [],
    ),
  );
  return (iface) => matching.has(iface);
}

export const physdev: MatchExtension<PhysdevOptions> = {
  kind: 'match',
  name: 'physdev',
  summary: 'bridge ports of bridged packets',
  families: [4, 6],
  options: [
    option(true, '--physdev-in'),
    option(true, '--physdev-out'),
    flag(true, '--physdev-is-in'),
    flag(true, '--physdev-is-out'),
    flag(true, '--physdev-is-bridged'),
  ],
  usableIn(tests) {
    // Only bridged packets know where they will leave, and not before FORWARD.
    const out = tests.some(
      ({ name, negated }) => !negated && (name === '--physdev-out' || name === '--physdev-is-out'),
    );
    const bridged = tests.some(({ name, negated }) => !negated && name === '--physdev-is-bridged');
    return out && !bridged ? ['PREROUTING', 'INPUT', 'FORWARD', 'POSTROUTING'] : undefined;
  },
  parse(options, context) {
    if (options.length === 0) {
      context.fail('RULES_MISSING_OPTION', 'match physdev needs an option', undefined, 'add --physdev-in');
    }
    return NAMES.flatMap((name) => {
      const found = options.find((candidate: ParsedOption) => candidate.name === name);
      if (found === undefined) return [];
      const value = found.args.length > 0 ? argument(found) : undefined;
      if (value !== undefined && (value.text === '' || value.text.length > 15 || /[\s"\\]/.test(value.text))) {
        context.fail(
          'RULES_BAD_INTERFACE',
          `"${value.text}" cannot be an interface`,
          value,
          'names have 1 to 15 characters and no blanks',
        );
      }
      return [{ name, negated: found.negated, value: value?.text }];
    });
  },
  print: inWords,
  list(tests) {
    return `PHYSDEV match${inWords(tests)}`;
  },
  compile(tests, { host }) {
    const onlyNegated = tests.every(({ negated }) => negated);
    const checks = tests.map(({ name, negated, value }): ((port: PacketContext) => boolean) => {
      const matches = value === undefined ? () => true : interfaceMatcher(host, value);
      const of = name.endsWith('in') ? portIn : portOut;
      return (packet) => (of(packet) >= 0 && matches(of(packet))) !== negated;
    });
    // A packet that no bridge's iptables saw matches what is denied of it, and that alone.
    return (packet) => (portIn(packet) < 0 ? onlyNegated : checks.every((check) => check(packet)));
  },
};
