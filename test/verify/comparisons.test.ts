/** What verify compares beside packets: counters by position, connections but for those that are ending. */
import { describe, expect, it } from 'vitest';
import type { ConnectionEntry } from '../../src/report/types.js';
import { decideInTurn } from '../../src/verify/chance.js';
import { compareConnections } from '../../src/verify/connections.js';
import { compareRuleCounters } from '../../src/verify/counters.js';

describe('rule counters', () => {
  const rules = (first: string, second: string, policy = '[3:300]'): string =>
    `# comment\n*nat\n:PREROUTING ACCEPT ${policy}\n:DOCKER - [0:0]\n${first} -A DOCKER -i docker0 -j RETURN\n${second} -A DOCKER -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.4:80\nCOMMIT\n`;

  it('are compared by place, whatever the rule looks like', () => {
    const kernel = rules('[1:60]', '[2:120]').replace('-p tcp -m tcp', '-p 6 -m tcp');
    expect(compareRuleCounters(kernel, rules('[1:60]', '[2:120]'))).toEqual({ compared: 3, differences: [] });
  });

  it('say which rule differs, policies too', () => {
    const { differences } = compareRuleCounters(rules('[1:60]', '[2:120]'), rules('[1:60]', '[1:60]', '[4:400]'));
    expect(differences).toEqual([
      { rule: 'nat:PREROUTING:policy', text: 'policy ACCEPT', kernel: '3:300', predicted: '4:400' },
      expect.objectContaining({ rule: 'nat:DOCKER:2', kernel: '2:120', predicted: '1:60' }),
    ]);
  });

  it('of tables that only the kernel has do not matter', () => {
    const kernel = `${rules('[0:0]', '[0:0]')}*filter\n:INPUT ACCEPT [9:900]\nCOMMIT\n`;
    expect(compareRuleCounters(kernel, rules('[0:0]', '[0:0]')).differences).toEqual([]);
  });
});

describe('connections', () => {
  const entry = (timeout: number): ConnectionEntry => ({
    family: 4,
    protocol: 17,
    timeout,
    tcpState: undefined,
    original: {
      source: '192.0.2.7',
      destination: '198.51.100.1',
      sourcePort: 4000,
      destinationPort: 53,
      icmp: undefined,
      greKey: undefined,
    },
    reply: {
      source: '198.51.100.1',
      destination: '203.0.113.5',
      sourcePort: 53,
      destinationPort: 4000,
      icmp: undefined,
      greKey: undefined,
    },
    seenReply: false,
    assured: false,
    mark: 0,
    zone: 0,
  });
  const line = (seconds: number): string =>
    `udp      17 ${seconds} src=192.0.2.7 dst=198.51.100.1 sport=4000 dport=53 [UNREPLIED] src=198.51.100.1 dst=203.0.113.5 sport=53 dport=4000 mark=0 use=1\n`;

  it('are the same when only the seconds left differ', () => {
    expect(compareConnections(line(28), [entry(30)], 2)).toEqual({ compared: 1, differences: [] });
  });

  it('that only one side has are a difference', () => {
    expect(compareConnections('', [entry(30)], 0).differences).toHaveLength(1);
    expect(compareConnections(line(30), [], 0).differences).toHaveLength(1);
  });

  it('that have ended by the time the kernel is asked, or are about to, are not', () => {
    expect(compareConnections('', [entry(5)], 10).differences).toEqual([]);
    expect(compareConnections('', [entry(11)], 10).differences).toEqual([]);
    expect(compareConnections(line(1), [], 10).differences).toEqual([]);
  });
});

describe('rules that decide by chance', () => {
  const sep = (match: string): string => `-A KUBE-SVC-X -m comment --comment "a/b" ${match} -j KUBE-SEP-1`;

  it.each([
    ['0.33333333349', '--every 3'],
    ['0.50000000000', '--every 2'],
    ['1.00000000000', '--every 1'],
    ['0.00000000000', '--every 2147483647'],
  ])('decide in turn, as often (%s)', (probability, every) => {
    const { text, rules } = decideInTurn(sep(`-m statistic --mode random --probability ${probability}`));
    expect(text).toBe(sep(`-m statistic --mode nth ${every} --packet 0`));
    expect(rules).toBe(1);
  });

  it('keep their negation, and other rules are left alone', () => {
    const negated = '-A FORWARD -m statistic --mode random ! --probability 0.25000000000 -j ACCEPT';
    expect(decideInTurn(negated).text).toBe('-A FORWARD -m statistic --mode nth ! --every 4 --packet 0 -j ACCEPT');
    const others = `*nat\n${sep('-m statistic --mode nth --every 3 --packet 0')}\nCOMMIT\n`;
    expect(decideInTurn(others)).toEqual({ text: others, rules: 0 });
  });
});
