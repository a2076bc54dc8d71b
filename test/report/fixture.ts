/** A replay of the Docker case, made up so that every part of a report has something to show. */
import type { CaptureWarning } from '../../src/capture/types.js';
import type { Host } from '../../src/host/types.js';
import type { ListChains } from '../../src/report/listing.js';
import type { ReplayResult, RuleCounters } from '../../src/report/types.js';
import type { Chain, Rule, Ruleset, SkippedRule, Table, TableName } from '../../src/rules/types.js';

/** Chains with their rules as text; a name in capitals of a built-in chain gets the policy ACCEPT. */
type ChainTexts = Readonly<Record<string, readonly string[]>>;

const BUILTIN = new Set(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']);

/** Reports need only names, counters and texts of rules, so these are made without a parser. */
export function ruleset(file: string, tables: Partial<Record<TableName, ChainTexts>>, missing: Missing = {}): Ruleset {
  let line = 1;
  const skipped: SkippedRule[] = [];
  const made = new Map<TableName, Table>();
  for (const [name, chains] of Object.entries(tables) as [TableName, ChainTexts][]) {
    const byName = new Map<string, Chain>();
    for (const [chain, texts] of Object.entries(chains)) {
      const rules = texts.map((text, i): Rule => {
        const rule = plainRule(name, chain, i + 1, ++line, text);
        const lacks = missing[text];
        if (lacks !== undefined) skipped.push({ rule: { ...rule, unsupported: true }, missing: lacks });
        return rule;
      });
      const policy = BUILTIN.has(chain) ? 'ACCEPT' : undefined;
      byName.set(chain, { name: chain, policy, packets: 0, bytes: 0, rules, line: 1 });
    }
    made.set(name, { name, chains: byName });
  }
  return { family: 4, file, tables: made, skipped };
}

/** Text of a rule -> what is missing to understand it. */
type Missing = Readonly<Record<string, string>>;

function plainRule(table: TableName, chain: string, number: number, line: number, text: string): Rule {
  return {
    table,
    chain,
    number,
    source: undefined,
    destination: undefined,
    protocol: undefined,
    inInterface: undefined,
    outInterface: undefined,
    fragment: undefined,
    matches: [],
    target: undefined,
    packets: 0,
    bytes: 0,
    line,
    text,
    unsupported: false,
  };
}

export const DOCKER_NAT: ChainTexts = {
  PREROUTING: ['-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER'],
  INPUT: [],
  OUTPUT: ['-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER'],
  POSTROUTING: ['-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE'],
  DOCKER: [
    '-A DOCKER -i docker0 -j RETURN',
    '-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337',
  ],
};

/** What `iptables -t nat -L -v -n` says of them (iptables 1.8.9). */
export const DOCKER_LISTING = `Chain PREROUTING (policy ACCEPT 3 packets, 180 bytes)
 pkts bytes target     prot opt in     out     source               destination         
48468 2965K DOCKER     0    --  *      *       0.0.0.0/0            0.0.0.0/0            ADDRTYPE match dst-type LOCAL

Chain INPUT (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination         

Chain OUTPUT (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination         
    0     0 DOCKER     0    --  *      *       0.0.0.0/0           !127.0.0.0/8          ADDRTYPE match dst-type LOCAL

Chain POSTROUTING (policy ACCEPT 48468 packets, 2965K bytes)
 pkts bytes target     prot opt in     out     source               destination         
 1200 72000 MASQUERADE  0    --  *      !docker0  172.17.0.0/16        0.0.0.0/0           

Chain DOCKER (2 references)
 pkts bytes target     prot opt in     out     source               destination         
    0     0 RETURN     0    --  docker0 *       0.0.0.0/0            0.0.0.0/0           
48468 2965K DNAT       6    --  !docker0 *       0.0.0.0/0            0.0.0.0/0            tcp dpt:8799 to:172.17.0.3:1337
`;

export const dockerListing: ListChains = () => DOCKER_LISTING;

export const NO_HOST: Host = {
  interfaces: [],
  interfaceByName: () => undefined,
  interfaceByIfindex: () => undefined,
  route: () => undefined,
  lookUp: () => undefined,
  routingDependsOn: () => ({ any: false, source: false, ingress: false, mark: false, tos: false, ports: false }),
  checksSourcesByRoute: false,
  prefixes4: [],
  inferred: false,
  addressType: () => 'unicast',
  sysctl: () => undefined,
  iptables: undefined,
  ip6tables: undefined,
  ipset: undefined,
  assumptions: [],
};

type Counts = Readonly<Record<string, readonly [packets: number, bytes: number]>>;

/** Counters by `table:chain:rule`. */
export function ruleCounters(rules: Ruleset, counts: Counts, notEvaluated?: readonly TableName[]): RuleCounters {
  const of = (table: string, chain: string, rule: number | 'policy') => counts[`${table}:${chain}:${rule}`] ?? [0, 0];
  return {
    ruleset: rules,
    packets: (...place) => of(...place)[0],
    bytes: (...place) => of(...place)[1],
    notEvaluated,
  };
}

export const DOCKER_COUNTS: Counts = {
  'nat:PREROUTING:policy': [3, 180],
  'nat:PREROUTING:1': [48_468, 2_965_000],
  'nat:POSTROUTING:policy': [48_468, 2_965_000],
  'nat:POSTROUTING:1': [1200, 72_000],
  'nat:DOCKER:2': [48_468, 2_965_000],
};

const CUT: CaptureWarning = {
  code: 'CAPTURE_TRUNCATED',
  message: 'the file ends inside a record; everything before it was replayed',
  file: 'eth0.pcap',
  offset: 73_400_320,
};

const RECENT = '-A FORWARD -m rateest --name ssh --update --seconds 60 -j DROP';

export const DOCKER_RESULT: ReplayResult = {
  host: NO_HOST,
  inputs: [
    {
      path: 'eth0.pcap',
      format: 'pcap',
      linkTypes: ['Ethernet'],
      records: 948_468,
      bytes: 73_400_331,
      warnings: [CUT],
    },
    {
      path: 'docker0.pcapng.gz',
      format: 'pcapng',
      linkTypes: ['Linux cooked v2'],
      records: 51_532,
      bytes: 9_437_184,
      warnings: [],
    },
  ],
  outputs: [{ path: 'out/translated.pcapng', iface: undefined, records: 880_012, bytes: 69_206_016 }],
  texts: [
    { path: 'out/packets.ndjson', what: 'packet log', bytes: 268_435_456 },
    { path: 'out/counters', what: 'counters', bytes: 912 },
  ],
  records: 1_000_000,
  verdicts: {
    forward: 880_000,
    local: 12_000,
    drop: 7_957,
    held: 31,
    outgoing: 100_000,
    ignored: 12,
    translated: 867_345,
  },
  reasons: [
    ['no-route', 7_000],
    ['invalid-checksum', 950],
    ['nat:PREROUTING:policy', 7],
  ],
  interfaces: [
    { name: 'eth0', rxPackets: 848_468, rxBytes: 61_089_696, txPackets: 31_532, txBytes: 2_270_304 },
    { name: 'docker0', rxPackets: 51_532, rxBytes: 3_710_304, txPackets: 836_936, txBytes: 60_259_392 },
    { name: 'lo', rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 },
  ],
  connections: { created: 100_234, expired: 98_001, live: 2_233, peak: 41_002 },
  fragments: { held: 31, dropped: 2, reassembled: 28, expired: 1, waitingDatagrams: 1, waitingFragments: 2 },
  rules: [
    ruleCounters(
      ruleset(
        'rules.v4',
        { nat: DOCKER_NAT, filter: { FORWARD: ['-A FORWARD -j ACCEPT', RECENT] } },
        { [RECENT]: 'match rateest' },
      ),
      DOCKER_COUNTS,
      ['filter'],
    ),
  ],
  serviceTime: {
    samples: 1_000_000,
    p50: 85,
    p99: 190,
    p999: 1_201,
    max: 4_100_000,
    mean: 92.4,
    method:
      'Time to find, parse, track and rewrite a packet, without reading and writing files. Measured over whole blocks, 74 blocks of 13514 packets on average.',
  },
  elapsedSeconds: 0.412,
  captureSeconds: { first: 1_714_557_600, last: 1_714_557_723.5 },
  assumptions: [
    'eth0 has the address 192.0.2.1/24, from the rules and the capture: state it with --iface eth0=192.0.2.1/24',
  ],
  warnings: ['rules.v4:9: no interface docker1 on this host'],
};
