import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NatreplayError } from '../../src/errors.js';
import { listChains, parseRules, printRules, type Ruleset } from '../../src/rules/index.js';
import { fileAround, recordedRules } from './recorded.js';

function tryParse(text: string, unsupported: 'stop' | 'skip'): Ruleset | undefined {
  try {
    return parseRules(text, { file: 'rules', family: 4, unsupported });
  } catch (error) {
    // Anything else is a bug.
    if (error instanceof NatreplayError) return undefined;
    throw error;
  }
}

const recorded = recordedRules().filter(({ family }) => family === 4);
const accepted = recorded.filter(({ refused }) => refused === undefined);

const octet = fc.integer({ min: 0, max: 255 });
const address = fc.tuple(octet, octet, octet, octet).map((octets) => octets.join('.'));
const network = fc.oneof(
  address,
  fc.tuple(address, fc.integer({ min: 0, max: 32 })).map(([base, length]) => `${base}/${length}`),
  fc.tuple(address, address).map(([base, mask]) => `${base}/${mask}`),
);
const bang = fc.constantFrom('', '! ');
const port = fc.integer({ min: 0, max: 65535 });
const comment = fc
  .string({ unit: 'grapheme-ascii', maxLength: 40 })
  .map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`);
const mark = fc.nat(0xffffffff).map((value) => `0x${value.toString(16)}`);

/** Pieces that may stand together in any order. */
const pieces: fc.Arbitrary<string>[] = [
  fc.tuple(bang, network).map(([not, value]) => `${not}-s ${value}`),
  fc.tuple(bang, network).map(([not, value]) => `${not}-d ${value}`),
  fc.tuple(bang, fc.constantFrom('eth0', 'br-+', 'docker0')).map(([not, value]) => `${not}-i ${value}`),
  comment.map((text) => `-m comment --comment ${text}`),
  fc.tuple(bang, mark, mark).map(([not, value, mask]) => `-m mark ${not}--mark ${value}/${mask}`),
  fc.tuple(bang, address, address).map(([not, from, to]) => `-m iprange ${not}--src-range ${from}-${to}`),
  fc.tuple(bang, port, port).map(([not, a, b]) => `-p tcp -m tcp ${not}--dport ${Math.min(a, b)}:${Math.max(a, b)}`),
  fc
    .tuple(fc.integer({ min: 1, max: 3000 }), fc.constantFrom('sec', 'min', 'hour', 'day'))
    .map(([count, unit]) => `-m limit --limit ${count}/${unit}`),
  fc
    .double({ min: 0, max: 1, noNaN: true })
    .map((value) => `-m statistic --mode random --probability ${value.toFixed(9)}`),
];
const target = fc.oneof(
  fc.constantFrom('', '-j ACCEPT', '-j t', '-g t', '-j LOG --log-prefix "a b"'),
  fc.tuple(mark, mark).map(([value, mask]) => `-j MARK --set-xmark ${value}/${mask}`),
);
const rule = fc
  .tuple(fc.subarray(pieces.map((_, i) => i)), fc.tuple(...pieces), target)
  .map(([chosen, texts, end]) => `-A FORWARD ${chosen.map((i) => texts[i]).join(' ')} ${end}`);

describe('printing', () => {
  it('is a fixed point: what is printed reads back as what is printed', () => {
    fc.assert(
      fc.property(fc.array(rule, { minLength: 1, maxLength: 5 }), (rules) => {
        const ruleset = parseRules(`*filter\n:t - [0:0]\n${rules.join('\n')}\nCOMMIT\n`, {
          file: 'rules',
          family: 4,
          unsupported: 'stop',
        });
        const once = printRules(ruleset, { counters: true });
        const again = parseRules(once, { file: 'rules', family: 4, unsupported: 'stop' });
        expect(printRules(again, { counters: true })).toBe(once);
        expect(listChains(again, 'filter', { verbose: true })).toBe(listChains(ruleset, 'filter', { verbose: true }));
      }),
      { numRuns: 300 },
    );
  });

  it('is one for everything iptables takes', () => {
    // What iptables itself prints so that it reads back as something else, or not at all.
    const lossy = /-m ipcomp(?! --ipcompspi)|--(?:month|week)days {2}| (?:a b|--genre)$|-m time$|SNPT --dst/m;
    for (const one of accepted) {
      const ruleset = tryParse(fileAround(one), 'stop');
      // Only parsed.
      if (ruleset === undefined) continue;
      const once = printRules(ruleset);
      if (lossy.test(once)) continue;
      const again = tryParse(once, 'stop');
      expect(again === undefined ? undefined : printRules(again)).toBe(once);
    }
  });
});

describe('damaged text', () => {
  const whole = recorded.map((one) => fileAround(one));
  const damage = fc.tuple(fc.nat(1e6), fc.nat(200), fc.string({ maxLength: 8 }), fc.nat(12));

  it('never throws anything but an error for the reader', () => {
    fc.assert(
      fc.property(fc.constantFrom(...whole), fc.array(damage, { minLength: 1, maxLength: 3 }), (text, damages) => {
        let damaged = text;
        for (const [seed, at, insert, remove] of damages) {
          const place = (at + seed) % (damaged.length + 1);
          damaged = damaged.slice(0, place) + insert + damaged.slice(place + remove);
        }
        for (const unsupported of ['stop', 'skip'] as const) {
          const ruleset = tryParse(damaged, unsupported);
          if (ruleset === undefined) continue;
          const printed = printRules(ruleset, { counters: true });
          const again = tryParse(printed, unsupported);
          expect(again === undefined ? undefined : printRules(again, { counters: true })).toBe(printed);
        }
      }),
      { numRuns: 1500 },
    );
  });
});
