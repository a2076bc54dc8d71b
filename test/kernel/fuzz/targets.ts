/** Random targets of rules: those that the table and the hook permit. */
import type { SeededRandom } from '../random.js';
import { MARKS, PORTS, SOURCE_PORTS } from './conditions.js';
import type { Place } from './rules.js';

export interface Target {
  readonly text: string;
  /** What `-p` has to be for it. */
  readonly protocol?: string | undefined;
}

type Maker = (random: SeededRandom, place: Place) => Target;

const plain =
  (text: string): Maker =>
  () => ({ text });
const count = plain('');
const accept = plain('-j ACCEPT');
const drop = plain('-j DROP');
const back = plain('-j RETURN');
const log = plain('-j LOG --log-prefix "fuzz: "');
const nflog = plain('-j NFLOG --nflog-group 5');

const jump: Maker = (random, { below }) =>
  below.length === 0 ? { text: '' } : { text: `-${random.chance(0.75) ? 'j' : 'g'} ${random.pick(below)}` };

const mark: Maker = (random) => ({
  text: `-j MARK ${random.pick(['--set-mark', '--set-xmark', '--or-mark', '--and-mark', '--xor-mark'])} ${random.pick(
    MARKS.filter((value) => !value.includes('/')),
  )}`,
});

const connmark: Maker = (random) => ({
  text: `-j CONNMARK ${random.pick([
    `--set-mark ${random.pick(MARKS)}`,
    `--set-xmark ${random.pick(MARKS)}`,
    '--save-mark',
    '--restore-mark',
    '--save-mark --nfmask 0xf --ctmask 0xf',
    '--restore-mark --nfmask 0xff --ctmask 0xff',
    '--save-mark --mask 0x3',
  ])}`,
});

const notrack: Maker = (random) => ({
  text: random.pick(['-j CT --notrack', '-j CT --notrack', '-j NOTRACK']),
  protocol: random.pick(['tcp', 'udp', undefined]),
});

const zone: Maker = (random) => ({
  text: `-j CT ${random.pick(['--zone', '--zone', '--zone-orig', '--zone-reply'])} ${1 + random.below(2)}`,
  protocol: random.pick(['tcp', 'udp', undefined]),
});

const reject: Maker = (random, { world }) => {
  const types =
    world.family === 4
      ? ['icmp-net-unreachable', 'icmp-host-unreachable', 'icmp-port-unreachable', 'icmp-admin-prohibited', 'tcp-reset']
      : ['icmp6-no-route', 'icmp6-adm-prohibited', 'icmp6-port-unreachable', 'tcp-reset'];
  const type = random.pick(types);
  return { text: `-j REJECT --reject-with ${type}`, protocol: type === 'tcp-reset' ? 'tcp' : undefined };
};

const flags = (random: SeededRandom, among: readonly string[]): string =>
  among
    .filter(() => random.chance(0.12))
    .map((flag) => ` --${flag}`)
    .join('');

/** `8000-8010`: small enough to run out at times. */
function portRange(random: SeededRandom, from: readonly number[]): string {
  const low = random.pick([...from, 10_000 + random.below(100)]);
  return random.chance(0.35) ? `${low}` : `${low}-${low + 1 + random.below(random.chance(0.5) ? 5 : 3000)}`;
}

/** An address and ports to go with it. */
function at(place: Place, addresses: string, ports: string): string {
  if (ports === '') return addresses;
  return place.world.family === 6 ? `[${addresses}]:${ports}` : `${addresses}:${ports}`;
}

const dnat: Maker = (random, place) => {
  const subnet = random.pick(place.world.subnets);
  const machine = random.pick([...place.world.machines.map((m) => m.address), ...place.world.own]);
  const addresses = random.chance(0.2) ? `${subnet.at(20)}-${subnet.at(21 + random.below(4))}` : machine;
  const withPorts = random.chance(0.6);
  const shift = withPorts && random.chance(0.1);
  const ports = withPorts ? (shift ? '6000-6100/8000' : portRange(random, PORTS)) : '';
  return {
    text: `-j DNAT --to-destination ${at(place, addresses, ports)}${flags(random, ['random', 'persistent'])}`,
    protocol: withPorts ? random.pick(['tcp', 'udp']) : random.pick(['tcp', 'udp', undefined]),
  };
};

const redirect: Maker = (random) => {
  const withPorts = random.chance(0.7);
  return {
    text: `-j REDIRECT${withPorts ? ` --to-ports ${portRange(random, PORTS)}` : ''}${flags(random, ['random'])}`,
    protocol: withPorts ? random.pick(['tcp', 'udp']) : undefined,
  };
};

const snat: Maker = (random, place) => {
  const subnet = random.pick(place.world.subnets);
  const single = random.pick([...place.world.own, subnet.at(60)]);
  const addresses = random.chance(0.3) ? `${subnet.at(60)}-${subnet.at(61 + random.below(4))}` : single;
  const withPorts = random.chance(0.4);
  const ports = withPorts ? portRange(random, SOURCE_PORTS) : '';
  const extra = flags(random, ['random', 'random-fully', 'persistent']);
  return {
    text: `-j SNAT --to-source ${at(place, addresses, ports)}${extra}`,
    protocol: withPorts ? random.pick(['tcp', 'udp']) : undefined,
  };
};

const masquerade: Maker = (random) => {
  const withPorts = random.chance(0.25);
  return {
    text: `-j MASQUERADE${withPorts ? ` --to-ports ${portRange(random, SOURCE_PORTS)}` : ''}${flags(random, ['random', 'random-fully'])}`,
    protocol: withPorts ? random.pick(['tcp', 'udp']) : undefined,
  };
};

const netmap: Maker = (random, { world }) => {
  const subnet = random.pick(world.subnets);
  return {
    text: `-j NETMAP --to ${world.family === 6 ? subnet.prefix : subnet.at(0)}${world.family === 6 ? '' : '/25'}`,
  };
};

const ANYWHERE: readonly Maker[] = [
  count,
  count,
  count,
  accept,
  accept,
  back,
  jump,
  jump,
  jump,
  mark,
  connmark,
  log,
  nflog,
];
const BY_TABLE: Readonly<Record<string, readonly Maker[]>> = {
  raw: [notrack, notrack, zone, drop],
  mangle: [mark, mark, connmark, connmark, drop],
  filter: [drop, drop, reject, accept],
};
/** Of nat, as often again as all the others: it is what the program is for. */
const BY_HOOK: Readonly<Record<string, readonly Maker[]>> = {
  PREROUTING: [dnat, dnat, dnat, redirect, redirect, netmap],
  INPUT: [snat],
  OUTPUT: [dnat, dnat, redirect, redirect, netmap],
  POSTROUTING: [masquerade, masquerade, snat, snat, netmap],
};

export function targetFor(random: SeededRandom, place: Place): Target {
  const own = place.table === 'nat' ? (BY_HOOK[place.hook] ?? []) : (BY_TABLE[place.table] ?? []);
  return random.pick(own.length > 0 && random.chance(0.55) ? own : ANYWHERE)(random, place);
}
