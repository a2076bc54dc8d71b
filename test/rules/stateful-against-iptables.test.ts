/**
 * Matches and targets that keep state, in hundreds of generated rules: what this machine's iptables loads, we load, and save
 * and list as it does; what it refuses, we refuse.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NatreplayError } from '../../src/errors.js';
import type { Family } from '../../src/host/types.js';
import { listChains, parseRules, printRules } from '../../src/rules/index.js';
import { needs } from '../support/requirements.js';

const requirement = needs({ root: true, commands: ['ip', 'ipset', 'iptables-legacy', 'ip6tables-legacy'] });
const version = requirement.skip ? '' : execFileSync('iptables-legacy', ['--version'], { encoding: 'utf8' });
const skip = requirement.skip || !version.includes(' v1.8.9 ');
const reason = requirement.skip ? requirement.reason : `compares with 1.8.9, here is ${version.trim()}`;

const namespace = `natreplay-stateful-${process.pid}`;
const SETS = [
  'create a hash:ip',
  'create b hash:net,port counters skbinfo timeout 60',
  'create l list:set',
  'create p bitmap:port range 0-1023',
  'create a6 hash:ip family inet6',
];

/** Chosen from the lists at random, but the same in each run. */
function* combinations(count: number, ...lists: (readonly string[])[]): Generator<string> {
  let state = 1;
  for (let i = 0; i < count; i++) {
    const words = lists.map((list) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return list[Math.floor((state / 2 ** 32) * list.length)] ?? '';
    });
    yield words.filter((word) => word !== '').join(' ');
  }
}

const RULES: Readonly<Record<string, (family: Family) => Generator<string>>> = {
  recent: (family) =>
    combinations(
      240,
      ['--rcheck', '--update', '! --rcheck', '! --update', '--set', '--remove', '! --set', '! --remove', ''],
      ['', '--seconds 60', '--seconds 1', '--seconds 4294967295', '--seconds 0', '--seconds 0x10'],
      ['', '--hitcount 4', '--hitcount 0', '--hitcount 255', '--hitcount 65535', '--hitcount 65536'],
      ['', '', '--reap', '--rttl'],
      ['', '--name ssh', '--name a_b-c.d', '--name a/b'],
      family === 4 ? ['', '--mask 255.255.0.0', '--mask 255.0.255.0'] : ['', '--mask ffff:ffff::'],
      ['', '--rsource', '--rdest', '--rsource --rdest'],
    ),
  hashlimit: (family) =>
    combinations(
      600,
      ['--hashlimit-upto', '--hashlimit-above', '! --hashlimit-upto', '--hashlimit', '! --hashlimit-above'],
      [
        '5/sec',
        '7/min',
        '1/day',
        '3/hour',
        '600/second',
        '1000000',
        '1000001/s',
        '512kb/s',
        '3mb/s',
        '100b/s',
        '999kb/s',
        '15b/s',
        '7/x',
        '0/s',
        '10/m',
        '3/minu',
        '999/hour',
        '12345/day',
        '5kbb/s',
        '333333/min',
      ],
      ['--hashlimit-name NAME', '--hashlimit-name NAME', '--hashlimit-name NAME', ''],
      [
        '',
        '--hashlimit-burst 7',
        '--hashlimit-burst 1',
        '--hashlimit-burst 1000000',
        '--hashlimit-burst 2mb',
        '--hashlimit-burst 900k',
        '--hashlimit-burst 0',
      ],
      [
        '',
        '--hashlimit-mode srcip',
        '--hashlimit-mode dstip,srcip,dstport,srcport',
        '--hashlimit-mode dstport',
        '--hashlimit-mode foo',
      ],
      [
        '',
        '--hashlimit-srcmask 24',
        '--hashlimit-dstmask 0',
        family === 4 ? '--hashlimit-srcmask 33' : '--hashlimit-srcmask 128',
      ],
      [
        '',
        '--hashlimit-htable-size 100',
        '--hashlimit-htable-max 7',
        '--hashlimit-htable-expire 60000',
        '--hashlimit-htable-gcinterval 500',
        '--hashlimit-htable-expire 1000',
      ],
      [
        '',
        '',
        '',
        '--hashlimit-rate-match',
        '--hashlimit-rate-match --hashlimit-rate-interval 10',
        '--hashlimit-rate-interval 3',
      ],
    ),
  connlimit: (family) =>
    combinations(
      200,
      [
        '--connlimit-above 3',
        '--connlimit-upto 0',
        '! --connlimit-above 7',
        '! --connlimit-upto 4294967295',
        '--connlimit-above 4294967296',
        '',
      ],
      [
        '',
        '--connlimit-mask 24',
        '--connlimit-mask 0',
        family === 4 ? '--connlimit-mask 255.255.0.0' : '--connlimit-mask 64',
      ],
      ['', '--connlimit-saddr', '--connlimit-daddr', '--connlimit-saddr --connlimit-daddr'],
    ),
  connbytes: () =>
    combinations(
      300,
      ['', '!'],
      [
        '--connbytes 10:20',
        '--connbytes 10',
        '--connbytes 0',
        '--connbytes :7',
        '--connbytes 5:',
        '--connbytes 7:7',
        '--connbytes 20:10',
        '--connbytes 18446744073709551615',
        '--connbytes 0x10:0x20',
        '--connbytes x',
        '--connbytes 0:0',
      ],
      ['--connbytes-dir original', '--connbytes-dir reply', '--connbytes-dir both', '--connbytes-dir all', ''],
      ['--connbytes-mode packets', '--connbytes-mode bytes', '--connbytes-mode avgpkt', '--connbytes-mode pkts'],
    ),
  connlabel: () =>
    combinations(80, ['', '!'], ['--label 0', '--label 127', '--label 128', '--label 0x10', ''], ['', '--set']),
  quota: () =>
    combinations(
      40,
      ['', '!'],
      ['--quota 0', '--quota 100', '--quota 0x10', '--quota 18446744073709551615', '--quota 18446744073709551616', ''],
    ),
  set: (family) =>
    combinations(
      400,
      ['', '!'],
      family === 4
        ? [
            '--match-set a src',
            '--match-set b src,dst',
            '--match-set l dst',
            '--match-set a src,dst,src',
            '--match-set p dst',
            '--match-set a foo',
            '--match-set l src,src,src,src,src,src,src',
            '--set a dst',
            '',
          ]
        : ['--match-set a6 src', '--match-set l dst', '--match-set p src'],
      ['', '--return-nomatch', '! --return-nomatch'],
      ['', '! --update-counters', '--update-counters', '! --update-subcounters'],
      [
        '',
        '--packets-eq 4',
        '! --packets-eq 4',
        '--packets-lt 0x10',
        '--packets-gt 7',
        '! --packets-lt 7',
        '--packets-eq 1 --packets-lt 3',
      ],
      ['', '--bytes-eq 4', '! --bytes-eq 18446744073709551615', '--bytes-lt 10', '--bytes-gt 7'],
    ),
  SET: (family) =>
    combinations(
      300,
      family === 4 ? ['--add-set a src', '--add-set b src,dst', '', '--add-set p dst'] : ['--add-set a6 src', ''],
      ['', '--exist', '--timeout 5', '--timeout 0', '--exist --timeout 4294967294', '--timeout 4294967295'],
      ['', '--del-set l dst', family === 4 ? '--del-set a src,src' : '--del-set a6 dst'],
      ['', '', '--map-set l src'],
      ['', '--map-mark', '--map-prio --map-mark', '--map-queue'],
    ),
};

function restore(family: Family, text: string): boolean {
  const tool = family === 4 ? 'iptables-legacy-restore' : 'ip6tables-legacy-restore';
  return spawnSync('ip', ['netns', 'exec', namespace, tool], { input: text, encoding: 'utf8' }).status === 0;
}

function ask(command: string, ...args: string[]): string {
  return execFileSync('ip', ['netns', 'exec', namespace, command, ...args], {
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'ignore'],
  });
}

const parsed = (family: Family, text: string) => parseRules(text, { file: 'rules', family, unsupported: 'stop' });

function loads(family: Family, text: string): boolean {
  try {
    parsed(family, text);
    return true;
  } catch (error) {
    if (error instanceof NatreplayError) return false;
    throw error;
  }
}

const fileOf = (rules: readonly string[]): string => ['*mangle', ':t - [0:0]', ...rules, 'COMMIT', ''].join('\n');

/** Of many rules, few of which are refused: halves are tried until each that is refused is alone. */
function refused(family: Family, rules: readonly string[]): string[] {
  if (rules.length === 0 || restore(family, fileOf(rules))) return [];
  if (rules.length === 1) return [...rules];
  const half = rules.length >> 1;
  return [...refused(family, rules.slice(0, half)), ...refused(family, rules.slice(half))];
}

const cases = Object.keys(RULES).flatMap((name) => ([4, 6] as const).map((family) => [name, family] as const));

describe.skipIf(skip)(`stateful extensions against iptables itself${skip ? ` (${reason})` : ''}`, () => {
  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', namespace]);
    execFileSync('ip', ['netns', 'exec', namespace, 'ipset', 'restore'], { input: `${SETS.join('\n')}\n` });
  });
  afterAll(() => {
    execFileSync('ip', ['netns', 'del', namespace]);
  });

  it.each(cases)('%s, IPv%i', (name, family) => {
    const lead = name === name.toUpperCase() ? '-j' : '-m';
    const rules = [...new Set(RULES[name]?.(family) ?? [])].map((words, i) =>
      `-A t ${lead} ${name} ${words}`.replace('NAME', `n${i}`).trim(),
    );
    const ours = rules.filter((rule) => loads(family, fileOf([rule])));
    expect(ours.length).toBeGreaterThan(3);
    expect(refused(family, ours), 'refused by iptables alone').toEqual([]);
    // Refusals cost a run of iptables each: a sample of them.
    const others = rules.filter((rule) => !ours.includes(rule)).filter((_, i) => i % 5 === 0);
    expect(
      others.filter((rule) => restore(family, fileOf([rule]))),
      'refused by us alone',
    ).toEqual([]);

    const text = fileOf(ours);
    expect(restore(family, text)).toBe(true);
    const tool = family === 4 ? 'iptables-legacy' : 'ip6tables-legacy';
    const ruleset = parsed(family, text);
    const save = (all: string): string[] => all.split('\n').filter((line) => line.startsWith('-A'));
    expect(save(printRules(ruleset))).toEqual(save(ask(`${tool}-save`, '-t', 'mangle')));
    const table = (all: string): string => all.slice(all.indexOf('Chain t '));
    expect(table(listChains(ruleset, 'mangle', {}))).toBe(table(ask(tool, '-t', 'mangle', '-L', '-n')));
    ask(tool, '-t', 'mangle', '-F');
    ask(tool, '-t', 'mangle', '-X');
  });
});
