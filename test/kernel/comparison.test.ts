/**
 * The comparison with the kernel has to be able to fail: a kernel that does what natreplay does, but for one byte, one
 * packet, one counter or one connection, is found out. The kernel's part is played by natreplay itself.
 */
import { describe, expect, it } from 'vitest';
import { compareConntrack, compareCounters } from '../../src/verify/listings.js';
import { type Case, problems } from './chapters/chapter.js';
import { saveText } from './chapters/rules.js';
import { HOME_HOST } from './hosts.js';
import { TO_HOST } from './language.js';
import { ether, tcp, udp } from './packets.js';
import { comparePrediction, connectionsText, countersText, Prediction } from './prediction.js';
import type { TrafficRun } from './traffic.js';

const RULES = saveText(['-t nat -A POSTROUTING -o wan -j MASQUERADE', '-A FORWARD -i lan']);

/** What a kernel that agrees in everything would have been seen to do. */
function faultless(): { readonly run: TrafficRun; readonly counters: string; readonly conntrack: string } {
  const prediction = new Prediction(HOME_HOST, RULES);
  const packets = [
    { iface: 'lan', frame: ether(udp({ src: '192.168.1.9:4000', dst: '198.51.100.1:53', payload: 'query' })) },
    { iface: 'wan', frame: ether(udp({ src: '198.51.100.1:53', dst: '203.0.113.5:4000', payload: 'answer' })) },
    { iface: 'lan', frame: ether(tcp({ src: '192.168.1.9:4000', dst: '192.168.1.1:22', flags: 'S' })) },
    { iface: 'lan', frame: ether(udp({ src: '192.168.1.9:4001', dst: '198.51.100.1:53', ttl: 1 })) },
  ].map((packet) => ({ ...packet, time: 1000 }));
  const outputs: TrafficRun['outputs'][number][] = [];
  const delivered: TrafficRun['delivered'][number][] = [];
  packets.forEach((packet, input) => {
    for (const { iface, frame } of prediction.outputs(packet)) {
      if (iface === TO_HOST) delivered.push({ input, iface: packet.iface, packet: frame.subarray(14) });
      else outputs.push({ input, iface, frame });
    }
  });
  const run = { packets, outputs, delivered };
  return { run, counters: countersText(prediction), conntrack: connectionsText(prediction) };
}

const differencesIn = (run: TrafficRun): number =>
  comparePrediction(run, new Prediction(HOME_HOST, RULES)).mismatches.length;

describe('packets', () => {
  const { run } = faultless();

  it('agree where they are the same', () => {
    expect(run.outputs).toHaveLength(2);
    expect(run.delivered).toHaveLength(1);
    expect(differencesIn(run)).toBe(0);
  });

  it('differ when any byte from the IP header on does', () => {
    run.outputs.forEach((output, k) => {
      for (let at = 14; at < output.frame.length; at++) {
        const frame = Uint8Array.from(output.frame);
        frame[at] = (frame[at] ?? 0) ^ 1;
        const outputs = run.outputs.map((other, i) => (i === k ? { ...output, frame } : other));
        expect(differencesIn({ ...run, outputs }), `byte ${at}`).toBe(1);
      }
    });
  });

  it('differ when one is missing, comes twice, leaves elsewhere or belongs to another input', () => {
    const [first, second] = run.outputs;
    if (first === undefined || second === undefined) throw new Error('two outputs');
    expect(differencesIn({ ...run, outputs: [first] })).toBe(1);
    expect(differencesIn({ ...run, outputs: [first, first, second] })).toBe(1);
    expect(differencesIn({ ...run, outputs: [{ ...first, iface: 'lan' }, second] })).toBe(1);
    expect(differencesIn({ ...run, outputs: [first, { ...second, input: 3 }] })).toBe(2);
  });

  it('differ when the host did not get its own, or another one', () => {
    expect(differencesIn({ ...run, delivered: [] })).toBe(1);
    const [only] = run.delivered;
    if (only === undefined) throw new Error('a delivery');
    const packet = Uint8Array.from(only.packet);
    packet[20] = (packet[20] ?? 0) ^ 1;
    expect(differencesIn({ ...run, delivered: [{ ...only, packet }] })).toBe(1);
  });
});

describe('listings', () => {
  const { counters, conntrack } = faultless();

  it('differ when any digit of any counter does', () => {
    expect(compareCounters(counters, counters)).toEqual([]);
    const digits = [...counters.matchAll(/(?<=\[[\d:]*)\d(?=[\d:]*\])/g)];
    expect(digits.length).toBeGreaterThan(10);
    for (const { index } of digits) {
      const other = `${counters.slice(0, index)}${(Number(counters[index]) + 1) % 10}${counters.slice(index + 1)}`;
      expect(compareCounters(other, counters), other).toHaveLength(1);
    }
  });

  it('differ when a rule is missing', () => {
    expect(compareCounters(counters.replace(/^.*-i lan$/m, ''), counters)).toHaveLength(1);
  });

  it('differ when a connection is missing, or its state, tuple, flag or mark is another', () => {
    expect(compareConntrack(conntrack, conntrack)).toEqual([]);
    expect(compareConntrack(conntrack.replace(/^udp.*\n/m, ''), conntrack)).toHaveLength(1);
    for (const [from, to] of [
      ['SYN_SENT', 'SYN_RECV'],
      ['[UNREPLIED] ', ''],
      ['mark=0', 'mark=1'],
      [/(src=198\.51\.100\.1 dst=203\.0\.113\.5 sport=53 dport=)4000/, '$14001'],
    ] as const) {
      const other = conntrack.replace(from, to);
      expect(other).not.toBe(conntrack);
      expect(compareConntrack(other, conntrack)).toHaveLength(1);
    }
  });
});

describe('a case that expects the wrong thing', () => {
  const CASE: Case & { readonly script: string } = {
    name: 'masquerading',
    script: `
      in  lan  udp 192.168.1.9:4000 > 198.51.100.1:53
      out wan  udp 203.0.113.5:4000 > 198.51.100.1:53
    `,
    counters: ['filter [1:28] -A FORWARD -i lan'],
    connections: ['udp 30 192.168.1.9:4000 > 198.51.100.1:53 [UNREPLIED] 198.51.100.1:53 > 203.0.113.5:4000'],
  };
  const check = (change: Partial<Case>): Promise<string[]> => {
    const prediction = new Prediction(HOME_HOST, RULES);
    return problems(
      { ...CASE, ...change },
      {
        send: async (packets) =>
          packets.map((packet) =>
            prediction
              .outputs({ ...packet, time: 1000 })
              .map(({ iface, frame }) => ({ where: iface, packet: frame.subarray(14) })),
          ),
        wait: async () => undefined,
        counters: async () => countersText(prediction),
        connections: async () => connectionsText(prediction),
      },
    );
  };

  it('passes as it is', async () => {
    expect(await check({})).toEqual([]);
  });

  it.each([
    ['another egress', { script: CASE.script.replace('out wan', 'out lan') }],
    ['a drop', { script: CASE.script.replace(/out .*/, 'drop') }],
    ['the host', { script: CASE.script.replace(/out .*/, 'host same') }],
    ['an address untranslated', { script: CASE.script.replace(/out .*/, 'out wan same') }],
    ['another TTL', { script: CASE.script.replace(/(out .*)/, '$1 ttl 62') }],
    ['another payload', { script: CASE.script.replace(/(out .*)/, '$1 len 1') }],
    ['a port of another range', { script: CASE.script.replace('5:4000', '5:$p(5000-6000)') }],
    ['another counter', { counters: ['filter [1:29] -A FORWARD -i lan'] }],
    ['no connection', { connections: [] }],
    ['another time left', { connections: (CASE.connections ?? []).map((text) => text.replace('udp 30', 'udp 28')) }],
    ['another reply', { connections: (CASE.connections ?? []).map((text) => text.replace('5:4000', '5:4001')) }],
    ['one connection more', { connections: [...(CASE.connections ?? []), 'tcp *'] }],
  ] as const)('fails: %s', async (_name, change) => {
    expect(await check(change)).not.toEqual([]);
  });
});
