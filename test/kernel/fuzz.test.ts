/** The fuzzer itself, and some of its seeds: more are run by hand (`npm run fuzz:kernel -- --seeds 1000`). */
import { describe, expect, it } from 'vitest';
import { parseRules } from '../../src/rules/index.js';
import { HOST_COMMAND, neededCommands } from '../../src/verify/gateway.js';
import { compareCounters } from '../../src/verify/listings.js';
import { needs } from '../support/requirements.js';
import { caseOf, fuzz } from './fuzz/case.js';
import { beyondChance } from './fuzz/chance.js';
import { fewer, without } from './fuzz/minimise.js';
import { readOptions, USAGE } from './fuzz/options.js';
import { rulesText } from './fuzz/rules.js';

const requirement = needs({
  root: true,
  commands: [...neededCommands('legacy'), ...neededCommands('nft'), HOST_COMMAND],
});
const title = (name: string): string => (requirement.skip ? `${name} (${requirement.reason})` : name);
const KNOBS = { odd: 0.05, errors: 0.04, fragments: 0.05 };

describe.skipIf(requirement.skip)(title('random hosts, rules and traffic, against the running kernel'), () => {
  it.each([
    ['IPv4, iptables-legacy', 4, 'legacy', 1, 20, 0],
    ['IPv4, iptables-nft', 4, 'nft', 21, 3, 0],
    ['IPv6, ip6tables-legacy', 6, 'legacy', 1, 7, 0],
    ['IPv4, with connections of the host itself', 4, 'legacy', 31, 4, 0.3],
  ] as const)(
    '%s',
    async (_name, family, backend, first, seeds, host) => {
      let forwarded = 0;
      for (let seed = first; seed < first + seeds; seed++) {
        const outcome = await fuzz(seed, 1000, family, backend, { ...KNOBS, host });
        expect(
          outcome.differences.slice(0, 5).map(({ text }) => text),
          `npm run fuzz:kernel -- --seeds 1 --first ${seed} ${family === 6 ? '--ipv6 ' : ''}--backend ${backend} --host ${host} --minimise`,
        ).toEqual([]);
        forwarded += outcome.forwarded;
      }
      // Traffic of which little comes out proves little.
      expect(forwarded).toBeGreaterThan(seeds * 150);
    },
    120_000,
  );
});

describe('counters that hang on ports which nobody saw', () => {
  const counted = (all: number, port443: number): string =>
    `*mangle\n[${all}:${all * 40}] -A FORWARD -p udp\n[${port443}:${port443 * 40}] -A FORWARD -p udp --dport 443\nCOMMIT\n`;
  const others = [180, 195, 201, 188].map((n) => counted(560, n));
  const beyond = (kernel: string): string[] =>
    beyondChance(compareCounters(kernel, counted(560, 172)), kernel, others).map(({ what }) => what);

  it.each([
    ['as another draw might have it', counted(560, 194), []],
    ['further off than any draw', counted(560, 400), ['mangle: -A FORWARD -p udp --dport 443']],
    ['of a rule that no draw makes a difference to', counted(561, 194), ['mangle: -A FORWARD -p udp']],
    ['of a rule that is not there', counted(560, 172).replaceAll('443', '80'), undefined],
  ])('%s', (_name, kernel, expected) => {
    if (expected === undefined) expect(beyond(kernel)).toHaveLength(2);
    else expect(beyond(kernel)).toEqual(expected);
  });
});

describe('the generator', () => {
  const seeds = Array.from({ length: 40 }, (_, i) => i + 1);

  it('makes the same of the same seed', () => {
    expect(caseOf(7, 4, 'legacy')).toEqual(caseOf(7, 4, 'legacy'));
    expect(rulesText(caseOf(7, 4, 'legacy').rules)).not.toBe(rulesText(caseOf(8, 4, 'legacy').rules));
  });

  it.each([4, 6] as const)('makes IPv%i rules that can be read, with every target and match among them', (family) => {
    const texts = seeds.map((seed) => rulesText(caseOf(seed, family, 'legacy').rules));
    for (const text of texts) parseRules(text, { file: 'rules', family, unsupported: 'stop' });
    const all = texts.join('');
    for (const word of [
      ...['ACCEPT', 'DROP', 'RETURN', 'LOG', 'NFLOG', 'MARK', 'CONNMARK', 'REJECT', 'CT --notrack', 'NOTRACK'],
      ...['DNAT', 'SNAT', 'MASQUERADE', 'REDIRECT', 'NETMAP'],
    ])
      expect(all).toContain(`-j ${word}`);
    for (const word of [
      ...['tcp', 'udp', 'multiport', 'conntrack', 'state', 'mark', 'connmark', 'addrtype', 'iprange', 'length'],
      ...['statistic', 'comment', family === 4 ? 'icmp' : 'icmp6', family === 4 ? 'ttl' : 'hl'],
    ])
      expect(all).toContain(`-m ${word} `);
    expect(all).toMatch(/ -g /);
    expect(all).toMatch(/:\S+ DROP/);
  });
});

describe('the command line', () => {
  it('has defaults, and numbers that are numbers', () => {
    expect(readOptions(['--seeds', '3', '--ipv6', '--odd', '0'])).toMatchObject({
      ...{ seeds: 3, first: 1, packets: 1000, family: 6, backend: 'legacy', scenario: undefined },
      knobs: { odd: 0, errors: 0.04, fragments: 0.05 },
    });
  });

  it('has a usage that names every option', () => {
    expect(readOptions(['--help'])).toBe('help');
    for (const name of ['seeds', 'first', 'packets', 'ipv6', 'backend', 'minimise', 'show', 'stop', 'scenario'])
      expect(USAGE).toContain(`  --${name} `);
  });

  it.each([
    [['--sedes', '3'], "Unknown option '--sedes'"],
    [['3'], "Unexpected argument '3'"],
    [['--seeds'], "Option '--seeds <value>' argument missing"],
    [['--seeds', '-1'], "Option '--seeds' argument is ambiguous"],
    [['--seeds', 'many'], "--seeds takes a whole number, not 'many'"],
    [['--odd', '2'], "--odd takes a share from 0 to 1, not '2'"],
    [['--backend', 'ebtables'], "--backend is legacy or nft, not 'ebtables'"],
  ])('refuses %j in one line', (args, message) => {
    expect(() => readOptions(args)).toThrow(message);
    expect(() => readOptions(args)).not.toThrow('\n');
  });
});

describe('minimising', () => {
  it('leaves what it takes to fail', async () => {
    const numbers = Array.from({ length: 100 }, (_, i) => i);
    const fails = async (some: readonly number[]): Promise<boolean> => some.includes(17) && some.includes(71);
    expect(await fewer(numbers, fails)).toEqual([17, 71]);
  });

  it('leaves out tables, policies, rules and chains, one at a time', () => {
    const rules = {
      tables: [
        { name: 'nat' as const, chains: [{ name: 'PREROUTING', policy: 'ACCEPT' as const, rules: ['-j ACCEPT'] }] },
        {
          name: 'filter' as const,
          chains: [
            { name: 'FORWARD', policy: 'DROP' as const, rules: ['-j USED'] },
            { name: 'USED', policy: '-' as const, rules: [] },
            { name: 'UNUSED', policy: '-' as const, rules: [] },
          ],
        },
      ],
    };
    const smaller = [...without(rules)].map((less) => rulesText(less).replaceAll('\n', ' '));
    expect(smaller).toEqual([
      '*filter :FORWARD DROP [0:0] :USED - [0:0] :UNUSED - [0:0] -A FORWARD -j USED COMMIT ',
      '*nat :PREROUTING ACCEPT [0:0] COMMIT *filter :FORWARD DROP [0:0] :USED - [0:0] :UNUSED - [0:0] -A FORWARD -j USED COMMIT ',
      '*nat :PREROUTING ACCEPT [0:0] -A PREROUTING -j ACCEPT COMMIT ',
      '*nat :PREROUTING ACCEPT [0:0] -A PREROUTING -j ACCEPT COMMIT *filter :FORWARD ACCEPT [0:0] :USED - [0:0] :UNUSED - [0:0] -A FORWARD -j USED COMMIT ',
      '*nat :PREROUTING ACCEPT [0:0] -A PREROUTING -j ACCEPT COMMIT *filter :FORWARD DROP [0:0] :USED - [0:0] :UNUSED - [0:0] COMMIT ',
      '*nat :PREROUTING ACCEPT [0:0] -A PREROUTING -j ACCEPT COMMIT *filter :FORWARD DROP [0:0] :USED - [0:0] -A FORWARD -j USED COMMIT ',
    ]);
  });
});
