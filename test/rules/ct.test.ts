/** `-j CT` and `-j NOTRACK` as iptables 1.8.9 takes, saves and lists them. */
import { describe, expect, it } from 'vitest';
import { parseRules } from '../../src/rules/index.js';
import { printRules } from '../../src/rules/print.js';

const load = (rule: string, unsupported: 'stop' | 'skip' = 'stop') =>
  parseRules(`*raw\n-A PREROUTING ${rule}\nCOMMIT\n`, { file: 'rules', family: 4, unsupported });
const saved = (rule: string): string =>
  printRules(load(rule), { counters: false })
    .split('\n')
    .find((line) => line.startsWith('-A'))
    ?.replace('-A PREROUTING ', '') ?? '';

describe('target CT', () => {
  it.each([
    ['-j CT', '-j CT'],
    ['-j CT --zone 5', '-j CT --zone 5'],
    ['-j CT --zone 0', '-j CT'],
    ['-j CT --zone 65535', '-j CT --zone 65535'],
    ['-j CT --zone-orig 5', '-j CT --zone-orig 5'],
    ['-j CT --zone-reply 0x7', '-j CT --zone-reply 7'],
    ['-j CT --zone mark', '-j CT --zone mark'],
    ['-j CT --zone-orig mark', '-j CT --zone-orig mark'],
    ['-j CT --zone-orig 1 --zone-reply 2', '-j CT --zone 2'],
    ['-j CT --zone 1 --zone-orig 2', '-j CT --zone-orig 2'],
    ['-j CT --zone 5 --notrack', '-j CT --notrack --zone 5'],
    ['-j CT --ctevents new,destroy --zone 4', '-j CT --ctevents new,destroy --zone 4'],
    ['-j NOTRACK', '-j NOTRACK'],
  ])('%s is saved as %s', (written, expected) => {
    expect(saved(written)).toBe(expected);
  });

  it.each(['70000', 'foo', '-1'])('has no zone %s', (zone) => {
    expect(() => load(`-j CT --zone ${zone}`)).toThrow(/is not a zone|--zone/);
  });

  it.each(['-p tcp -j CT --helper ftp', '-j CT --timeout mine'])('%s is not supported, and says so', (rule) => {
    expect(() => load(rule)).toThrow(/target CT --(helper|timeout)/);
    expect(load(rule, 'skip').skipped[0]?.missing).toMatch(/^target CT --(helper|timeout)$/);
  });
});
