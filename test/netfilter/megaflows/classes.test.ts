import { describe, expect, it } from 'vitest';
import { hostFromOptions } from '../../../src/host/hostoptions.js';
import { packetClasses } from '../../../src/netfilter/megaflows/classes.js';
import { type Intervals, scaled } from '../../../src/netfilter/megaflows/intervals.js';
import { parseRules } from '../../../src/rules/parse.js';
import { DOCKER, table } from '../../support/gateway.js';

const host = hostFromOptions({ iface: DOCKER.iface, route: DOCKER.route });
const classesOf = (...rules: string[]): ReturnType<typeof packetClasses> =>
  packetClasses(parseRules(table('nat', ...rules), { file: 'rules', family: 4, unsupported: 'stop' }), host);

const address = (text: string): number => text.split('.').reduce((word, byte) => word * 256 + Number(byte), 0);

/** Which neighbours in a list fall into one class. */
const joined = (intervals: Intervals | undefined, values: readonly number[]): boolean[] =>
  values.slice(1).map((value, k) => intervals?.classOf(value) === intervals?.classOf(values[k] ?? 0));

describe('packetClasses', () => {
  it.each([
    [
      'a source',
      'POSTROUTING -s 10.8.0.0/16 -j ACCEPT',
      'sources',
      ['10.7.255.255', '10.8.0.0', '10.8.255.255', '10.9.0.0'],
    ],
    [
      'a negated source',
      'POSTROUTING ! -s 10.8.0.0/16 -j ACCEPT',
      'sources',
      ['10.7.255.255', '10.8.0.0', '10.8.255.255', '10.9.0.0'],
    ],
    [
      'a destination',
      'PREROUTING -d 10.8.0.0/16 -j ACCEPT',
      'destinations',
      ['10.7.255.255', '10.8.0.0', '10.8.255.255', '10.9.0.0'],
    ],
    [
      'iprange',
      'PREROUTING -m iprange --dst-range 10.8.0.0-10.8.255.255 -j ACCEPT',
      'destinations',
      ['10.7.255.255', '10.8.0.0', '10.8.255.255', '10.9.0.0'],
    ],
  ] as const)('%s of a rule splits the addresses at its ends', (_, rule, field, addresses) => {
    expect(joined(classesOf(rule)?.[field], addresses.map(address))).toEqual([false, true, false]);
  });

  it.each([
    ['--dport', 'PREROUTING -p tcp --dport 80:90 -j ACCEPT', 'destinationPorts'],
    ['--sport', 'PREROUTING -p udp --sport 80:90 -j ACCEPT', 'sourcePorts'],
    ['multiport', 'PREROUTING -p tcp -m multiport --dports 80:90 -j ACCEPT', 'destinationPorts'],
    ['multiport of either end', 'PREROUTING -p tcp -m multiport --ports 80:90 -j ACCEPT', 'sourcePorts'],
  ] as const)('%s splits the ports at its ends', (_, rule, field) => {
    expect(joined(classesOf(rule)?.[field], [79, 80, 90, 91].map(scaled))).toEqual([false, true, false]);
  });

  it("keeps apart what the host's own addresses and routes tell apart, and nothing more", () => {
    const { sources } = classesOf() ?? {};
    const addresses = [
      '172.16.255.255',
      '172.17.0.0',
      '172.17.0.1',
      '172.17.0.2',
      '172.17.255.254',
      '172.17.255.255',
      '172.18.0.0',
    ];
    expect(joined(sources, addresses.map(address))).toEqual([false, false, false, true, false, false]);
    expect(joined(sources, ['198.51.100.1', '198.51.101.9', '203.0.113.4'].map(address))).toEqual([true, true]);
  });

  it('says whether TCP flags are looked at', () => {
    expect(classesOf('PREROUTING -p tcp --syn -j ACCEPT')?.tcpFlags).toBe(true);
    expect(classesOf('PREROUTING -p tcp --dport 1 -j ACCEPT')?.tcpFlags).toBe(false);
  });

  it('has none where a mask is no prefix', () => {
    expect(classesOf('PREROUTING -s 10.0.0.1/255.0.0.255 -j ACCEPT')).toBeUndefined();
  });

  it('has none where connections may be in zones', () => {
    const rules = parseRules(table('raw', 'PREROUTING -j CT --zone 3'), {
      file: 'rules',
      family: 4,
      unsupported: 'stop',
    });
    expect(packetClasses(rules, host)).toBeUndefined();
  });
});
