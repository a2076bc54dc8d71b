/** Rules -> a listing of them -> rules: the same, or told why not. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NatreplayError } from '../../../src/errors.js';
import {
  listChains,
  parseRules,
  printCommands,
  printRules,
  type Ruleset,
  readRules,
} from '../../../src/rules/index.js';
import { fileAround, recordedRules } from '../recorded.js';
import { fileOf, type GeneratedTable, generatedRule } from './generated.js';

const TABLES: readonly GeneratedTable[] = ['filter', 'nat', 'mangle'];
const parse = (text: string, family: 4 | 6 = 4): Ruleset =>
  parseRules(text, { file: 'rules', family, unsupported: 'stop' });

describe('generated rules', () => {
  it.each(TABLES)('of table %s come back from a listing with everything', (table) => {
    const anything = fc.record({ numeric: fc.boolean(), lineNumbers: fc.boolean() });
    fc.assert(
      fc.property(fc.array(generatedRule(table), { minLength: 1, maxLength: 5 }), anything, (rules, how) => {
        const ruleset = parse(fileOf(table, rules));
        const text = listChains(ruleset, table, { ...how, verbose: true, exact: true });
        const read = readRules(text, { file: 'listing', family: 4, unsupported: 'stop', table });
        expect(printRules(read.ruleset, { counters: true })).toBe(printRules(ruleset, { counters: true }));
      }),
      { numRuns: 80 },
    );
  });

  it('of which counters are rounded list the same again', () => {
    fc.assert(
      fc.property(fc.array(generatedRule('filter'), { minLength: 1, maxLength: 5 }), (rules) => {
        const text = listChains(parse(fileOf('filter', rules)), 'filter', { verbose: true });
        const read = readRules(text, { file: 'listing', family: 4, unsupported: 'stop', table: 'filter' });
        expect(listChains(read.ruleset, 'filter', { verbose: true })).toBe(text);
      }),
      { numRuns: 50 },
    );
  });

  it.each(TABLES)('of table %s come back from iptables -S -v', (table) => {
    fc.assert(
      fc.property(fc.array(generatedRule(table), { minLength: 1, maxLength: 5 }), (rules) => {
        const ruleset = parse(fileOf(table, rules));
        const found = ruleset.tables.get(table);
        const text = found === undefined ? '' : printCommands(found, 4, { counters: true });
        const read = readRules(text, { file: '-S', family: 4, unsupported: 'stop', table });
        expect(printRules(read.ruleset, { counters: true })).toBe(printRules(ruleset, { counters: true }));
      }),
      { numRuns: 50 },
    );
  });
});

/** Matches and targets of which the listing need not be read back, or does not hold what it takes. */
const MAY_BE_REFUSED = /RULES_(LISTING|BAD|MISSING|UNKNOWN|UNSUPPORTED)/;

describe('every recorded rule', () => {
  const recorded = recordedRules().filter(({ refused }) => refused === undefined);
  /** Matches of which the listing holds everything. */
  const whole = new Set(
    'tcp udp icmp icmp6 multiport state conntrack addrtype mark connmark limit length ttl hl mac pkttype physdev owner iprange statistic comment'.split(
      ' ',
    ),
  );

  it.each([true, false])('is the same behind a listing, or refused (names as numbers: %s)', (numeric) => {
    let same = 0;
    for (const one of recorded) {
      const ruleset = parseRules(fileAround(one), { file: 'rules', family: one.family, unsupported: 'skip' });
      if (ruleset.skipped.length > 0) continue;
      const how = { numeric, verbose: true, exact: true };
      const text = listChains(ruleset, one.table, how);
      const read = readBack(text, one.family, one.table);
      const matches = [...ruleset.tables.values()].flatMap(({ chains }) =>
        [...chains.values()].flatMap(({ rules }) => rules.flatMap((rule) => rule.matches)),
      );
      const known = matches.length > 0 && matches.every(({ extension }) => whole.has(extension.name));
      if (typeof read === 'string') {
        expect(read).toMatch(MAY_BE_REFUSED);
        expect({ rule: one.rule, known }).toEqual({ rule: one.rule, known: false });
        continue;
      }
      if (known) expect(printRules(read)).toBe(printRules(ruleset));
      else expect(listChains(read, one.table, how)).toBe(text);
      same++;
    }
    expect(same).toBeGreaterThan(200);
  });
});

/** The rules, or the code of the error. */
function readBack(text: string, family: 4 | 6, table: Parameters<typeof listChains>[1]): Ruleset | string {
  try {
    return readRules(text, { file: 'listing', family, unsupported: 'stop', table }).ruleset;
  } catch (error) {
    if (error instanceof NatreplayError) return error.code;
    throw error;
  }
}

describe('damaged listings', () => {
  const whole = recordedRules()
    .filter(({ refused }) => refused === undefined)
    .flatMap((one) => {
      const ruleset = parseRules(fileAround(one), { file: 'rules', family: one.family, unsupported: 'skip' });
      return [listChains(ruleset, one.table, { verbose: true }), listChains(ruleset, one.table, { numeric: false })];
    });

  it('never throw anything but an error for the reader', () => {
    const damage = fc.tuple(fc.nat(2000), fc.string({ maxLength: 8 }), fc.nat(20));
    fc.assert(
      fc.property(fc.constantFrom(...whole), fc.array(damage, { minLength: 1, maxLength: 4 }), (text, damages) => {
        let damaged = text;
        for (const [at, insert, remove] of damages) {
          const place = at % (damaged.length + 1);
          damaged = damaged.slice(0, place) + insert + damaged.slice(place + remove);
        }
        expect(typeof readBack(damaged, 4, 'filter')).toMatch(/string|object/);
      }),
      { numRuns: 500 },
    );
  });
});
