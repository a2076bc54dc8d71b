/**
 * A port that the kernel drew at random for a packet which it then dropped was never seen: any permitted one that leads
 * to the drop explains it, and nothing else does.
 */
import { describe, expect, it } from 'vitest';
import { FROM_HOST } from '../../src/verify/gateway.js';
import type { KernelAnswer } from '../../src/verify/observedports.js';
import { saveText } from '../kernel/chapters/rules.js';
import { HOME_HOST } from '../kernel/hosts.js';
import { ether, udp } from '../kernel/packets.js';
import { Prediction } from '../kernel/prediction.js';

const DNAT = '-t nat -A PREROUTING -i lan -p udp -j DNAT --to-destination 198.51.100.9';
const ONE_PORT = '-t nat -A POSTROUTING -o wan -p udp -j SNAT --to-source 203.0.113.9:4002';

/** Packet `n` of as many senders, by the port it left with: of what the kernel sent, or dropped. */
const asked = (prediction: Prediction, n: number, kernel: KernelAnswer): number | string => {
  const frame = ether(udp({ src: `192.168.1.${10 + n}:4000`, dst: '198.51.100.1:53' }));
  const { sent, why } = prediction.judge({ iface: 'lan', frame, time: 1000 + n }, kernel);
  const [output] = sent;
  return output === undefined ? why : new DataView(output.frame.buffer, output.frame.byteOffset).getUint16(36);
};
const went = (port: number): Uint8Array => udp({ src: '203.0.113.9:4002', dst: `198.51.100.9:${port}`, ttl: 63 });
const dropped: KernelAnswer = 'nothing';

describe('a port that nobody saw', () => {
  it('is one that collides behind SNAT, if any does', () => {
    const prediction = new Prediction(HOME_HOST, saveText([`${DNAT}:8081-8090 --random`, ONE_PORT]));
    expect(asked(prediction, 0, went(8085))).toBe(8085);
    for (let n = 1; n < 20; n++) expect(asked(prediction, n, dropped)).toBe('no-free-tuple');
    expect(asked(prediction, 20, went(8086))).toBe(8086);
    expect(prediction.engine.conntrack?.created).toBe(2);
  });

  it('does not explain a drop that no permitted port leads to', () => {
    const prediction = new Prediction(HOME_HOST, saveText([`${DNAT}:8081-8090 --random`, ONE_PORT]));
    expect(asked(prediction, 0, dropped)).toBeTypeOf('number');
    const elsewhere = new Prediction(
      HOME_HOST,
      saveText([`${DNAT}:8081-8090 --random`, '-A FORWARD -p udp --dport 80 -j DROP']),
    );
    for (let n = 0; n < 5; n++) expect(asked(elsewhere, n, dropped)).toBeTypeOf('number');
    expect(elsewhere.counters()).toContain(':FORWARD ACCEPT [5:140]');
  });

  it('does not explain one where the port is not drawn', () => {
    const prediction = new Prediction(
      HOME_HOST,
      saveText([`${DNAT}:8081-8090`, '-A FORWARD -p udp --dport 8085 -j DROP']),
    );
    for (let n = 0; n < 5; n++) expect(asked(prediction, n, dropped)).toBe(8081);
  });

  it('is not looked for where nobody asked the kernel, nor where it let the packet through', () => {
    const prediction = new Prediction(
      HOME_HOST,
      saveText([`${DNAT}:8081-8082 --random`, '-A FORWARD -p udp --dport 8082 -j DROP']),
    );
    expect(asked(prediction, 0, went(8082))).toBe('filter:FORWARD:1');
    expect(asked(prediction, 1, went(8081))).toBe(8081);
  });

  it('leaves rules, matches that count and marks as if it had been drawn at once', () => {
    const rules = [
      `${DNAT}:8001-8040 --random`,
      '-t mangle -A FORWARD -m mark --mark 0 -j MARK --set-mark 1',
      '-t mangle -A FORWARD -j CONNMARK --save-mark',
      '-A FORWARD -m statistic --mode nth --every 4 --packet 3 -j ACCEPT',
      '-A FORWARD -m limit --limit 1/hour --limit-burst 6 -m mark --mark 1',
      '-A FORWARD -p udp -m udp --dport 8040 -j DROP',
    ];
    const prediction = new Prediction(HOME_HOST, saveText(rules));
    // The fourth and eighth are let through by the rule that counts, whatever their port.
    const fates = Array.from({ length: 8 }, (_, n) => asked(prediction, n, dropped));
    expect(fates.map((fate) => (typeof fate === 'string' ? fate : 'out'))).toEqual(
      Array.from({ length: 8 }, (_, n) => (n % 4 === 3 ? 'out' : 'filter:FORWARD:3')),
    );
    expect(prediction.counters().split('\n')).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^\[8:224\] -A PREROUTING .*DNAT/),
        expect.stringMatching(/^\[8:224\] -A FORWARD .*MARK --set/),
        expect.stringMatching(/^\[2:56\] -A FORWARD -m statistic/),
        expect.stringMatching(/^\[6:168\] -A FORWARD -m limit/),
        expect.stringMatching(/^\[6:168\] -A FORWARD -p udp .* -j DROP/),
      ]),
    );
    expect([...prediction.connectionsText()].join('').match(/mark=1/g)).toHaveLength(2);
  });

  it('is known by the connection, where the host dropped its own packet behind POSTROUTING', () => {
    const rules = ['-t nat -A POSTROUTING -p udp -j SNAT --to-source 203.0.113.5', '-A INPUT -p udp -j DROP'];
    const sends = (src: string, dst: string, time: number, kernel: KernelAnswer) =>
      prediction.judge({ iface: FROM_HOST, frame: ether(udp({ src, dst })), time }, kernel).sent[0]?.frame;
    const prediction = new Prediction(HOME_HOST, saveText(rules));
    prediction.list(
      'udp 17 29 src=127.0.0.1 dst=127.0.0.1 sport=4000 dport=53 [UNREPLIED] src=127.0.0.1 dst=203.0.113.5 sport=53 dport=4000 use=1\n' +
        'udp 17 29 src=192.168.1.1 dst=127.0.0.1 sport=4000 dport=53 [UNREPLIED] src=127.0.0.1 dst=203.0.113.5 sport=53 dport=61234 use=1\n',
    );
    expect(sends('127.0.0.1:4000', '127.0.0.1:53', 1000, dropped)).toBeUndefined();
    expect(sends('192.168.1.1:4000', '127.0.0.1:53', 1001, dropped)).toBeUndefined();
    expect(prediction.connectionsText()).toMatch(/src=127.0.0.1 dst=203.0.113.5 sport=53 dport=61234 /);
    // The mapping is used again for others (KERNEL.md B3).
    const frame = sends('192.168.1.1:4000', '198.51.100.1:53', 1002, 'nothing');
    expect(frame === undefined ? undefined : new DataView(frame.buffer, frame.byteOffset).getUint16(34)).toBe(61234);
  });
});
