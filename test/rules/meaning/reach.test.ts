/** What is said to be dead never counts a packet: random rules, random packets, through the whole path of a packet. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRules } from '../../../src/rules/index.js';
import { type Dead, reachOf } from '../../../src/rules/meaning/reach.js';
import type { Rule } from '../../../src/rules/types.js';
import { TestGateway, table } from '../../support/gateway.js';
import { NET, packets, rulesOf, text } from './generate.js';

/** `filter:FORWARD:2`, and why. */
function deadIn(rules: string): Map<string, Dead> {
  const ruleset = parseRules(rules, { file: 'rules', family: 4, unsupported: 'stop' });
  const name = ({ table: of, chain, number }: Rule): string => `${of}:${chain}:${number}`;
  return new Map(
    [...ruleset.tables.values()].flatMap((one) =>
      [...reachOf(one, { family: 4 }).dead].map(([rule, dead]) => [name(rule), dead] as const),
    ),
  );
}

/** Connections are tracked whatever the rules are. */
const TRACKED = table('nat', 'POSTROUTING -s 192.168.1.0/24 -o wan -j MASQUERADE');

describe('rules that are said to be dead', () => {
  it.each(['filter', 'mangle', 'nat'] as const)('never count, in table %s', (name) => {
    let found = 0;
    fc.assert(
      fc.property(
        rulesOf(name),
        packets,
        fc.constantFrom('legacy', 'nft'),
        fc.boolean(),
        (lines, sent, backend, tracked) => {
          const rules = text(name, lines);
          const dead = deadIn(rules);
          if (dead.size === 0) return;
          found += dead.size;
          const rest = name === 'nat' || !tracked ? '' : TRACKED;
          const gateway = new TestGateway({ ...NET, rules: rules + rest, backend, fastPath: false });
          gateway.run(sent);
          for (const [rule, why] of dead)
            expect([rule, why.kind, gateway.counter(rule)]).toEqual([rule, why.kind, '0:0']);
        },
      ),
      { numRuns: Number(process.env['RUNS'] ?? 80) },
    );
    expect(found).toBeGreaterThan(50);
  });

  it.each<[string, string[], string]>([
    ['behind an unconditional verdict', ['FORWARD -j ACCEPT', 'FORWARD -p tcp -j DROP'], 'FORWARD:2 behind'],
    [
      'in a network of an earlier rule',
      ['FORWARD -s 10.0.0.0/8 -j DROP', 'FORWARD -s 10.1.0.0/16 -i lan -j ACCEPT'],
      'FORWARD:2 shadowed',
    ],
    [
      'two halves leave nothing',
      [
        'FORWARD -s 10.0.0.0/9 -j DROP',
        'FORWARD -s 10.128.0.0/9 -j ACCEPT',
        'FORWARD -s 10.1.2.3/32 -j ACCEPT',
        'FORWARD -s 10.0.0.0/8 -j ACCEPT',
      ],
      'FORWARD:3 shadowed, FORWARD:4 shadowed',
    ],
    [
      'ports of two rules',
      [
        'INPUT -p tcp --dport :1023 -j DROP',
        'INPUT -p tcp --dport 1024: -j DROP',
        'INPUT -p tcp -m multiport --dports 22,80 -j ACCEPT',
      ],
      'INPUT:3 shadowed',
    ],
    [
      'a name under a wildcard',
      ['FORWARD -i eth+ -j DROP', 'FORWARD -i eth0 -j ACCEPT', 'FORWARD -i et+ -j ACCEPT'],
      'FORWARD:2 shadowed',
    ],
    [
      'states',
      [
        'INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT',
        'INPUT -p tcp -m conntrack --ctstate ESTABLISHED -j DROP',
        'INPUT -m conntrack --ctstate ESTABLISHED,NEW -j DROP',
      ],
      'INPUT:2 shadowed',
    ],
    [
      'a chain that drops everything',
      [':A -', 'FORWARD -p tcp -j A', 'FORWARD -p tcp --dport 80 -j ACCEPT', 'A -j LOG', 'A -j DROP'],
      'FORWARD:2 shadowed',
    ],
    [
      'but not one that may return',
      [':A -', 'FORWARD -p tcp -j A', 'FORWARD -p tcp --dport 80 -j ACCEPT', 'A -s 10.0.0.0/8 -j RETURN', 'A -j DROP'],
      '',
    ],
    [
      'with what it returns left out',
      [
        ':A -',
        'FORWARD -p tcp -j A',
        'FORWARD -p tcp -s 11.0.0.0/8 -j ACCEPT',
        'A -s 10.0.0.0/8 -j RETURN',
        'A -j DROP',
      ],
      'FORWARD:2 shadowed',
    ],
    ['goto does not come back', [':A -', 'FORWARD -p tcp -g A', 'FORWARD -p tcp -j DROP'], 'FORWARD:2 shadowed'],
    [
      '-s of one net and a range of another',
      ['INPUT -s 10.0.0.0/8 -m iprange --src-range 11.0.0.1-11.0.0.9 -j DROP'],
      'INPUT:1 contradiction',
    ],
    ['established in nat', [':A -'], ''],
    [
      'what a jump leaves out',
      [':A -', 'FORWARD -p tcp -j A', 'A -p udp -j DROP', 'A -p tcp -j DROP'],
      'A:1 elsewhere',
    ],
    [
      'what was taken before the jump',
      [':A -', 'FORWARD -s 10.0.0.0/8 -j DROP', 'FORWARD -j A', 'A -s 10.1.0.0/16 -j ACCEPT'],
      'A:1 elsewhere',
    ],
    ['-o where nothing is routed yet', [':A -', 'INPUT -j A', 'A -o lan -j DROP'], 'A:1 elsewhere'],
    [
      'a chain behind a dead jump',
      [':A -', 'FORWARD -j DROP', 'FORWARD -j A', 'A -j ACCEPT'],
      'A:1 unreached, FORWARD:2 behind',
    ],
    ['limits leave something', ['FORWARD -p tcp -m limit --limit 1/s -j ACCEPT', 'FORWARD -p tcp -j DROP'], ''],
    [
      'the same set',
      [
        'FORWARD -m set --match-set a src -j DROP',
        'FORWARD -p tcp -m set --match-set a src -j ACCEPT',
        'FORWARD -m set --match-set a dst -j DROP',
      ],
      'FORWARD:2 shadowed',
    ],
  ])('%s', (_, lines, expected) => {
    const found = [...deadIn(table('filter', ...lines))].map(([rule, { kind }]) => `${rule.slice(7)} ${kind}`);
    expect(found.sort().join(', ')).toBe(expected);
  });

  it('a mark that is set in between may be another later', () => {
    const lines = [
      'FORWARD -m mark --mark 1 -j ACCEPT',
      'FORWARD -j MARK --set-mark 1',
      'FORWARD -m mark --mark 1 -j DROP',
    ];
    expect(deadIn(table('mangle', ...lines)).size).toBe(0);
    expect(deadIn(table('mangle', ...lines.filter((line) => !line.includes('MARK')))).size).toBe(1);
  });

  it('the table nat sees no established packets', () => {
    expect([...deadIn(table('nat', 'POSTROUTING -m conntrack --ctstate ESTABLISHED -j MASQUERADE')).values()]).toEqual([
      { kind: 'elsewhere', by: [] },
    ]);
  });

  it('a chain of 20,000 rules is looked at in little time', () => {
    const lines = Array.from(
      { length: 20_000 },
      (_, k) => `FORWARD -d 10.${k >> 8}.${k & 255}.1/32 -p tcp --dport ${k % 5000} -j DROP`,
    );
    lines.push('FORWARD -d 10.3.7.1/32 -p tcp --dport 775 -s 1.2.3.4 -j ACCEPT');
    expect([...deadIn(table('filter', ...lines)).keys()]).toEqual(['filter:FORWARD:20001']);
  });
});
