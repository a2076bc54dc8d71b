/** Addresses of a NAT range (KERNEL.md B7): which one, Linux 6.18 was asked. */
import { describe, expect, it } from 'vitest';
import { jhash2 } from '../../../src/netfilter/nat/jhash.js';
import { homeWith, TestGateway } from '../../support/gateway.js';
import { tcp } from '../../support/packets.js';

/** Public address of a new connection, by a fresh host. */
function address(rule: string, src: string, dst: string): string {
  const { text } = new TestGateway(homeWith(rule)).send(
    'lan',
    tcp({ src: `${src}:4000`, dst: `${dst}:80`, flags: 'S' }),
  );
  return text.split(' ')[1]?.split(':')[0] ?? '';
}

const RANGE = 'POSTROUTING -o wan -j SNAT --to-source 203.0.113.10-203.0.113.25';

describe('SNAT to 203.0.113.10-203.0.113.25', () => {
  // Client, then last byte of its address towards 198.51.100.1 and .2, and with --persistent towards either.
  it.each([
    ['192.168.1.10', 21, 22, 24],
    ['192.168.1.11', 21, 17, 25],
    ['192.168.1.12', 14, 21, 12],
    ['192.168.1.13', 24, 12, 10],
    ['192.168.1.14', 10, 13, 12],
    ['192.168.1.15', 25, 16, 13],
  ])('%s', (client, first, second, persistent) => {
    expect(address(RANGE, client, '198.51.100.1')).toBe(`203.0.113.${first}`);
    expect(address(RANGE, client, '198.51.100.2')).toBe(`203.0.113.${second}`);
    for (const server of ['198.51.100.1', '198.51.100.2']) {
      expect(address(`${RANGE} --persistent`, client, server)).toBe(`203.0.113.${persistent}`);
    }
  });

  it('a client that has an address of the range keeps it towards the next server (B3 comes first)', () => {
    const gateway = new TestGateway(homeWith(RANGE));
    const from = (dst: string): string =>
      gateway.send('lan', tcp({ src: '192.168.1.11:4000', dst: `${dst}:80`, flags: 'S' })).text.split(' ')[1] ?? '';
    expect(from('198.51.100.1')).toBe('203.0.113.21:4000');
    expect(from('198.51.100.2')).toBe('203.0.113.21:4000');
  });
});

describe('jhash2', () => {
  it('is an unsigned number, depends on every word and on the initial value, and on no more words than are asked for', () => {
    const words = Uint32Array.of(1, 2, 3, 4, 5, 6, 7);
    const seen = new Set<number>();
    for (let count = 0; count <= 7; count++) for (const initial of [0, 1]) seen.add(jhash2(words, count, initial));
    expect(seen.size).toBe(16);
    for (const hash of seen) expect(hash).toBe(hash >>> 0);
    for (let k = 0; k < 7; k++) {
      const other = words.slice();
      other[k] = 99;
      expect(jhash2(other, 7, 0)).not.toBe(jhash2(words, 7, 0));
      expect(jhash2(other, k, 0)).toBe(jhash2(words, k, 0));
    }
  });
});
