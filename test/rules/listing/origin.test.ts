/** The listing with which this program began: Docker's rules for `-p 8799:1337`, shown without their interfaces. */
import { describe, expect, it } from 'vitest';
import { printRules, readRules } from '../../../src/rules/index.js';
import { warningText } from '../../../src/rules/listing/warning.js';

const LISTING = `Chain PREROUTING (policy ACCEPT)
target     prot opt source               destination
DOCKER     all  --  anywhere             anywhere             ADDRTYPE match dst-type LOCAL

Chain INPUT (policy ACCEPT)
target     prot opt source               destination

Chain OUTPUT (policy ACCEPT)
target     prot opt source               destination
DOCKER     all  --  anywhere            !loopback/8           ADDRTYPE match dst-type LOCAL

Chain POSTROUTING (policy ACCEPT)
target     prot opt source               destination
MASQUERADE  all  --  172.17.0.0/16        anywhere
MASQUERADE  tcp  --  172.17.0.3           172.17.0.3           tcp dpt:1337

Chain DOCKER (2 references)
target     prot opt source               destination
RETURN     all  --  anywhere             anywhere
DNAT       tcp  --  anywhere             anywhere             tcp dpt:8799 to:172.17.0.3:1337
`;

const { ruleset, warnings } = readRules(LISTING, { file: 'nat.txt', family: 4, unsupported: 'stop' });

describe("Docker's nat table without -v", () => {
  it('is read as it stands', () => {
    expect(printRules(ruleset)).toBe(`*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE
-A POSTROUTING -s 172.17.0.3/32 -d 172.17.0.3/32 -p tcp -m tcp --dport 1337 -j MASQUERADE
-A DOCKER -j RETURN
-A DOCKER -p tcp -m tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337
COMMIT
`);
  });

  it('is said to lack interfaces, with the rules that lack them, what they probably are, and the command that shows them', () => {
    expect(warnings.map(warningText)).toEqual([
      'nat.txt:1: which table this is, the text does not say; taken as nat: it has PREROUTING, INPUT, OUTPUT, POSTROUTING, MASQUERADE, DNAT; -t states it (rules check, rules print)',
      'nat.txt: a listing of table nat without -v does not show interfaces (-i, -o), by which any of the 6 rules may be narrower than it looks; taken as listed; "iptables -t nat -L -n -v" shows them, or better "iptables-save -c"',
      'nat.txt:14: nat:POSTROUTING:1 (MASQUERADE all -- 172.17.0.0/16 anywhere) looks as if it took every packet of nat:POSTROUTING:2 (MASQUERADE tcp -- 172.17.0.3 172.17.0.3 tcp dpt:1337), which would be redundant then; it probably has ! -o docker0',
      'nat.txt:19: nat:DOCKER:1 (RETURN all -- anywhere anywhere) looks as if it held for every packet, so that nat:DOCKER:2 (DNAT tcp -- anywhere anywhere tcp dpt:8799 to:172.17.0.3:1337) could never match; it probably has -i docker0',
      'nat.txt:20: nat:DOCKER:2 (DNAT tcp -- anywhere anywhere tcp dpt:8799 to:172.17.0.3:1337) goes with the rule before it; it probably has ! -i docker0',
    ]);
  });

  it('names the same rules for programs', () => {
    const remarks = warnings.flatMap(({ code, rules }) =>
      rules.map(({ chain, number, probably, hides }) => ({
        code,
        rule: `${chain}:${number}`,
        probably,
        hides: hides?.length,
      })),
    );
    expect(remarks).toEqual([
      { code: 'LISTING_INTERFACE_MISSING', rule: 'POSTROUTING:1', probably: '! -o docker0', hides: 1 },
      { code: 'LISTING_INTERFACE_MISSING', rule: 'DOCKER:1', probably: '-i docker0', hides: 1 },
      { code: 'LISTING_INTERFACE_MISSING', rule: 'DOCKER:2', probably: '! -i docker0', hides: 0 },
    ]);
  });

  it('has nothing missing with -v', () => {
    const verbose = LISTING.replace(/^(target +prot opt )/gm, ' pkts bytes $1in     out     ').replace(
      /^([A-Z]+ +\S+ +-- )/gm,
      '    1    60 $1 any    any ',
    );
    const read = readRules(verbose, { file: 'nat.txt', family: 4, unsupported: 'stop' });
    expect(read.warnings.map(({ code }) => code)).toEqual(['LISTING_TABLE_ASSUMED']);
  });
});

describe('other rules whose interface is missing', () => {
  const cases = [
    ['filter', 'INPUT', ['ACCEPT all -- anywhere anywhere', 'DROP tcp -- anywhere anywhere tcp dpt:ssh'], '-i lo'],
    ['filter', 'OUTPUT', ['ACCEPT all -- anywhere anywhere', 'REJECT all -- anywhere anywhere'], '-o lo'],
    ['filter', 'FORWARD', ['ACCEPT all -- anywhere anywhere', 'DROP all -- anywhere anywhere'], undefined],
    [
      'nat',
      'POSTROUTING',
      ['MASQUERADE all -- 10.5.0.0/16 anywhere', 'MASQUERADE all -- 10.5.0.2 10.5.0.2'],
      '! -o br-... (the bridge of 10.5.0.0/16)',
    ],
    ['filter', 'INPUT', ['DROP tcp -- 10.0.0.0/8 anywhere', 'ACCEPT tcp -- 10.1.0.0/16 anywhere'], undefined],
  ] as const;

  it.each(cases)('%s, %s, %j: probably %s', (table, chain, rows, probably) => {
    const text = `Chain ${chain} (policy ACCEPT)\ntarget prot opt source destination\n${rows.join('\n')}\n`;
    const { warnings: said } = readRules(text, { file: 'f', family: 4, unsupported: 'stop', table });
    expect(said.map(({ code }) => code)).toEqual(['LISTING_WITHOUT_INTERFACES', 'LISTING_INTERFACE_MISSING']);
    expect(said[1]?.rules.map((rule) => rule.probably)).toEqual([probably]);
  });

  it('are not suspected where the listing shows what tells them apart', () => {
    const rows = [
      'ACCEPT tcp -- anywhere anywhere tcp dpt:ssh',
      'ACCEPT all -- 10.0.0.0/8 anywhere',
      'DROP all -- anywhere anywhere',
    ];
    const text = `Chain INPUT (policy ACCEPT)\ntarget prot opt source destination\n${rows.join('\n')}\n`;
    const { warnings: said } = readRules(text, { file: 'f', family: 4, unsupported: 'stop', table: 'filter' });
    expect(said.map(({ code }) => code)).toEqual(['LISTING_WITHOUT_INTERFACES']);
  });
});
