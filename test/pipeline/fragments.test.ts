/** Fragments from capture to capture: who waits, and what leaves with the one that completes a datagram. */
import { describe, expect, it } from 'vitest';
import { describeHostText } from '../../src/host/hostfile.js';
import { makeHost } from '../../src/host/machine.js';
import { Replayer } from '../../src/pipeline/replayer.js';
import { parseRules } from '../../src/rules/index.js';
import { HOME_HOST, HOME_RULES } from '../kernel/hosts.js';
import { build, parsePacket } from '../kernel/language.js';
import { ether } from '../kernel/packets.js';

const replayer = () =>
  new Replayer({
    host: makeHost(describeHostText(JSON.stringify(HOME_HOST), 'host.json')),
    rules: parseRules(HOME_RULES, { file: 'rules', family: 4, unsupported: 'stop' }),
  });
const packet = (text: string): Uint8Array => build(parsePacket(text.split(' ')));
const INSIDE = 'udp 192.168.1.9:4000 > 198.51.100.1:53 len 92';
const OUTSIDE = 'udp 203.0.113.5:4000 > 198.51.100.1:53 len 92 ttl 63';

describe('fragments', () => {
  it('wait for each other, and leave together', () => {
    const host = replayer();
    const first = host.feed({ iface: 'lan', frame: ether(packet(`${INSIDE} piece 40-100`)), seconds: 1 });
    expect([first.verdict, first.frames]).toEqual(['held', []]);
    const last = host.feed({ iface: 'lan', frame: ether(packet(`${INSIDE} piece 0-40`)), seconds: 2 });
    expect([last.verdict, last.egress, last.nat]).toEqual(['forward', 'wan', 'snat']);
    expect(last.after).toBe('udp 203.0.113.5:4000 > 198.51.100.1:53');
    const sent = ['0-40', '40-100'].map((piece) => Buffer.from(ether(packet(`${OUTSIDE} piece ${piece}`))));
    expect(last.frames.map((frame) => Buffer.from(frame))).toEqual(sent);
  });

  it('are given up after 30 seconds of capture time', () => {
    const host = replayer();
    host.feed({ iface: 'lan', frame: ether(packet(`${INSIDE} piece 40-100`)), seconds: 1 });
    const late = host.feed({ iface: 'lan', frame: ether(packet(`${INSIDE} piece 0-40`)), seconds: 31 });
    expect(late.verdict).toBe('held');
    expect(host.engine.fragments.counts).toMatchObject({ expired: 1, waitingDatagrams: 1 });
  });
});
