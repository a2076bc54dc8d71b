/** Walking chains: jump, goto, RETURN, policies, counters, and the fixed part of rules. */
import { describe, expect, it } from 'vitest';
import { HOME, TestGateway, table } from '../support/gateway.js';
import { tcp, udp } from '../support/packets.js';

const query = udp({ src: '192.168.1.10:5000', dst: '198.51.100.1:53' });

/** Rules of filter FORWARD and further chains; gives the verdict, or the rule that dropped, and who counted. */
function walk(lines: readonly string[], packet = query, from = 'lan'): { fate: string; counted: string } {
  const gateway = new TestGateway({ ...HOME, rules: table('filter', ...lines) });
  const { verdict, why } = gateway.send(from, packet);
  const counted = Object.entries(gateway.counters())
    .filter(([, counts]) => counts !== '0:0')
    .map(
      ([name, counts]) => `${name.replace('filter:', '')}${counts.startsWith('1:') ? '' : ` x${counts.split(':')[0]}`}`,
    );
  return { fate: verdict === 'drop' ? why : verdict, counted: counted.join(' ') };
}

describe('ways through chains', () => {
  it.each<[string, readonly string[], string, string]>([
    ['no rule: the policy', [], 'forward', 'FORWARD:policy'],
    ['policy DROP', [':FORWARD DROP'], 'filter:FORWARD:policy', 'FORWARD:policy'],
    ['the first verdict counts', ['FORWARD -j ACCEPT', 'FORWARD -j DROP'], 'forward', 'FORWARD:1'],
    ['a rule without target only counts', ['FORWARD', 'FORWARD -j DROP'], 'filter:FORWARD:2', 'FORWARD:1 FORWARD:2'],
    [
      'jump, and back at the end',
      [':A -', 'FORWARD -j A', 'FORWARD -j DROP', 'A -p tcp -j ACCEPT'],
      'filter:FORWARD:2',
      'FORWARD:1 FORWARD:2',
    ],
    [
      'jump, and back by RETURN',
      [':A -', 'FORWARD -j A', 'FORWARD -j DROP', 'A -j RETURN', 'A -j ACCEPT'],
      'filter:FORWARD:2',
      'FORWARD:1 FORWARD:2 A:1',
    ],
    ['jump to an empty chain', [':A -', 'FORWARD -j A'], 'forward', 'FORWARD:policy FORWARD:1'],
    [
      'a verdict in a user chain is the verdict',
      [':A -', ':B -', 'FORWARD -j A', 'A -j B', 'B -j DROP'],
      'filter:B:1',
      'FORWARD:1 A:1 B:1',
    ],
    [
      'goto from a built-in chain ends in its policy',
      [':FORWARD DROP', ':A -', 'FORWARD -g A', 'FORWARD -j ACCEPT', 'A'],
      'filter:FORWARD:policy',
      'FORWARD:policy FORWARD:1 A:1',
    ],
    [
      'goto from a user chain returns to who jumped',
      [':A -', ':B -', 'FORWARD -j A', 'FORWARD -j DROP', 'A -g B', 'A -j ACCEPT', 'B'],
      'filter:FORWARD:2',
      'FORWARD:1 FORWARD:2 A:1 B:1',
    ],
    [
      'RETURN in a built-in chain is its policy',
      [':FORWARD DROP', 'FORWARD -j RETURN', 'FORWARD -j ACCEPT'],
      'filter:FORWARD:policy',
      'FORWARD:policy FORWARD:1',
    ],
    [
      'a chain used twice counts twice',
      [':A -', 'FORWARD -j A', 'FORWARD -j A', 'A'],
      'forward',
      'FORWARD:policy FORWARD:1 FORWARD:2 A:1 x2',
    ],
  ])('%s', (_, lines, fate, counted) => {
    const got = walk(lines);
    expect(got.fate).toBe(fate);
    expect(got.counted.split(' ').sort()).toEqual(counted.split(' ').sort());
  });
});

describe('the fixed part of a rule', () => {
  it.each<[string, string, boolean]>([
    ['a source address', '-s 192.168.1.10/32', true],
    ['a source network', '-s 192.168.0.0/16', true],
    ['another source', '-s 192.168.2.0/24', false],
    ['! the source', '! -s 192.168.1.0/24', false],
    ['! another source', '! -s 10.0.0.0/8', true],
    ['everything', '-s 0.0.0.0/0', true],
    ['a destination', '-d 198.51.100.0/24', true],
    ['! the destination', '! -d 198.51.100.1/32', false],
    ['the ingress', '-i lan', true],
    ['another ingress', '-i wan', false],
    ['! another ingress', '! -i wan', true],
    ['a wildcard', '-i la+', true],
    ['a wildcard that is longer', '-i lan0+', false],
    ['every interface', '-i +', true],
    ['a name is no prefix without +', '-i la', false],
    ['the egress', '-o wan', true],
    ['! the egress', '! -o wan', false],
    ['the protocol', '-p udp', true],
    ['another protocol', '-p tcp', false],
    ['! another protocol', '! -p tcp', true],
    ['any protocol', '-p all', true],
    ['a fragment', '-f', false],
    ['no fragment', '! -f', true],
    ['all at once', '-s 192.168.1.0/24 -d 198.51.100.1/32 -i lan -o wan -p udp', true],
  ])('%s: %s', (_, fixed, matches) => {
    expect(walk([`FORWARD ${fixed} -j DROP`]).fate).toBe(matches ? 'filter:FORWARD:1' : 'forward');
  });

  it('in INPUT there is no egress, in OUTPUT no ingress', () => {
    const gateway = new TestGateway({
      ...HOME,
      rules: table('filter', ':A -', 'INPUT -j A', 'OUTPUT -j A', 'A -o +', 'A ! -i lan'),
    });
    gateway.send('lan', udp({ src: '192.168.1.10:5000', dst: '192.168.1.1:53' }));
    expect([gateway.counter('filter:A:1'), gateway.counter('filter:A:2')]).toEqual(['1:28', '0:0']);
    gateway.send('@local', udp({ src: '192.168.1.1:53', dst: '192.168.1.10:5000' }));
    expect([gateway.counter('filter:A:1'), gateway.counter('filter:A:2')]).toEqual(['2:56', '1:28']);
  });
});

describe('marks', () => {
  it('set in mangle are seen in filter of the same packet, and forgotten with it', () => {
    const rules =
      table('mangle', 'PREROUTING -p tcp -j MARK --set-xmark 0x1/0xffffffff') +
      table('filter', 'FORWARD -m mark --mark 0x1 -j DROP');
    const gateway = new TestGateway({ ...HOME, rules });
    expect(gateway.send('lan', tcp({ src: '192.168.1.10:1', dst: '198.51.100.1:2', flags: 'S' })).why).toBe(
      'filter:FORWARD:1',
    );
    expect(gateway.send('lan', query).verdict).toBe('forward');
  });
});

/** Tracking is on when a rule needs it, even one that never matches. */
const NAT_TABLE = table('nat', 'POSTROUTING -o nowhere -j MASQUERADE');

describe('hooks', () => {
  it('are passed in the order of the kernel: each table once, on the way through, in and out', () => {
    const rules = (['raw', 'mangle', 'filter'] as const).map((name) => table(name)).join('') + NAT_TABLE;
    const passed = (from: string, packet: Uint8Array): string[] => {
      const gateway = new TestGateway({ ...HOME, rules });
      gateway.send(from, packet);
      return Object.entries(gateway.counters())
        .filter(([, counts]) => counts === '1:28')
        .map(([name]) => name.replace(':policy', ''))
        .sort();
    };
    expect(passed('lan', query)).toEqual(
      [
        'filter:FORWARD',
        'mangle:FORWARD',
        'mangle:POSTROUTING',
        'mangle:PREROUTING',
        'raw:PREROUTING',
        'nat:POSTROUTING',
        'nat:PREROUTING',
      ].sort(),
    );
    expect(passed('lan', udp({ src: '192.168.1.10:1', dst: '192.168.1.1:2' }))).toEqual(
      ['filter:INPUT', 'mangle:INPUT', 'mangle:PREROUTING', 'raw:PREROUTING', 'nat:INPUT', 'nat:PREROUTING'].sort(),
    );
    expect(passed('@local', udp({ src: '203.0.113.5:1', dst: '198.51.100.1:2' }))).toEqual(
      ['filter:OUTPUT', 'mangle:OUTPUT', 'mangle:POSTROUTING', 'raw:OUTPUT', 'nat:OUTPUT', 'nat:POSTROUTING'].sort(),
    );
  });
});
