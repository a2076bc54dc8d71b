/** `rules diff`: what is a difference, what is another spelling, and that "same meaning" holds for packets. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { diffListing } from '../../../src/report/rulesdiff.js';
import { diffRules, type RulesDifference } from '../../../src/rules/diff/diff.js';
import { longestAscending } from '../../../src/rules/diff/order.js';
import { listChains, parseRules, printRules, type Ruleset, readRules } from '../../../src/rules/index.js';
import { TestGateway, table } from '../../support/gateway.js';
import { NET, packets, text as plainText, rulesOf } from '../meaning/generate.js';

const read = (rules: string): Ruleset => parseRules(rules, { file: 'rules', family: 4, unsupported: 'stop' });
const diff = (a: string, b: string, comments = false): RulesDifference =>
  diffRules(read(a), read(b), { comments, bare: false });
const filter = (...lines: string[]): string => table('filter', ':A -', ...lines);

/** Changes in short: `+`, `-`, `~` (changed), `>` (moved); in brackets what does not matter. */
function changes({ chains }: RulesDifference): string {
  const letters = { added: '+', removed: '-', changed: '~', moved: '>' } as const;
  return chains
    .flatMap(({ policy, changes: all }) => [
      ...(policy === undefined ? [] : ['policy']),
      ...all.map(({ kind, matters }) => (matters ? letters[kind] : `(${letters[kind]})`)),
    ])
    .join(' ');
}

describe('spelling', () => {
  it.each<[string, string, string]>([
    ['names and numbers', '-p tcp --dport http -j ACCEPT', '-p 6 -m tcp --dport 80 -j ACCEPT'],
    ['the order of options', '-j ACCEPT -i lan -s 10.0.0.1', '-s 10.0.0.1/32 -i lan -j ACCEPT'],
    [
      'the order of matches',
      '-p tcp -m mark --mark 1 -m tcp --dport 80 -j DROP',
      '-p tcp --dport 80 -m mark --mark 0x1 -j DROP',
    ],
    ['state and conntrack', '-m state --state NEW -j DROP', '-m conntrack --ctstate NEW -j DROP'],
    ['the order of ports', '-p tcp -m multiport --dports 80,22 -j DROP', '-p tcp -m multiport --dports 22,80 -j DROP'],
    ['a range that is a network', '-m iprange --src-range 10.0.0.0-10.0.0.255 -j DROP', '-s 10.0.0.0/24 -j DROP'],
    ['a mask in full', '-s 10.0.0.0/255.0.0.0 -j DROP', '-s 10.0.0.0/8 -j DROP'],
    ['comments', '-m comment --comment a -j DROP', '-m comment --comment b -j DROP'],
    ['the default of REJECT', '-j REJECT', '-j REJECT --reject-with icmp-port-unreachable'],
    [
      'all the states but one',
      '-m conntrack ! --ctstate INVALID -j DROP',
      '-m conntrack --ctstate NEW,RELATED,ESTABLISHED,UNTRACKED -j DROP',
    ],
  ])('%s', (_, a, b) => {
    expect(diff(filter(`FORWARD ${a}`), filter(`FORWARD ${b}`)).same).toBe(true);
  });

  it('comments matter if they are told to', () => {
    const [a, b] = ['a', 'b'].map((word) => filter(`FORWARD -m comment --comment ${word} -j DROP`)) as [string, string];
    expect(diff(a, b).comments).toBe(1);
    expect(diff(a, b, true).same).toBe(false);
  });

  it('a verbose listing and iptables-save text of the same rules mean the same', () => {
    const save = read(filter('INPUT -i lan -p tcp --dport 22 -j ACCEPT', 'FORWARD ! -s 10.0.0.0/8 -o wan -j DROP'));
    const listing = `Table: filter\n${listChains(save, 'filter', { verbose: true })}`;
    const { ruleset } = readRules(listing, { file: 'listing', family: 4, unsupported: 'stop', table: 'filter' });
    expect(diffRules(save, ruleset, { comments: false, bare: false }).same).toBe(true);
  });
});

describe('differences', () => {
  it.each<[string, string[], string[], string]>([
    [
      'a rule more',
      ['FORWARD -s 10.0.0.1 -j DROP'],
      ['FORWARD -s 10.0.0.1 -j DROP', 'FORWARD -s 10.0.0.2 -j DROP'],
      '+',
    ],
    ['a rule less', ['FORWARD -s 10.0.0.1 -j DROP', 'FORWARD -j LOG'], ['FORWARD -j LOG'], '-'],
    ['another target', ['FORWARD -s 10.0.0.1 -j DROP'], ['FORWARD -s 10.0.0.1 -j ACCEPT'], '~'],
    ['another policy', [':INPUT ACCEPT'], [':INPUT DROP'], 'policy'],
    [
      'an order that matters',
      ['FORWARD -s 10.0.0.1 -j ACCEPT', 'FORWARD -d 10.0.0.2 -j DROP'],
      ['FORWARD -d 10.0.0.2 -j DROP', 'FORWARD -s 10.0.0.1 -j ACCEPT'],
      '>',
    ],
    [
      'rules that no packet can both match',
      ['FORWARD -s 10.0.0.1 -j ACCEPT', 'FORWARD -s 10.0.0.2 -j DROP'],
      ['FORWARD -s 10.0.0.2 -j DROP', 'FORWARD -s 10.0.0.1 -j ACCEPT'],
      '(>)',
    ],
    [
      'rules with the same verdict',
      ['FORWARD -s 10.0.0.1 -j ACCEPT', 'FORWARD -d 10.0.0.2 -j ACCEPT'],
      ['FORWARD -d 10.0.0.2 -j ACCEPT', 'FORWARD -s 10.0.0.1 -j ACCEPT'],
      '(>)',
    ],
    [
      'a log before or behind',
      ['FORWARD -j LOG', 'FORWARD -s 10.0.0.1 -j DROP'],
      ['FORWARD -s 10.0.0.1 -j DROP', 'FORWARD -j LOG'],
      '>',
    ],
    ['a rule that never matches', ['FORWARD -j DROP'], ['FORWARD -j DROP', 'FORWARD -p tcp -j ACCEPT'], '(+)'],
    [
      'what stands before a limit',
      ['FORWARD -p tcp -m limit --limit 1/s -m tcp --dport 80 -j DROP'],
      ['FORWARD -p tcp --dport 80 -m limit --limit 1/s -j DROP'],
      '~',
    ],
    [
      'a mark read before it is set',
      ['FORWARD -m mark --mark 1 -j DROP', 'FORWARD -m mark ! --mark 1 -j MARK --set-mark 1'],
      ['FORWARD -m mark ! --mark 1 -j MARK --set-mark 1', 'FORWARD -m mark --mark 1 -j DROP'],
      '>',
    ],
  ])('%s', (_, a, b, expected) => {
    const name = a.concat(b).some((line) => line.includes('MARK')) ? 'mangle' : 'filter';
    const found = diff(table(name, ':A -', ...a), table(name, ':A -', ...b));
    expect(changes(found)).toBe(expected);
    expect(found.same).toBe(expected.startsWith('('));
  });

  it('a chain that nothing gets to makes none', () => {
    const found = diff(filter('A -j DROP'), filter('A -j ACCEPT'));
    expect(found.same).toBe(true);
    expect(diffListing(found, 'a', 'b')).toBe(
      '--- a\n+++ b\n*filter\n@@ A (no packet gets there)\n--A A -j DROP\n+-A A -j ACCEPT\nsame meaning\n',
    );
  });

  it('a table without rules is as good as none', () => {
    expect(diff(filter(), filter() + table('raw')).same).toBe(true);
    expect(diff(filter(), filter() + table('raw', 'PREROUTING -j DROP')).same).toBe(false);
  });
});

describe('random rules', () => {
  // Whether anything is tracked at all depends on rules that are there, not on what they are for.
  const text = (name: 'filter' | 'mangle' | 'nat', lines: readonly string[]): string =>
    name === 'nat'
      ? plainText('nat', [...lines, 'POSTROUTING -o nowhere -j MASQUERADE'])
      : plainText(name, lines) + table('nat', 'POSTROUTING -o nowhere -j MASQUERADE');
  /** What became of packets, and what the rules counted that mean anything. */
  const fates = (rules: string, sent: Parameters<TestGateway['run']>[0]): string[] => {
    const gateway = new TestGateway({ ...NET, rules, fastPath: false });
    return gateway.run(sent).map(({ verdict, out, nat, state, text: packet, why }) => {
      const dropped = verdict === 'drop' && !why.includes(':') ? why : '';
      return [verdict, out, nat, state, packet, dropped].join(' ');
    });
  };
  /** Of a packet cut short the order of matches may decide. */
  const whole = packets.map((sent) =>
    sent.filter(
      ({ packet }) => packet.length >= 44 || packet[9] !== 6 || (packet[6] ?? 0) * 256 + (packet[7] ?? 0) !== 0,
    ),
  );

  it.each(['filter', 'mangle', 'nat'] as const)('that mean the same do the same, in table %s', (name) => {
    let same = 0;
    const swaps = fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(rulesOf(name), swaps, fc.nat(3), whole, (lines, pairs, drop, sent) => {
        const other = [...lines];
        for (const [i, j] of pairs) {
          const [x, y] = [i % Math.max(1, other.length), j % Math.max(1, other.length)];
          const [a, b] = [other[x], other[y]];
          if (a === undefined || b === undefined || a.split(' ')[0] !== b.split(' ')[0]) continue;
          other[x] = b;
          other[y] = a;
        }
        if (drop === 0) other.splice((pairs[0]?.[0] ?? 0) % Math.max(1, other.length), 1);
        if (other.join() === lines.join() || !diff(text(name, lines), text(name, other)).same) return;
        same++;
        expect(fates(text(name, other), sent)).toEqual(fates(text(name, lines), sent));
      }),
      { numRuns: Number(process.env['RUNS'] ?? 100) },
    );
    expect(same).toBeGreaterThan(10);
  });

  it('are the same as what iptables-save prints of them', () => {
    fc.assert(
      fc.property(rulesOf('filter'), (lines) => {
        const rules = text('filter', lines);
        const printed = printRules(read(rules), { counters: true });
        expect(diff(rules, printed)).toMatchObject({ same: true, chains: [] });
      }),
      { numRuns: 50 },
    );
  });

  it('the longest part that ascends is as long as the slow way finds', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(30), { maxLength: 12 }), (numbers) => {
        const best = numbers.reduce<number[]>((lengths, value, k) => {
          const shorter = lengths.filter((_, j) => (numbers[j] ?? 0) < value);
          lengths[k] = Math.max(0, ...shorter) + 1;
          return lengths;
        }, []);
        const kept = [...longestAscending(numbers)].sort((a, b) => a - b).map((k) => numbers[k] ?? 0);
        expect(kept).toEqual([...kept].sort((a, b) => a - b));
        expect(kept.length).toBe(Math.max(0, ...best));
      }),
    );
  });
});
