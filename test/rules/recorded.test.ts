import { describe, expect, it } from 'vitest';
import { NatreplayError } from '../../src/errors.js';
import { listChains, parseRules, printRules, type Ruleset } from '../../src/rules/index.js';
import { fileAround, type Recorded, recordedRules } from './recorded.js';

function parse(recorded: Recorded): Ruleset {
  return parseRules(fileAround(recorded), { file: 'rules.v4', family: recorded.family, unsupported: 'keep' });
}

function chainOf(rule: string): string {
  return rule.split(/\s+/)[rule.startsWith('[') ? 2 : 1] ?? '';
}

const cases = recordedRules();
const accepted = cases.filter((recorded) => recorded.refused === undefined);
const refused = cases.filter((recorded) => recorded.refused !== undefined);

describe('rules as iptables 1.8.9 saves and lists them', () => {
  it.each(accepted.map((recorded) => [`${recorded.family} ${recorded.table}`, recorded.rule, recorded] as const))(
    '%s: %s',
    (_, __, recorded) => {
      const ruleset = parse(recorded);
      const saved = printRules(ruleset)
        .split('\n')
        .filter((line) => line.startsWith('-A'));
      expect(saved).toEqual(recorded.saved);
      const listed = listChains(ruleset, recorded.table, { chain: chainOf(recorded.rule) })
        .split('\n')
        .slice(2, -1);
      expect(listed).toEqual(recorded.listed);
    },
  );
});

describe('rules that iptables 1.8.9 refuses', () => {
  it.each(refused.map((recorded) => [`${recorded.family} ${recorded.table}`, recorded.rule, recorded] as const))(
    '%s: %s',
    (_, __, recorded) => {
      let error: unknown;
      try {
        parse(recorded);
      } catch (caught) {
        error = caught;
      }
      expect(error).toBeInstanceOf(NatreplayError);
      if (!(error instanceof NatreplayError)) return;
      expect(error.code).toBe(recorded.refused);
      expect(error.place.line).toBe(4);
      expect(error.place.column).toBeGreaterThan(0);
    },
  );
});
