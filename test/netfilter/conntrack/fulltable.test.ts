/** A connection table that is full: who makes room, and who is turned away. */
import { describe, expect, it } from 'vitest';
import { parseRules } from '../../../src/rules/index.js';
import { DOCKER_HOST, DOCKER_RULES } from '../../kernel/hosts.js';
import { ether, udp } from '../../kernel/packets.js';
import { Prediction } from '../../kernel/prediction.js';

const sysctl = (max: number, buckets: number) => ({
  'net.netfilter.nf_conntrack_max': String(max),
  'net.netfilter.nf_conntrack_buckets': String(buckets),
});
const query = (n: number, time = 0) => ({
  iface: 'docker0',
  time,
  frame: ether(udp({ src: `172.17.0.${n}:4000`, dst: '198.51.100.1:53', payload: 'x' })),
});
const answer = (time: number) => ({
  iface: 'eth0',
  time,
  frame: ether(udp({ src: '198.51.100.1:53', dst: '192.0.2.1:4000', payload: 'y' })),
});

describe('a full connection table', () => {
  it('gives up what is not assured in the buckets beside the new tuple', () => {
    const host = new Prediction({ ...DOCKER_HOST, sysctl: sysctl(2, 1) }, DOCKER_RULES);
    for (const n of [2, 3, 4]) expect(host.judge(query(n)).why).toBe('');
    expect([...(host.engine.conntrack?.live(host.engine.now) ?? [])]).toHaveLength(1);
    expect(host.engine.conntrack?.evicted).toBe(2);
  });

  it('keeps what is assured and drops the newcomer', () => {
    const host = new Prediction({ ...DOCKER_HOST, sysctl: sysctl(1, 1) }, DOCKER_RULES);
    host.judge(query(2));
    host.judge(answer(100));
    host.judge(query(2, 3000));
    expect(host.judge(query(3, 3100)).why).toBe('table-full');
  });

  it('drops the newcomer when the buckets beside it are empty', () => {
    const host = new Prediction({ ...DOCKER_HOST, sysctl: sysctl(1, 1 << 30) }, DOCKER_RULES);
    host.judge(query(2));
    expect(host.judge(query(3)).why).toBe('table-full');
  });

  it('is one for both families, which make room for each other', () => {
    const addr = DOCKER_HOST.addr.map((link, k) => ({
      ...link,
      addr_info: [
        ...(link.addr_info ?? []),
        { family: 'inet6', local: `2001:db8:${k}::1`, prefixlen: 64, scope: 'global' },
      ],
    }));
    const route6 = [
      { dst: 'default', gateway: '2001:db8:0::fe', dev: 'eth0' },
      { dst: '2001:db8:1::/64', dev: 'docker0', protocol: 'kernel' },
    ];
    const rules6 = parseRules('*mangle\n-A PREROUTING -m conntrack --ctstate NEW\nCOMMIT\n', {
      file: 'rules.v6',
      family: 6,
      unsupported: 'stop',
    });
    const query6 = (n: number) => ({
      iface: 'docker0',
      time: 0,
      frame: ether(udp({ src: `[2001:db8:1::${n}]:4000`, dst: '[2001:db8:9::1]:53', payload: 'x' })),
    });
    const living = ({ engine }: Prediction): number[] =>
      [engine.conntrack, engine.ipv6?.conntrack].map((one) => [...(one?.live(engine.now) ?? [])].length);

    const making = new Prediction({ ...DOCKER_HOST, addr, route6, sysctl: sysctl(2, 1) }, DOCKER_RULES, { rules6 });
    for (const packet of [query(2), query6(2), query(3)]) expect(making.judge(packet).why).toBe('');
    expect(living(making)).toEqual([1, 0]);

    const full = new Prediction({ ...DOCKER_HOST, addr, route6, sysctl: sysctl(2, 1 << 30) }, DOCKER_RULES, { rules6 });
    expect([query(2), query6(2), query6(3), query(3)].map((packet) => full.judge(packet).why)).toEqual([
      '',
      '',
      'table-full',
      'table-full',
    ]);
    expect(living(full)).toEqual([1, 1]);
  });

  it('has room again when entries have expired', () => {
    const host = new Prediction({ ...DOCKER_HOST, sysctl: sysctl(1, 1 << 30) }, DOCKER_RULES);
    host.judge(query(2));
    expect(host.judge(query(3, 31_000)).why).toBe('');
  });
});
