/** Sets as `ipset save` prints them, and which packets are in them. */
import { describe, expect, it } from 'vitest';
import { NatreplayError } from '../../../src/errors.js';
import type { SetQuestion } from '../../../src/rules/ipset/set.js';
import { IpSets } from '../../../src/rules/ipset/sets.js';
import { SharedState } from '../../../src/rules/state/shared.js';
import { fakeHost, type PacketParts, packet, tcpHeader } from '../packet.js';

const interfaces = ['lo', 'eth0', 'eth1'].map((name, index) => ({ name, index }) as never);
const HOST = fakeHost({ interfaces });

function setsOf(...lines: string[]): IpSets {
  return IpSets.read(`${lines.join('\n')}\n`, new SharedState(HOST));
}

const QUESTION: SetQuestion = {
  dimensions: 6,
  directions: 1,
  returnNomatch: false,
  updateCounters: true,
  updateSubcounters: true,
  packets: undefined,
  bytes: undefined,
};

/** `src,dst` as bits. */
const directions = (text: string): number =>
  text.split(',').reduce((bits, word, k) => bits | (word === 'src' ? 1 << k : 0), 0);

const on = (parts: PacketParts) => ({ ...packet(parts), host: HOST });

describe('which packets are in a set', () => {
  const from = (source: string, destination = '198.51.100.1', l4 = tcpHeader(4000, 80)): PacketParts => ({
    source,
    destination,
    l4,
  });
  const cases: readonly (readonly [create: string, elements: string, of: string, PacketParts, boolean])[] = [
    ['hash:ip', '192.0.2.1', 'src', from('192.0.2.1'), true],
    ['hash:ip', '192.0.2.1', 'dst', from('192.0.2.1'), false],
    ['hash:ip', '192.0.2.0-192.0.2.9', 'src', from('192.0.2.9'), true],
    ['hash:ip', '192.0.2.0/30', 'src', from('192.0.2.4'), false],
    ['hash:ip netmask 24', '192.0.2.77', 'src', from('192.0.2.1'), true],
    ['hash:ip bitmask 255.255.0.255', '192.0.2.77', 'src', from('192.0.9.77'), true],
    ['hash:net', '192.0.2.0/24', 'src', from('192.0.2.255'), true],
    ['hash:net', '192.0.2.0/24', 'src', from('192.0.3.0'), false],
    ['hash:net', '0.0.0.0/0', 'src', from('203.0.113.1'), true],
    ['hash:net', '192.0.0.0/16, 192.0.2.0/24 nomatch', 'src', from('192.0.2.1'), false],
    ['hash:net', '192.0.0.0/16, 192.0.2.0/24 nomatch', 'src', from('192.0.3.1'), true],
    ['hash:net', '192.0.2.1-192.0.2.6', 'src', from('192.0.2.6'), true],
    ['hash:net', '192.0.2.1-192.0.2.6', 'src', from('192.0.2.7'), false],
    ['hash:ip,port', '192.0.2.1,tcp:80', 'src,dst', from('192.0.2.1'), true],
    ['hash:ip,port', '192.0.2.1,80', 'src,src', from('192.0.2.1'), false],
    ['hash:ip,port', '192.0.2.1,udp:80', 'src,dst', from('192.0.2.1'), false],
    ['hash:ip,port', '192.0.2.1,tcp:70-90', 'src,dst', from('192.0.2.1'), true],
    [
      'hash:ip,port',
      '192.0.2.1,icmp:echo-request',
      'src,dst',
      { ...from('192.0.2.1', undefined, [8, 0, 0, 0, 0, 0, 0, 0]), protocol: 1 },
      true,
    ],
    ['hash:ip,port', '192.0.2.1,gre:0', 'src,dst', { ...from('192.0.2.1'), protocol: 47 }, true],
    ['hash:ip,port', '192.0.2.1,tcp:80', 'src,dst', { ...from('192.0.2.1'), fragmentOffset: 8 }, false],
    ['hash:ip,port,ip', '192.0.2.1,tcp:80,198.51.100.1', 'src,dst,dst', from('192.0.2.1'), true],
    ['hash:ip,port,net', '192.0.2.1,tcp:80,198.51.100.0/24', 'src,dst,dst', from('192.0.2.1'), true],
    ['hash:net,port,net', '192.0.2.0/24,tcp:80,198.51.0.0/16', 'src,dst,dst', from('192.0.2.1'), true],
    ['hash:net,net', '192.0.2.0/24,198.51.0.0/16', 'src,dst', from('192.0.2.1'), true],
    ['hash:net,net', '192.0.2.0/24,198.51.0.0/16', 'dst,src', from('192.0.2.1'), false],
    ['hash:ip,mark', '192.0.2.1,0x63', 'src', { ...from('192.0.2.1'), mark: 0x63 }, false],
    ['hash:ip,mark', '192.0.2.1,0x63', 'src,src', { ...from('192.0.2.1'), mark: 0x63 }, true],
    ['hash:net,iface', '192.0.2.0/24,eth1', 'src,src', { ...from('192.0.2.1'), inInterface: 2 }, true],
    ['hash:net,iface', '192.0.2.0/24,eth1', 'src,src', { ...from('192.0.2.1'), inInterface: 1 }, false],
    // The longest network that has any interface decides.
    [
      'hash:net,iface',
      '192.0.2.0/24,eth1, 192.0.0.0/16,eth0',
      'src,src',
      { ...from('192.0.2.1'), inInterface: 1 },
      false,
    ],
    ['hash:net,iface', '192.0.2.0/24,physdev:eth1', 'src,src', { ...from('192.0.2.1'), inInterface: 2 }, false],
    [
      'hash:mac',
      '02:00:00:00:00:07',
      'src',
      { ...from('192.0.2.1'), sourceMac: [2, 0, 0, 0, 0, 7], inInterface: 1 },
      true,
    ],
    ['bitmap:ip range 192.0.2.0/24', '192.0.2.1', 'src', from('192.0.2.1'), true],
    ['bitmap:ip range 192.0.2.0/24', '192.0.2.1', 'src', from('192.0.3.1'), false],
    ['bitmap:port range 0-1023', '80', 'dst', from('192.0.2.1'), true],
    ['bitmap:port range 0-1023', '80', 'src', from('192.0.2.1'), false],
    [
      'bitmap:ip,mac range 192.0.2.0/24',
      '192.0.2.1,02:00:00:00:00:07',
      'src,src',
      {
        ...from('192.0.2.1'),
        sourceMac: [2, 0, 0, 0, 0, 8],
        inInterface: 1,
      },
      false,
    ],
  ];
  it.each(cases)('%s with %s, %s', (create, elements, of, parts, expected) => {
    const adds = elements.split(', ').map((element) => `add s ${element}`);
    const set = setsOf(`create s ${create}`, ...adds).get('s');
    const question = { ...QUESTION, dimensions: of.split(',').length, directions: directions(of) };
    expect(set.test(on(parts), question)).toBe(expected);
  });

  it('a list asks its members in turn', () => {
    const sets = setsOf(
      'create a hash:ip',
      'create b hash:net',
      'create l list:set size 8',
      'add a 192.0.2.1',
      'add b 203.0.113.0/24',
      'add l a',
      'add l b',
    );
    const list = sets.get('l');
    expect(list.test(on({ source: '203.0.113.7' }), QUESTION)).toBe(true);
    expect(list.test(on({ source: '203.0.114.7' }), QUESTION)).toBe(false);
  });

  it('an element is gone when its time is over, in capture time', () => {
    const set = setsOf('create s hash:ip timeout 60', 'add s 192.0.2.1 timeout 2', 'add s 192.0.2.2').get('s');
    const at = (source: string, now: number) => set.test({ ...on({ source }), now }, QUESTION);
    expect(at('192.0.2.1', 2000)).toBe(true);
    expect(at('192.0.2.1', 2004)).toBe(false);
    expect(at('192.0.2.2', 60_000)).toBe(true);
    expect(at('192.0.2.2', 60_004)).toBe(false);
  });

  it('counters count what matches, and can be asked about', () => {
    const set = setsOf('create s hash:ip counters', 'add s 192.0.2.1 packets 3 bytes 180').get('s');
    const more = (value: number) => ({ ...QUESTION, packets: { compare: 'gt', value } as const });
    const one = on({ source: '192.0.2.1', totalLength: 60 });
    expect(set.test(one, more(3))).toBe(true);
    expect(set.test(one, more(5))).toBe(false);
    expect(set.test(one, { ...more(5), updateCounters: false })).toBe(false);
    expect(set.test(one, more(5))).toBe(true);
  });

  it('packets are added and taken out, a full set takes no more', () => {
    const set = setsOf('create s hash:ip maxelem 2 timeout 0').get('s');
    const add = (source: string, timeout = 10, now = 0, exist = false) =>
      set.add({ ...on({ source }), now }, { dimensions: 1, directions: 1, exist, timeout });
    expect([add('192.0.2.1'), add('192.0.2.1'), add('192.0.2.2'), add('192.0.2.3')]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(add('192.0.2.1', 20, 5000, true)).toBe(true);
    expect(set.test({ ...on({ source: '192.0.2.1' }), now: 25_000 }, QUESTION)).toBe(true);
    // 192.0.2.2 has timed out and makes room.
    expect(add('192.0.2.3', 10, 20_000)).toBe(true);
    expect(set.remove({ ...on({ source: '192.0.2.3' }), now: 20_000 }, 1, 1)).toBe(true);
    expect(set.remove({ ...on({ source: '192.0.2.3' }), now: 20_000 }, 1, 1)).toBe(false);
  });

  it('a network that a packet adds is as long as the longest there is', () => {
    const set = setsOf('create s hash:net', 'add s 10.0.0.0/24').get('s');
    set.add(on({ source: '192.0.2.1' }), { dimensions: 1, directions: 1, exist: false, timeout: undefined });
    expect(set.test(on({ source: '192.0.2.200' }), QUESTION)).toBe(true);
  });
});

describe('what is wrong with sets', () => {
  const cases: readonly (readonly [lines: string, code: string, line: number])[] = [
    ['create s hash:ip\nadd s 192.0.2', 'IPSET_BAD_ELEMENT', 2],
    ['create s hash:ip\nadd s 2001:db8::1', 'IPSET_BAD_ELEMENT', 2],
    ['create s hash:ipp', 'IPSET_BAD_ELEMENT', 1],
    ['create s hash:net\nadd s 10.0.0.0/33', 'IPSET_BAD_ELEMENT', 2],
    ['create s hash:ip,port\nadd s 10.0.0.1', 'IPSET_BAD_ELEMENT', 2],
    ['create s hash:ip\nadd s 10.0.0.1,80', 'IPSET_BAD_ELEMENT', 2],
    ['create s hash:ip\nadd t 10.0.0.1', 'IPSET_UNKNOWN_SET', 2],
    ['create s hash:ip\ncreate s hash:ip', 'IPSET_EXISTS', 2],
    ['create s hash:ip maxelem 1\nadd s 10.0.0.1\n\nadd s 10.0.0.2', 'IPSET_FULL', 4],
    ['create s hash:ip\nadd s 10.0.0.0/8', 'IPSET_BAD_ELEMENT', 2],
    ['create s bitmap:port range 1-9\nadd s 10', 'IPSET_BAD_ELEMENT', 2],
    ['create s bitmap:ip', 'IPSET_BAD_ELEMENT', 1],
    ['Name: s\nType: hash:ip', 'IPSET_BAD_LINE', 1],
    ['create s hash:ip\nadd s 10.0.0.1 timeot 3', 'IPSET_BAD_LINE', 2],
    ['create s list:set\nadd s t', 'IPSET_UNKNOWN_SET', 2],
  ];
  it.each(cases)('%j', (text, code, line) => {
    try {
      setsOf(text);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(NatreplayError);
      expect(error).toMatchObject({ code, place: { file: 'ipset', line } });
    }
  });
});
