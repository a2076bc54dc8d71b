/** Random conditions of rules. */
import type { SeededRandom } from '../random.js';
import type { Place } from './rules.js';

export interface Condition {
  /** Two of a kind do not stand in one rule. */
  readonly kind: string;
  readonly text: string;
  /** What `-p` has to be. */
  readonly protocol?: string | undefined;
}

type Maker = (random: SeededRandom, place: Place, protocol: string | undefined) => Condition | undefined;

/** Ports that the traffic uses, and some that it does not. */
export const PORTS = [22, 53, 80, 443, 5353, 8080, 8081];
export const SOURCE_PORTS = [300, 700, 4000, 4001, 4002, 40000];
const TRACKED_HOOKS = new Set(['PREROUTING', 'INPUT', 'FORWARD']);

const not = (random: SeededRandom, chance = 0.2): string => (random.chance(chance) ? '! ' : '');

/** `80` or a range around a port that is used. */
function ports(random: SeededRandom, among: readonly number[]): string {
  const port = random.pick(among);
  if (random.chance(0.6)) return String(port);
  return random.pick([`${Math.max(0, port - random.below(100))}:${port + random.below(4000)}`, `:${port}`, `${port}:`]);
}

/** An address of the world, or a network around it. */
export function network(random: SeededRandom, { world }: Place): string {
  const address = random.pick([
    ...world.own,
    ...world.machines.map((machine) => machine.address),
    ...world.nowhere.slice(0, 3),
  ]);
  if (world.family === 6) return random.chance(0.5) ? address : `${address}/${random.pick([127, 64, 48, 32, 3, 0])}`;
  const mask = random.pick(['', '', '/32', '/31', '/28', '/24', '/24', '/16', '/8', '/1', '/0', '/255.0.0.255']);
  return `${address}${mask}`;
}

/** `-i eth0`, negated or not. (`! -i +`, which nothing matches, is left out: iptables-legacy saves it as no condition.) */
function interfaceCondition(random: SeededRandom, { world }: Place, option: string): string {
  const name = random.pick(world.interfaces);
  if (random.chance(0.05)) return `${option} +`;
  return `${not(random)}${option} ${random.pick([name, name, name, `${name.slice(0, 2)}+`, 'nosuch0'])}`;
}

/** No network at all, as a condition, is something iptables-nft does not load. */
function addressCondition(random: SeededRandom, place: Place, option: string): string {
  const text = network(random, place);
  return text.endsWith('/0') ? `${option} ${text}` : `${not(random)}${option} ${text}`;
}

const source: Maker = (random, place) => ({ kind: '-s', text: addressCondition(random, place, '-s') });
const destination: Maker = (random, place) => ({ kind: '-d', text: addressCondition(random, place, '-d') });

const inInterface: Maker = (random, place) => {
  if (!place.userDefined && (place.hook === 'POSTROUTING' || place.hook === 'OUTPUT')) return undefined;
  return { kind: '-i', text: interfaceCondition(random, place, '-i') };
};

const outInterface: Maker = (random, place) => {
  if (!place.userDefined && (place.hook === 'PREROUTING' || place.hook === 'INPUT')) return undefined;
  return { kind: '-o', text: interfaceCondition(random, place, '-o') };
};

const protocolOnly: Maker = (random, { world }) => {
  const protocol = random.pick(['tcp', 'udp', world.family === 4 ? 'icmp' : 'ipv6-icmp', '47', '50']);
  return random.chance(0.8) ? { kind: '-p', text: '', protocol } : { kind: '-p', text: '', protocol: `! ${protocol}` };
};

/**
 * `--dport 80`, negated or not. A range to either end is not negated: iptables-nft saves it as the range that is left.
 */
function portCondition(random: SeededRandom, option: string, among: readonly number[]): string {
  const text = ports(random, among);
  return /^:|:$|^0:/.test(text) ? `${option} ${text}` : `${not(random)}${option} ${text}`;
}

const tcp: Maker = (random) => {
  const parts = [
    random.chance(0.5) ? portCondition(random, '--dport', PORTS) : '',
    random.chance(0.3) ? portCondition(random, '--sport', SOURCE_PORTS) : '',
    random.chance(0.3)
      ? random.pick([
          `${not(random)}--syn`,
          `${not(random)}--tcp-flags FIN,SYN,RST,ACK SYN`,
          `${not(random)}--tcp-flags ALL NONE`,
          `${not(random)}--tcp-flags SYN,RST SYN,RST`,
          `${not(random)}--tcp-flags ACK,FIN FIN`,
        ])
      : '',
    random.chance(0.1) ? `${not(random)}--tcp-option ${random.pick([2, 3, 4, 8])}` : '',
  ];
  return { kind: 'tcp', text: ['-m tcp', ...parts].filter((part) => part !== '').join(' '), protocol: 'tcp' };
};

const udp: Maker = (random) => {
  const parts = [
    random.chance(0.6) ? portCondition(random, '--dport', PORTS) : '',
    random.chance(0.3) ? portCondition(random, '--sport', SOURCE_PORTS) : '',
  ];
  return { kind: 'udp', text: ['-m udp', ...parts].filter((part) => part !== '').join(' '), protocol: 'udp' };
};

const multiport: Maker = (random, _place, protocol) => {
  const which = random.pick(['sports', 'dports', 'ports']);
  const among = which === 'sports' ? SOURCE_PORTS : PORTS;
  const list = Array.from({ length: 1 + random.below(4) }, () => {
    const port = random.pick(among);
    return random.chance(0.7) ? `${port}` : `${port}:${port + 1 + random.below(500)}`;
  });
  return {
    kind: 'multiport',
    text: `-m multiport ${not(random)}--${which} ${list.join(',')}`,
    protocol: protocol === 'tcp' || protocol === 'udp' ? protocol : random.pick(['tcp', 'udp']),
  };
};

const icmp: Maker = (random, { world }) => {
  const types =
    world.family === 4
      ? ['any', '8', '0', '3', '3/3', '3/4', '11', '12/0', '5']
      : ['128', '129', '1', '1/4', '3', '2', '135'];
  return world.family === 4
    ? { kind: 'icmp', text: `-m icmp ${not(random)}--icmp-type ${random.pick(types)}`, protocol: 'icmp' }
    : { kind: 'icmp', text: `-m icmp6 ${not(random)}--icmpv6-type ${random.pick(types)}`, protocol: 'ipv6-icmp' };
};

const STATES = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'];
const some = (random: SeededRandom, among: readonly string[]): string =>
  among.filter(() => random.chance(0.4)).join(',') || random.pick(among);

const conntrack: Maker = (random, place) => {
  const address = (): string => network(random, place).replace('/255.0.0.255', '/24');
  const option = random.pick([
    () => `--ctstate ${some(random, [...STATES, 'SNAT', 'DNAT'])}`,
    () => `--ctstate ${some(random, STATES)}`,
    () => `--ctproto ${random.pick(['6', '17', '1'])}`,
    () => `--ctorigsrc ${address()}`,
    () => `--ctorigdst ${address()}`,
    () => `--ctreplsrc ${address()}`,
    () => `--ctrepldst ${address()}`,
    () => `--ctorigdstport ${ports(random, PORTS)}`,
    () => `--ctorigsrcport ${ports(random, SOURCE_PORTS)}`,
    () => `--ctreplsrcport ${ports(random, PORTS)}`,
    () => `--ctrepldstport ${ports(random, SOURCE_PORTS)}`,
    () => `--ctstatus ${some(random, ['SEEN_REPLY', 'ASSURED', 'CONFIRMED', 'EXPECTED'])}`,
  ])();
  if (random.chance(0.1))
    return { kind: 'conntrack', text: `-m conntrack --ctdir ${random.pick(['ORIGINAL', 'REPLY'])}` };
  return { kind: 'conntrack', text: `-m conntrack ${not(random)}${option}` };
};

const state: Maker = (random) => ({
  kind: 'conntrack',
  text: `-m state ${not(random)}--state ${some(random, STATES)}`,
});

export const MARKS = ['0x0', '0x1', '0x2', '0x4', '0xff00', '0x1/0x3', '0x0/0xf', '0x10/0xf0'];
const mark: Maker = (random) => ({ kind: 'mark', text: `-m mark ${not(random)}--mark ${random.pick(MARKS)}` });
const connmark: Maker = (random) => ({
  kind: 'connmark',
  text: `-m connmark ${not(random)}--mark ${random.pick(MARKS)}`,
});

const addrtype: Maker = (random, place) => {
  // ip6tables knows no more types than these.
  const types = ['LOCAL', 'UNICAST', 'MULTICAST', 'ANYCAST', 'UNREACHABLE'];
  if (place.world.family === 4) types.push('BROADCAST', 'BLACKHOLE', 'PROHIBIT');
  const parts = [
    random.chance(0.6) ? `${not(random)}--dst-type ${some(random, types)}` : '',
    random.chance(0.3) ? `${not(random)}--src-type ${some(random, types)}` : '',
  ].filter((part) => part !== '');
  if (parts.length === 0) parts.push('--dst-type LOCAL');
  const limit =
    !place.userDefined && random.chance(0.25)
      ? TRACKED_HOOKS.has(place.hook)
        ? ' --limit-iface-in'
        : ' --limit-iface-out'
      : '';
  return { kind: 'addrtype', text: `-m addrtype ${parts.join(' ')}${limit}` };
};

const iprange: Maker = (random, { world }) => {
  const subnet = random.pick(world.subnets);
  const range = `${subnet.at(1 + random.below(21))}-${subnet.at(22 + random.below(60))}`;
  return { kind: 'iprange', text: `-m iprange ${not(random)}--${random.pick(['src', 'dst'])}-range ${range}` };
};

const length: Maker = (random) => {
  const least = random.below(70);
  const text = random.pick([`${least}`, `${least}:${least + random.below(60)}`, `:${least}`, `${least}:`]);
  return { kind: 'length', text: `-m length ${not(random)}--length ${text}` };
};

const ttl: Maker = (random, { world }) => {
  const value = 32 + random.below(64);
  const name = world.family === 4 ? 'ttl' : 'hl';
  return {
    kind: 'ttl',
    text: `-m ${name} ${random.pick([`${not(random)}--${name}-eq ${value}`, `--${name}-lt ${value}`, `--${name}-gt ${value}`])}`,
  };
};

const statistic: Maker = (random) => {
  const every = 2 + random.below(4);
  return {
    kind: 'statistic',
    text: `-m statistic --mode nth ${not(random, 0.1)}--every ${every} --packet ${random.below(every)}`,
  };
};

const fragment: Maker = (random, { world }) =>
  world.family === 4 ? { kind: '-f', text: `${not(random, 0.5)}-f` } : undefined;

const comment: Maker = () => ({ kind: 'comment', text: '-m comment --comment "as it was"' });

/** A maker stands here as often as it is to be picked. */
export const CONDITIONS: readonly Maker[] = [
  source,
  source,
  destination,
  destination,
  inInterface,
  inInterface,
  outInterface,
  outInterface,
  protocolOnly,
  tcp,
  tcp,
  udp,
  udp,
  multiport,
  icmp,
  conntrack,
  conntrack,
  conntrack,
  state,
  mark,
  mark,
  connmark,
  addrtype,
  addrtype,
  iprange,
  length,
  ttl,
  statistic,
  fragment,
  comment,
];
