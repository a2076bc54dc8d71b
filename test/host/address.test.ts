import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  formatAddress,
  formatIpv4,
  maskLength,
  parseAddress,
  parseIpv4,
  parsePrefix,
  prefixContains,
  prefixMask,
} from '../../src/host/address.js';

const words4 = fc.nat(0xffffffff).map((word) => Uint32Array.of(word, 0, 0, 0));
/** Mostly zero groups, so that `::` is met in every place. */
const words6 = fc
  .array(fc.oneof(fc.constant(0), fc.constant(0xffff), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
  .map((g) => Uint32Array.from([0, 2, 4, 6], (i) => (g[i] ?? 0) * 65536 + (g[i + 1] ?? 0)));

describe('addresses as text', () => {
  test.each([
    ['0.0.0.0', 0],
    ['192.0.2.1', 0xc0000201],
    ['255.255.255.255', 0xffffffff],
  ])('%s is one word', (text, word) => {
    expect(parseIpv4(text)).toBe(word);
    expect(formatIpv4(word)).toBe(text);
  });

  test.each([
    '10.1',
    '010.0.0.1',
    '1.2.3.4.5',
    '1.2.3.256',
    '1.2.3.',
    ' 1.2.3.4',
    '0x7f.0.0.1',
    '',
    '1.2.3.4/8',
    '-1.2.3.4',
  ])('%j is no IPv4 address', (text) => expect(parseAddress(text)).toBeUndefined());

  test.each([
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['fe80::', 'fe80::'],
    ['::ffff:c000:201', '::ffff:192.0.2.1'],
    ['::c000:201', '::192.0.2.1'],
    ['::192.0.2.1', '::192.0.2.1'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['::0.1.255.255', '::0.1.255.255'],
    ['::ffff:0.1.255.255', '::ffff:0.1.255.255'],
    ['1::0.0.0.0', '1::'],
    ['::1:0:0', '::1:0:0'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ])('%s is written %s', (text, canonical) => {
    const address = parseAddress(text, 6);
    expect(address && formatAddress(6, address.words)).toBe(canonical);
  });

  test.each(['1::2::3', '12345::', 'fe80::1%eth0', ':::', '1:2:3:4:5:6:7', '::1.2.3'])(
    '%j is no IPv6 address',
    (text) => expect(parseAddress(text)).toBeUndefined(),
  );

  it('reads back what it writes, and writes what inet_pton takes', () => {
    fc.assert(
      fc.property(words4, words6, (four, six) => {
        expect(parseAddress(formatAddress(4, four))).toEqual({ family: 4, words: four });
        expect(parseAddress(formatAddress(6, six))).toEqual({ family: 6, words: six });
        expect(isIPv4(formatAddress(4, four)) && isIPv6(formatAddress(6, six))).toBe(true);
      }),
    );
  });

  it('takes no address of the other family', () => {
    expect(parseAddress('192.0.2.1', 6)).toBeUndefined();
    expect(parseAddress('2001:db8::1', 4)).toBeUndefined();
  });
});

describe('prefixes', () => {
  test.each([
    ['192.0.2.1/24', 24],
    ['192.0.2.1/255.255.255.0', 24],
    ['192.0.2.1/0.0.0.0', 0],
    ['192.0.2.1', 32],
    ['2001:db8::1/64', 64],
    ['2001:db8::1/ffff:ffff::', 32],
    ['2001:db8::1', 128],
  ])('%s has a prefix of %d bits', (text, length) => expect(parsePrefix(text)?.prefixLength).toBe(length));

  test.each([
    '192.0.2.1/33',
    '192.0.2.1/',
    '192.0.2.1/255.0.255.0',
    '2001:db8::/129',
    '192.0.2.1/-1',
    '/24',
    '10.0.0.0/8/8',
  ])('%j is no prefix', (text) => expect(parsePrefix(text)).toBeUndefined());

  it('gives the mask of a length and the length of a mask', () => {
    for (let length = 0; length <= 32; length++) expect(maskLength(4, prefixMask(4, length))).toBe(length);
    for (let length = 0; length <= 128; length++) expect(maskLength(6, prefixMask(6, length))).toBe(length);
    expect(prefixMask(4, 20)).toEqual(Uint32Array.of(0xfffff000, 0, 0, 0));
    expect(prefixMask(6, 80)).toEqual(Uint32Array.of(0xffffffff, 0xffffffff, 0xffff0000, 0));
  });

  it('contains the addresses of its subnet only', () => {
    const net = parsePrefix('192.0.2.129/25');
    const inside = (text: string): boolean =>
      !!net && prefixContains(net, parseAddress(text)?.words ?? new Uint32Array(4));
    expect(['192.0.2.128', '192.0.2.255', '192.0.2.127', '192.0.3.128'].map(inside)).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});
