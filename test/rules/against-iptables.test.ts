/** The same rules through the iptables of this machine: its iptables-save and -L against ours, byte for byte. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Family } from '../../src/host/types.js';
import { listChains, parseRules, printRules, type TableName } from '../../src/rules/index.js';
import { needs } from '../support/requirements.js';
import { type Recorded, recordedRules } from './recorded.js';

const requirement = needs({ root: true, commands: ['ip', 'iptables-legacy', 'iptables-nft', 'ip6tables-legacy'] });
const version = requirement.skip ? '' : execFileSync('iptables', ['--version'], { encoding: 'utf8' });
const skip = requirement.skip || !version.includes(' v1.8.9 ');
const reason = requirement.skip ? requirement.reason : `compares with 1.8.9, here is ${version.trim()}`;

const namespace = `natreplay-rules-${process.pid}`;

function inNamespace(command: string, args: readonly string[], input = ''): string {
  return execFileSync('ip', ['netns', 'exec', namespace, command, ...args], {
    encoding: 'utf8',
    input,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

/** Every recorded rule that iptables takes (less those of which legacy and nft list different things), of one family and table, with counters that need every unit. */
function fileOf(family: Family, table: TableName, legacy: boolean): string {
  // ip6tables-nft-restore 1.8.9 forgets the counters of rules.
  const counted = legacy || family === 4;
  const counters = [
    '0:0',
    '99999:99999',
    '100000:9999499',
    '9999500:9999499999',
    '12345:678901234567',
    '7:99999999999999',
  ];
  const rules = recordedRules()
    .filter((one: Recorded) => one.family === family && one.table === table && one.refused === undefined)
    .filter(
      (one) => (legacy || !one.legacyOnly) && !one.rule.startsWith('[') && !/ -c | -[jg] t$| -i \+ /.test(one.rule),
    )
    .map(({ rule }, i) => `[${(counted ? counters[i % counters.length] : undefined) ?? '0:0'}] ${rule}`);
  return [`*${table}`, ':t - [0:0]', ':u - [0:0]', ':B - [0:0]', ...rules, 'COMMIT', ''].join('\n');
}

const cases: readonly (readonly [string, Family, TableName])[] = (['legacy', 'nft'] as const).flatMap((variant) =>
  ([4, 6] as const).flatMap((family) =>
    (family === 4 ? (['filter', 'nat', 'mangle', 'raw'] as const) : (['filter', 'nat'] as const)).map(
      (table) => [variant, family, table] as const,
    ),
  ),
);

describe.skipIf(skip)(`against iptables itself${skip ? ` (${reason})` : ''}`, () => {
  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', namespace]);
  });
  afterAll(() => {
    execFileSync('ip', ['netns', 'del', namespace]);
  });

  it.each(cases)('iptables-%s, IPv%i, table %s', (variant, family, table) => {
    const tool = `${family === 4 ? 'iptables' : 'ip6tables'}-${variant}`;
    const text = fileOf(family, table, variant === 'legacy');
    inNamespace(`${tool}-restore`, ['-c'], text);
    const ruleset = parseRules(text, { file: 'rules', family, unsupported: 'keep' });

    const saved = inNamespace(`${tool}-save`, ['-c', '-t', table]).replace(/^#.*\n/gm, '');
    expect(printRules(ruleset, { counters: true })).toBe(saved);

    const verbose = inNamespace(tool, ['-t', table, '-L', '-v', '-n']);
    expect(listChains(ruleset, table, { verbose: true })).toBe(verbose);
    const exact = inNamespace(tool, ['-t', table, '-L', '-v', '-n', '-x', '--line-numbers']);
    expect(listChains(ruleset, table, { verbose: true, exact: true, lineNumbers: true })).toBe(exact);
    expect(listChains(ruleset, table, { lineNumbers: true })).toBe(
      inNamespace(tool, ['-t', table, '-L', '-n', '--line-numbers']),
    );
    inNamespace(tool, ['-t', table, '-F']);
    inNamespace(tool, ['-t', table, '-X']);
  });
});
