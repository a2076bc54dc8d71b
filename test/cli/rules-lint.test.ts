/** `natreplay rules lint` and `rules diff`, as typed. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { rulesDiffJsonSchema, rulesDiffSchema } from '../../src/report/rulesdiff.js';
import { rulesLintJsonSchema, rulesLintSchema } from '../../src/report/ruleslint.js';
import { inProcess, ROOT, scratch } from '../support/cli.js';
import { table } from '../support/gateway.js';

const folder = scratch();
afterAll(() => folder.remove());

function file(name: string, text: string): string {
  writeFileSync(folder.at(name), text);
  return folder.at(name);
}

const NET = ['--iface', 'lan=192.168.1.1/24', '--iface', 'wan=203.0.113.5/24', '--route', 'default=203.0.113.254@wan'];

/** Codes and rules of what is found. */
async function found(rules: string, ...options: string[]): Promise<string[]> {
  const json = folder.at('found.json');
  await inProcess(['rules', 'lint', file('rules.v4', rules), '--json', json, ...options]);
  const { findings } = rulesLintSchema.parse(JSON.parse(readFileSync(json, 'utf8')));
  return findings.map(({ code, rule, chain }) => `${code} ${rule === null ? chain : `${rule.chain}:${rule.number}`}`);
}

describe('rules lint', () => {
  const nat = (...lines: string[]): string => table('nat', ...lines);
  const filter = (...lines: string[]): string => table('filter', ...lines);

  it.each<[string, string, string[]]>([
    ['RULE_SHADOWED INPUT:2', filter('INPUT -s 10.0.0.0/8 -j DROP', 'INPUT -s 10.1.2.3 -j ACCEPT'), []],
    ['RULE_REDUNDANT INPUT:2', filter('INPUT -s 10.0.0.0/8 -j DROP', 'INPUT -s 10.1.2.3 -j DROP'), []],
    ['RULE_DUPLICATE INPUT:2', filter('INPUT -s 10.0.0.0/8 -j DROP', 'INPUT -s 10.0.0.0/8 -j DROP'), []],
    ['RULE_DUPLICATE INPUT:2', filter('INPUT -p tcp -j LOG', 'INPUT -p tcp -j LOG'), []],
    ['RULE_BEHIND_VERDICT INPUT:2', filter('INPUT -j DROP', 'INPUT -p tcp -j ACCEPT'), []],
    ['RULE_CONTRADICTORY INPUT:1', filter('INPUT -s 10.0.0.0/8 -m iprange --src-range 11.0.0.1-11.0.0.2 -j DROP'), []],
    ['RULE_OUT_OF_REACH POSTROUTING:1', nat('POSTROUTING -m conntrack --ctstate INVALID -o wan -j MASQUERADE'), []],
    ['INTERFACE_SIDE A:1', filter(':A -', 'INPUT -j A', 'A -o lan -j DROP'), []],
    ['CHAIN_UNUSED A', filter(':A -', 'A -j DROP'), []],
    ['CHAIN_UNREACHED A', filter(':A -', 'INPUT -j DROP', 'INPUT -j A', 'A -j DROP'), []],
    ['CHAIN_EMPTY A', filter(':A -', 'INPUT -j A'), []],
    ['CHAIN_RETURNS A', filter(':A -', 'INPUT -j A', 'A -j RETURN'), []],
    ['MASQUERADE_INSIDE POSTROUTING:1', nat('POSTROUTING -s 192.168.1.0/24 -j MASQUERADE'), []],
    ['DNAT_EVERYWHERE PREROUTING:1', nat('PREROUTING -p tcp --dport 80 -j DNAT --to-destination 192.168.1.20'), []],
    [
      'PUBLISHED_EVERYWHERE PREROUTING:1',
      nat('PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 80 -j DNAT --to-destination 192.168.1.20'),
      [],
    ],
    [
      'HAIRPIN_MISSING PREROUTING:1',
      nat('PREROUTING -d 203.0.113.5 -p tcp --dport 80 -j DNAT --to-destination 192.168.1.20'),
      NET,
    ],
    [
      'DNAT_BY_DEFAULT_ROUTE PREROUTING:1',
      nat('PREROUTING -i wan -p tcp --dport 80 -j DNAT --to-destination 172.17.0.9'),
      NET,
    ],
    [
      'DNAT_NO_ROUTE PREROUTING:1',
      nat('PREROUTING -i lan -p tcp --dport 80 -j DNAT --to-destination 172.17.0.9'),
      NET.slice(0, 4),
    ],
    [
      'DNAT_TO_LOOPBACK PREROUTING:1',
      nat('PREROUTING -i wan -p tcp --dport 80 -j DNAT --to-destination 127.0.0.1'),
      NET,
    ],
    [
      'DNAT_DROPPED PREROUTING:1',
      nat('PREROUTING -i wan -p tcp --dport 80 -j DNAT --to-destination 192.168.1.20:8080') +
        filter(':FORWARD DROP', 'FORWARD -p tcp --dport 80 -j ACCEPT'),
      [],
    ],
    [
      'FILTER_BEHIND_DNAT INPUT:1',
      nat('PREROUTING -d 203.0.113.5 -p tcp --dport 80 -j DNAT --to-destination 192.168.1.20:8080') +
        filter('INPUT -p tcp --dport 80 -j DROP'),
      [],
    ],
    ['SNAT_TO_FOREIGN_ADDRESS POSTROUTING:1', nat('POSTROUTING -o wan -j SNAT --to-source 203.0.113.77'), NET],
    [
      'NOTRACK_DEFEATS_NAT POSTROUTING:1',
      table('raw', 'PREROUTING -j NOTRACK', 'OUTPUT -j NOTRACK') + nat('POSTROUTING -o wan -j MASQUERADE'),
      [],
    ],
    ['MARK_NEVER_READ PREROUTING:1', table('mangle', 'PREROUTING -i lan -j MARK --set-mark 7'), []],
    ['MARK_NEVER_SET FORWARD:1', filter('FORWARD -m mark --mark 7 -j DROP'), []],
    ['INTERFACE_UNKNOWN FORWARD:1', filter('FORWARD -i lna -j DROP'), NET],
    [
      'INTERFACE_LOOKALIKE FORWARD:3',
      filter('FORWARD -i eth0 -j DROP', 'FORWARD -o eth0 -j DROP', 'FORWARD -s 10.0.0.1 -o etho -j ACCEPT'),
      [],
    ],
    ['INTERFACE_SWAPPED FORWARD:1', filter('FORWARD -i lan -d 192.168.1.0/24 -j ACCEPT', 'FORWARD -j DROP'), NET],
    ['SET_NOT_STATED INPUT:1', filter('INPUT -m set --match-set bad src -j DROP'), NET],
    ['REPLIES_DROPPED FORWARD', filter(':FORWARD DROP', 'FORWARD -i lan -p tcp --dport 80 -j ACCEPT'), []],
    ['LOOPBACK_DROPPED INPUT', filter(':INPUT DROP', 'INPUT -p tcp --dport 22 -j ACCEPT'), []],
    ['POLICY_ACCEPTS_ALL INPUT', filter('INPUT -p tcp --dport 22 -j ACCEPT'), []],
  ])('%s', async (expected, rules, options) => {
    expect(await found(rules, ...options)).toContain(expected);
  });

  it('has nothing to say of a home gateway but notes', async () => {
    const { code } = await inProcess(['rules', 'lint', join(ROOT, 'captures/home-gateway/rules.v4'), '--strict']);
    expect(code).toBe(0);
  });

  it('fails with --strict on a warning, and shows rule, reason and fix', async () => {
    const rules = file('strict.v4', filter('INPUT -j DROP', 'INPUT -p tcp -j ACCEPT'));
    const { code, stdout } = await inProcess(['rules', 'lint', rules, '--strict']);
    expect(code).toBe(1);
    expect(stdout).toContain(`  warning RULE_BEHIND_VERDICT filter:INPUT:2 ${rules}:`);
    expect(stdout).toContain('    fix: put it before filter:INPUT:1, or take it out\n');
  });

  it('takes rules of a host file, and says when there are none', async () => {
    const host = join(ROOT, 'captures/docker-bridge/host.json');
    expect((await inProcess(['rules', 'lint', '--host', host])).code).toBe(0);
    expect((await inProcess(['rules', 'lint'])).code).toBe(2);
  });

  it('has its schema, and that of diff, beside the others (npx tsx scripts/schema.ts)', () => {
    const published = (name: string): unknown => JSON.parse(readFileSync(join(ROOT, 'docs', name), 'utf8'));
    expect(published('lint.schema.json')).toEqual(rulesLintJsonSchema());
    expect(published('diff.schema.json')).toEqual(rulesDiffJsonSchema());
  });
});

describe('rules diff', () => {
  const a = file('a.v4', table('filter', ':INPUT DROP', 'INPUT -p tcp --dport ssh -j ACCEPT'));
  const b = file('b.v4', table('filter', ':INPUT DROP', 'INPUT -p 6 -m tcp --dport 22 -j ACCEPT'));
  const c = file('c.v4', table('filter', ':INPUT ACCEPT', 'INPUT -p tcp --dport 23 -j ACCEPT'));

  it('the same in other words: exit code 0', async () => {
    const { code, stdout } = await inProcess(['rules', 'diff', a, b]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'same meaning\n' });
  });

  it('what differs: exit code 1', async () => {
    const { code, stdout } = await inProcess(['rules', 'diff', a, c]);
    expect({ code, stdout }).toEqual({
      code: 1,
      stdout: `--- ${a}
+++ ${c}
*filter
@@ INPUT
-:INPUT DROP
+:INPUT ACCEPT
--A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
+-A INPUT -p tcp -m tcp --dport 23 -j ACCEPT
1 chain differs in meaning
`,
    });
  });

  it('as JSON', async () => {
    const json = folder.at('differences.json');
    await inProcess(['rules', 'diff', a, c, '--json', json]);
    const { same, chains } = rulesDiffSchema.parse(JSON.parse(readFileSync(json, 'utf8')));
    expect([same, chains[0]?.policy, chains[0]?.changes[0]?.kind]).toEqual([
      false,
      { a: 'DROP', b: 'ACCEPT' },
      'changed',
    ]);
  });

  it('two families: exit code 2', async () => {
    const six = file('six.v6', `# Generated by ip6tables-save v1.8.9\n${table('filter')}`);
    expect((await inProcess(['rules', 'diff', a, six])).code).toBe(2);
  });
});
