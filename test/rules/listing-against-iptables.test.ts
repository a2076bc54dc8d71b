/**
 * Generated rules loaded with the iptables of this machine: what it lists (-L in every form, -S) against what is printed
 * here, byte for byte; and its listings read back into the rules that were loaded.
 */
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listChains, parseRules, printCommands, printRules, readRules } from '../../src/rules/index.js';
import { needs } from '../support/requirements.js';
import { fileOf, type GeneratedTable, generatedRule } from './listing/generated.js';
import { fileAround, recordedRules } from './recorded.js';

const requirement = needs({ root: true, commands: ['ip', 'iptables-legacy', 'iptables-nft'] });
const version = requirement.skip ? '' : execFileSync('iptables', ['--version'], { encoding: 'utf8' });
const skip = requirement.skip || !version.includes(' v1.8.9 ');
const reason = requirement.skip ? requirement.reason : `compares with 1.8.9, here is ${version.trim()}`;

const namespace = `natreplay-listing-${process.pid}`;
const RULES = 80;

function inNamespace(command: string, args: readonly string[], input = ''): string {
  return execFileSync('ip', ['netns', 'exec', namespace, command, ...args], {
    encoding: 'utf8',
    input,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

const cases = (['legacy', 'nft'] as const).flatMap((variant) =>
  (['filter', 'nat', 'mangle'] as const).map((table) => [variant, table] as const),
);

const FORMS: readonly (readonly [options: string, how: Parameters<typeof listChains>[2]])[] = [
  ['-L', { numeric: false }],
  ['-nL', {}],
  ['-vL', { verbose: true, numeric: false }],
  ['-nvL', { verbose: true }],
  ['-nvxL', { verbose: true, exact: true }],
];

describe.skipIf(skip)(`listings against iptables itself${skip ? ` (${reason})` : ''}`, () => {
  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', namespace]);
  });
  afterAll(() => {
    execFileSync('ip', ['netns', 'del', namespace]);
  });

  it.each(cases)('iptables-%s, table %s', (variant, table: GeneratedTable) => {
    const tool = `iptables-${variant}`;
    const text = fileOf(table, fc.sample(generatedRule(table), { numRuns: RULES, seed: 4 }));
    inNamespace(`${tool}-restore`, ['-c'], text);
    const ruleset = parseRules(text, { file: 'rules', family: 4, unsupported: 'stop' });
    const canonical = printRules(ruleset, { counters: true });
    expect(inNamespace(`${tool}-save`, ['-c', '-t', table]).replace(/^#.*\n/gm, '')).toBe(canonical);

    for (const [options, how] of FORMS) {
      for (const lineNumbers of [false, true]) {
        const words = ['-t', table, ...(lineNumbers ? ['--line-numbers'] : []), options];
        expect(listChains(ruleset, table, { ...how, lineNumbers })).toBe(inNamespace(tool, words));
      }
    }
    const found = ruleset.tables.get(table);
    if (found === undefined) throw new Error(table);
    expect(printCommands(found, 4)).toBe(inNamespace(tool, ['-t', table, '-S']));
    if (variant === 'legacy')
      expect(printCommands(found, 4, { counters: true })).toBe(inNamespace(tool, ['-t', table, '-S', '-v']));

    for (const options of [['-nvxL'], ['-vxL', '--line-numbers']]) {
      const listing = inNamespace(tool, ['-t', table, ...options]);
      const read = readRules(listing, { file: 'listing', family: 4, unsupported: 'stop', table });
      expect(printRules(read.ruleset, { counters: true })).toBe(canonical);
    }
    inNamespace(tool, ['-t', table, '-F']);
    inNamespace(tool, ['-t', table, '-X']);
  });

  it.each([4, 6] as const)('every recorded rule of IPv%i, by names', (family) => {
    const tool = family === 4 ? 'iptables-legacy' : 'ip6tables-legacy';
    // Accounts have other names on every machine, and these matches are listed with numbers here.
    const rules = recordedRules()
      .filter((one) => one.family === family && one.table === 'filter' && one.refused === undefined)
      .filter(
        ({ rule }) =>
          !rule.startsWith('[') &&
          !/ -c | -[jg] t$| -i \+ |-owner| -m set |-j SET |sctp|dccp|policy|realm|header|\bmh\b|tos\b|TOS|devgroup/.test(
            rule,
          ),
      )
      .filter((one) => isSupported(fileAround(one), family))
      .map(({ rule }) => rule);
    const text = ['*filter', ':t - [0:0]', ':u - [0:0]', ':B - [0:0]', ...rules, 'COMMIT', ''].join('\n');
    inNamespace(`${tool}-restore`, [], text);
    const ruleset = parseRules(text, { file: 'rules', family, unsupported: 'stop' });
    expect(listChains(ruleset, 'filter', { numeric: false, verbose: true })).toBe(inNamespace(tool, ['-vL']));
  });
});

function isSupported(text: string, family: 4 | 6): boolean {
  return parseRules(text, { file: 'rules', family, unsupported: 'skip' }).skipped.length === 0;
}
