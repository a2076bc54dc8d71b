import { describe, expect, it, test } from 'vitest';
import { parseAddress } from '../../src/host/address.js';
import type { Family } from '../../src/host/types.js';
import { Tuple } from '../../src/packet/tuple.js';
import { connectionTuple, tupleText } from '../../src/report/tupletext.js';

function tuple(protocol: number, source: string, destination: string, sourcePort = 0, destinationPort = 0): Tuple {
  const made = new Tuple();
  const family: Family = source.includes(':') ? 6 : 4;
  made.family = family;
  made.protocol = protocol;
  made.source.set(parseAddress(source)?.words ?? []);
  made.destination.set(parseAddress(destination)?.words ?? []);
  made.sourcePort = sourcePort;
  made.destinationPort = destinationPort;
  return made;
}

const echo = 8 * 256;

describe('tuples as text', () => {
  test.each([
    [tuple(6, '198.51.100.7', '192.0.2.1', 40000, 8799), 'tcp 198.51.100.7:40000 > 192.0.2.1:8799'],
    [tuple(17, '0.0.0.0', '255.255.255.255', 68, 67), 'udp 0.0.0.0:68 > 255.255.255.255:67'],
    [tuple(6, '2001:db8::1', '2001:db8::2', 40000, 80), 'tcp [2001:db8::1]:40000 > [2001:db8::2]:80'],
    [tuple(132, '10.0.0.1', '10.0.0.2', 1, 2), 'sctp 10.0.0.1:1 > 10.0.0.2:2'],
    [tuple(1, '198.51.100.7', '192.0.2.1', 17, echo), 'icmp 198.51.100.7 > 192.0.2.1 type 8 code 0 id 17'],
    [tuple(1, '198.51.100.7', '192.0.2.1', 0, 3 * 256 + 4), 'icmp 198.51.100.7 > 192.0.2.1 type 3 code 4'],
    [tuple(58, 'fe80::1', 'ff02::1', 9, 128 * 256), 'icmpv6 fe80::1 > ff02::1 type 128 code 0 id 9'],
    [tuple(58, 'fe80::1', 'ff02::1', 0, 135 * 256), 'icmpv6 fe80::1 > ff02::1 type 135 code 0'],
    [tuple(47, '10.0.0.1', '10.0.0.2'), 'gre 10.0.0.1 > 10.0.0.2'],
    [tuple(253, '10.0.0.1', '10.0.0.2'), 'proto 253 10.0.0.1 > 10.0.0.2'],
    [tuple(0, '10.0.0.1', '10.0.0.2'), 'proto 0 10.0.0.1 > 10.0.0.2'],
  ])('%# %s', (made, text) => expect(tupleText(made)).toBe(text));

  it('gives a later fragment no ports', () => {
    expect(tupleText(tuple(17, '10.0.0.1', '10.0.0.2', 5, 6), false)).toBe('udp 10.0.0.1 > 10.0.0.2');
    expect(tupleText(tuple(1, '10.0.0.1', '10.0.0.2', 5, echo), false)).toBe('icmp 10.0.0.1 > 10.0.0.2');
  });

  it('becomes an entry of the connection listing', () => {
    expect(connectionTuple(tuple(6, '10.0.0.1', '10.0.0.2', 5, 6))).toEqual({
      source: '10.0.0.1',
      destination: '10.0.0.2',
      sourcePort: 5,
      destinationPort: 6,
      icmp: undefined,
      greKey: undefined,
    });
    expect(connectionTuple(tuple(1, '10.0.0.1', '10.0.0.2', 17, echo))).toMatchObject({
      sourcePort: undefined,
      icmp: { type: 8, code: 0, id: 17 },
    });
    expect(connectionTuple(tuple(47, '10.0.0.1', '10.0.0.2'))).toMatchObject({ greKey: 0, sourcePort: undefined });
  });
});
