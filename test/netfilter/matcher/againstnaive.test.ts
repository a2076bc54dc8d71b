/**
 * Compiled chains against their rules tried one by one: the same verdict by the same rule, the same counters, marks and
 * addresses, and matches that count their visits asked as often; for random rules, chains long enough to have indexes among
 * them, and random packets.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hostFromOptions } from '../../../src/host/hostoptions.js';
import type { Family } from '../../../src/host/types.js';
import { compileRuleset, RuleCounterTable } from '../../../src/netfilter/compile.js';
import { FlowTable } from '../../../src/netfilter/conntrack/flowtable.js';
import { Packet } from '../../../src/netfilter/packet.js';
import { Random } from '../../../src/netfilter/random.js';
import { ChainWalker, WALK_ACCEPT } from '../../../src/netfilter/walk.js';
import type { CompileContext } from '../../../src/rules/extension.js';
import { parseRules } from '../../../src/rules/parse.js';
import { SharedState } from '../../../src/rules/state/shared.js';
import { icmp, ip, tcp, udp } from '../../support/packets.js';
import { NaiveTable } from './naive.js';

const host = hostFromOptions({
  iface: ['eth0=192.0.2.1/24,2001:db8::1/64', 'eth1=10.0.0.1/8,2001:db8:1::1/64', 'br0=172.17.0.1/16'],
  route: [],
});

const NETWORKS: Readonly<Record<Family, readonly string[]>> = {
  4: [
    '10.0.0.0/8',
    '10.1.0.0/16',
    '10.1.2.0/24',
    '10.1.2.3/32',
    '10.1.2.4',
    '10.1.2.5',
    '192.0.2.128/25',
    '192.0.2.200/31',
    '0.0.0.0/1',
    '128.0.0.0/1',
    '255.255.255.255',
    '10.0.0.3/255.0.0.255',
  ],
  6: [
    '2001:db8::/32',
    '2001:db8:1::/48',
    '2001:db8:1::/64',
    '2001:db8:1::3/128',
    '2001:db8:1::4',
    '2001:db8:1::5',
    '8000::/1',
    '::/1',
    'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '2001:db8::3/ffff:ffff::ffff',
  ],
};
const ADDRESSES: Readonly<Record<Family, readonly string[]>> = {
  4: ['10.1.2.3', '10.1.2.4', '10.1.2.255', '10.1.3.0', '10.255.0.3', '192.0.2.200', '192.0.2.7', '255.255.255.255'],
  6: [
    '2001:db8:1::3',
    '2001:db8:1::4',
    '2001:db8:1:1::',
    '2001:db8::3',
    '2001:db9::',
    'fe80::1',
    'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '1::',
  ],
};
const PORTS = [0, 1, 53, 79, 80, 81, 443, 8080, 32767, 32768, 65535];

const bang = fc.constantFrom('', '', '', '! ');
const port = fc.constantFrom(...PORTS);
const ports = fc.oneof(
  port.map(String),
  fc.tuple(port, port).map(([a, b]) => `${Math.min(a, b)}:${Math.max(a, b)}`),
);
const maybe = <T>(arbitrary: fc.Arbitrary<T>, weight = 1): fc.Arbitrary<T | string> =>
  fc.oneof({ arbitrary: fc.constant(''), weight: 2 }, { arbitrary, weight });

function transport(): fc.Arbitrary<string> {
  const of = (protocol: string): fc.Arbitrary<string> =>
    fc
      .tuple(maybe(fc.tuple(bang, ports).map(([not, range]) => `${not}--sport ${range} `)), bang, ports)
      .map(([source, not, range]) => `-p ${protocol} {} -m ${protocol} ${source}${not}--dport ${range}`);
  return fc.oneof(
    { arbitrary: of('tcp'), weight: 4 },
    { arbitrary: of('udp'), weight: 4 },
    {
      arbitrary: fc.constantFrom(
        '-p tcp {} -m multiport --dports 80,443',
        '-p udp {} -m udp',
        '-p tcp {} --syn',
        '-p icmp {}',
        '! -p tcp {}',
        '{}',
      ),
      weight: 3,
    },
  );
}

/** Matches that count how often they are asked, and others that no index knows. */
const stateful = fc.constantFrom(
  '-m statistic --mode nth --every 3 --packet 1',
  '-m statistic --mode random --probability 0.5',
  '-m limit --limit 5/min --limit-burst 3',
  '-m quota --quota 400',
  '-m recent --name seen --set',
  '-m recent --name seen --update --seconds 60 --hitcount 2',
  '-m hashlimit --hashlimit-upto 3/min --hashlimit-burst 2 --hashlimit-mode srcip --hashlimit-name h',
  '-m mark --mark 0x1/0x1',
  '-m length --length 0:40',
);

function rule(family: Family, user: boolean): fc.Arbitrary<string> {
  const network = fc.constantFrom(...NETWORKS[family]);
  const iface = fc.constantFrom('eth0', 'eth1', 'br0', 'gone0', 'eth+');
  const target = fc.constantFrom(
    '',
    '',
    '-j ACCEPT',
    '-j DROP',
    '-j RETURN',
    '-j MARK --set-xmark 0x1/0x1',
    '-j MARK --set-xmark 0x0/0x1',
    '-j MARK --set-xmark 0x10/0x10',
    ...(user ? [] : ['-j A', '-j B', '-g A']),
  );
  return fc
    .tuple(
      maybe(
        fc.tuple(bang, network).map(([not, net]) => `${not}-s ${net}`),
        3,
      ),
      maybe(
        fc.tuple(bang, network).map(([not, net]) => `${not}-d ${net}`),
        3,
      ),
      maybe(fc.tuple(bang, iface).map(([not, name]) => `${not}-i ${name}`)),
      maybe(fc.tuple(bang, iface).map(([not, name]) => `${not}-o ${name}`)),
      transport(),
      maybe(stateful),
      maybe(stateful),
      target,
    )
    .map(([source, destination, from, to, words, before, behind, end]) =>
      [source, destination, from, to, words.replace('{}', before), behind, end].filter((part) => part !== '').join(' '),
    )
    .map((text) => (family === 6 ? text.replace('-p icmp', '-p icmpv6') : text));
}

/** A chain that is long, or short. */
const chain = (family: Family, user: boolean): fc.Arbitrary<string[]> =>
  fc.oneof(
    { arbitrary: fc.array(rule(family, user), { minLength: 40, maxLength: 120 }), weight: 3 },
    { arbitrary: fc.array(rule(family, user), { maxLength: 10 }), weight: 1 },
  );

interface Shot {
  readonly packet: Uint8Array;
  readonly captured: number;
  readonly from: number;
  readonly to: number;
}

function shots(family: Family): fc.Arbitrary<Shot[]> {
  const address = fc.constantFrom(...ADDRESSES[family]);
  const kind = fc.constantFrom('tcp', 'tcp', 'tcp', 'udp', 'udp', 'udp', 'icmp', 'other', 'fragment', 'cut', 'lost');
  return fc.array(
    fc
      .record({ kind, src: address, dst: address, sport: port, dport: port, from: fc.nat(4), to: fc.nat(4) })
      .map(({ from, to, ...fields }) => {
        const packet = packetOf(family, fields);
        const header = family === 4 ? 20 : 40;
        return { packet, captured: fields.kind === 'cut' ? header + 6 : packet.length, from: from - 1, to: to - 1 };
      }),
    { minLength: 1, maxLength: 40 },
  );
}

interface Fields {
  readonly kind: string;
  readonly src: string;
  readonly dst: string;
  readonly sport: number;
  readonly dport: number;
}

function packetOf(family: Family, { kind, src, dst, sport, dport }: Fields): Uint8Array {
  const with6 = (address: string, port_: number): string =>
    family === 4 ? `${address}:${port_}` : `[${address}]:${port_}`;
  const ends = { src: with6(src, sport), dst: with6(dst, dport) };
  switch (kind) {
    case 'udp':
      return udp(ends);
    case 'icmp':
      return family === 4 ? icmp({ src, dst, type: 8 }) : ip({ src, dst }, 58, Buffer.from([128, 0, 0, 0, 0, 1, 0, 1]));
    case 'other':
      return ip({ src, dst }, 47, Buffer.alloc(8));
    case 'fragment':
      return family === 4
        ? tcp({ ...ends, flags: 'S', fragment: 0x2001 })
        : tcp({ ...ends, flags: 'S', extensions: [[44, Buffer.from([0, 0, 0, 9, 0, 0, 0, 7])]] });
    case 'lost':
      // Extension headers that end nowhere.
      return family === 4
        ? tcp({ ...ends, flags: 'A' })
        : ip({ src, dst }, 60, Buffer.from([6, 200, 0, 0, 0, 0, 0, 0]));
    default:
      return tcp({ ...ends, flags: 'S' });
  }
}

/** Everything that happened, by the walker and by its twin. */
function bothWays(
  family: Family,
  text: string,
  packets: readonly Shot[],
  hook: 'FORWARD' | 'PREROUTING' = 'FORWARD',
): [unknown, unknown] {
  const ruleset = parseRules(text, { file: 'rules', family, unsupported: 'stop' });
  const table = ruleset.tables.get('mangle');
  if (table === undefined) throw new Error('no table');
  const context = (): CompileContext => {
    const random = new Random(7);
    return { host, family, random32: () => random.next32(), shared: new SharedState(host) };
  };
  const counters = new RuleCounterTable();
  const compiled = compileRuleset(ruleset, context(), counters, false).get('mangle')?.hooks.get(hook);
  if (compiled === undefined) throw new Error('no chain');
  const never = (): never => {
    throw new Error('not in this table');
  };
  const walker = new ChainWalker(counters, { nat: never, notrack: never, zone: never });
  const naive = new NaiveTable(table, context());
  const got: unknown[] = [];
  const wanted: unknown[] = [];
  for (const [n, shot] of packets.entries()) {
    const one = load(family, shot, n);
    const verdict = walker.walk(compiled, one);
    const by = (counters.names[walker.decidedBy] ?? '').replace('mangle:', '');
    got.push([verdict === WALK_ACCEPT ? 'accept' : 'drop', by, one.mark, [...one.source, ...one.destination]]);
    const two = load(family, shot, n);
    const outcome = naive.walk(hook, two);
    wanted.push([outcome.verdict, outcome.by, two.mark, [...two.source, ...two.destination]]);
  }
  const counted = counters.names.flatMap((name, id) => {
    const packetsOf = counters.packets[id] ?? 0;
    return packetsOf > 0 ? [`${name.replace('mangle:', '')} ${packetsOf}`] : [];
  });
  const countedByTwin = [...naive.counted].map(([name, count]) => `${name} ${count}`);
  return [
    { got, counted: counted.sort(), evaluated: walker.evaluated },
    { got: wanted, counted: countedByTwin.sort(), evaluated: naive.evaluated },
  ];
}

function load(family: Family, { packet, captured, from, to }: Shot, n: number): Packet {
  const loaded = new Packet(host, new FlowTable(1));
  const bytes = Uint8Array.from(packet);
  const view = new DataView(bytes.buffer);
  if (family === 4) loaded.loadIpv4(bytes, view, 0, captured);
  else loaded.loadIpv6(bytes, view, 0, captured, packet.length);
  loaded.hook = 'FORWARD';
  loaded.inInterface = from;
  loaded.outInterface = to;
  loaded.now = n * 900;
  loaded.seconds = 1_700_000_000 + Math.floor(n * 0.9);
  return loaded;
}

const save = (chains: Readonly<Record<string, readonly string[]>>): string =>
  [
    '*mangle',
    ':FORWARD ACCEPT [0:0]',
    ...Object.keys(chains).flatMap((name) => (name === 'FORWARD' ? [] : [`:${name} - [0:0]`])),
    ...Object.entries(chains).flatMap(([name, rules]) => rules.map((text) => `-A ${name} ${text}`)),
    'COMMIT',
    '',
  ].join('\n');

it('goes by the addresses that a target gave the packet', () => {
  const rules = [
    ...Array.from({ length: 40 }, (_, k) => `-A PREROUTING -d 2001:db8:1:${k.toString(16)}::/64`),
    '-A PREROUTING -d 2001:db8:1:3::/64 -j A',
    '-A PREROUTING -d 2001:db8:1:3::/64 -j DROP',
    ...Array.from({ length: 40 }, (_, k) => `-A PREROUTING -d 2001:db8:2:${k.toString(16)}::/64`),
    '-A PREROUTING -d 2001:db8:2:3::/64 -j DROP',
    '-A A -j DNPT --src-pfx 2001:db8:1:3::/64 --dst-pfx 2001:db8:2:3::/64',
  ];
  const text = ['*mangle', ':PREROUTING ACCEPT [0:0]', ':A - [0:0]', ...rules, 'COMMIT', ''].join('\n');
  const packet = tcp({ src: '[2001:db8::9]:1', dst: '[2001:db8:1:3::9]:80', flags: 'S' });
  const [got, wanted] = bothWays(6, text, [{ packet, captured: packet.length, from: 0, to: -1 }], 'PREROUTING');
  expect(got).toEqual(wanted);
  expect(got).toHaveProperty('counted', expect.arrayContaining(['PREROUTING:83 1']));
});

describe.each([4, 6] as const)('compiled IPv%d chains', (family) => {
  it('do as their rules tried one by one', () => {
    fc.assert(
      fc.property(
        chain(family, false),
        chain(family, true),
        chain(family, true),
        shots(family),
        (FORWARD, A, B, packets) => {
          const [got, wanted] = bothWays(family, save({ FORWARD, A, B }), packets);
          expect(got).toEqual(wanted);
        },
      ),
      { numRuns: 50, endOnFailure: true },
    );
  });
});
