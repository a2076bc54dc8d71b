/**
 * VLAN devices: tags taken off and put on. Linux's source is followed here (vlan_do_receive, __netif_receive_skb_core): the
 * kernel at hand has no 802.1Q; that it drops tags without a device and reads past tag 0 was asked of it.
 */
import { describe, expect, it } from 'vitest';
import { describeHostText } from '../../src/host/hostfile.js';
import { statedHost } from '../../src/host/hostoptions.js';
import { makeHost } from '../../src/host/machine.js';
import type { Host } from '../../src/host/types.js';
import { Replayer } from '../../src/pipeline/replayer.js';
import { parseRules } from '../../src/rules/index.js';
import { say, udp } from '../kernel/packets.js';
import { table } from '../support/gateway.js';

const inet = (local: string, prefixlen: number) => ({ family: 'inet', local, prefixlen, scope: 'global' });
const vlan = (ifname: string, link: string, id: number, address: string, protocol = '802.1Q') => ({
  ifname,
  link,
  linkinfo: { info_kind: 'vlan', info_data: { protocol, id } },
  addr_info: [inet(address, 24)],
});

/** eth0 with VLANs 100 and 200, service tag 300 with 7 inside, and eth1 without. */
const HOST = makeHost(
  describeHostText(
    JSON.stringify({
      addr: [
        { ifname: 'eth0', addr_info: [inet('10.0.0.1', 24)] },
        vlan('eth0.100', 'eth0', 100, '10.1.0.1'),
        vlan('eth0.200', 'eth0', 200, '10.2.0.1'),
        vlan('service', 'eth0', 300, '10.3.0.1', '802.1ad'),
        vlan('service.7', 'service', 7, '10.7.0.1'),
        { ifname: 'eth1', addr_info: [inet('192.0.2.1', 24)] },
      ],
    }),
    'host.json',
  ),
);

const RULES = parseRules(table('nat', 'POSTROUTING -o eth1 -j MASQUERADE', 'PREROUTING -i eth0.200 -p tcp -j ACCEPT'), {
  file: 'rules',
  family: 4,
  unsupported: 'stop',
});

const C = 0x8100;
const S = 0x88a8;
type Tag = readonly [protocol: number, tci: number];

function frame(tags: readonly Tag[], packet: Uint8Array): Uint8Array {
  const words = tags.flatMap(([protocol, tci]) => [protocol >> 8, protocol & 255, tci >> 8, tci & 255]);
  return Uint8Array.from([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, ...words, 8, 0, ...packet]);
}

/** `eth1 [] udp ...`: the way out, its tags as `100` or `S300`, the packet; else `IN: verdict why`. */
function send(host: Host, iface: string | undefined, tags: readonly Tag[], src: string, dst: string): string {
  const replayer = new Replayer({ host, rules: RULES });
  const packet = udp({ src: `${src}:4000`, dst: `${dst}:53` });
  const { verdict, egress, frame: out, why, in: ingress } = replayer.feed({ iface, frame: frame(tags, packet) });
  if (verdict !== 'forward' || out === undefined) return `${ingress}: ${verdict} ${why ?? ''}`.trim();
  const seen: string[] = [];
  const view = new DataView(out.buffer, out.byteOffset);
  let at = 12;
  for (; view.getUint16(at) !== 0x0800; at += 4)
    seen.push(`${view.getUint16(at) === S ? 'S' : ''}${view.getUint16(at + 2)}`);
  return `${egress} [${seen.join(' ')}] ${say(out.subarray(at + 2))}`;
}

describe('a host with VLAN devices', () => {
  it.each<[string, string | undefined, Tag[], string, string, string]>([
    [
      'takes the tag off',
      'eth0',
      [[C, 100]],
      '10.1.0.9',
      '192.0.2.9',
      'eth1 [] udp 192.0.2.1:4000 > 192.0.2.9:53 ttl 63',
    ],
    ['puts a tag on', 'eth1', [], '192.0.2.9', '10.1.0.9', 'eth0.100 [100] udp 192.0.2.9:4000 > 10.1.0.9:53 ttl 63'],
    [
      'changes the tag',
      'eth0',
      [[C, 100]],
      '10.1.0.9',
      '10.2.0.9',
      'eth0.200 [200] udp 10.1.0.9:4000 > 10.2.0.9:53 ttl 63',
    ],
    [
      'does not keep the priority',
      'eth0',
      [[C, 0xa064]],
      '10.1.0.9',
      '10.2.0.9',
      'eth0.200 [200] udp 10.1.0.9:4000 > 10.2.0.9:53 ttl 63',
    ],
    [
      'captured on the device itself',
      'eth0.100',
      [],
      '10.1.0.9',
      '10.2.0.9',
      'eth0.200 [200] udp 10.1.0.9:4000 > 10.2.0.9:53 ttl 63',
    ],
    [
      'finds the device where no interface is stated',
      undefined,
      [[C, 100]],
      '10.1.0.9',
      '192.0.2.9',
      'eth1 [] udp 192.0.2.1:4000 > 192.0.2.9:53 ttl 63',
    ],
    [
      'takes two tags off (QinQ)',
      'eth0',
      [
        [S, 300],
        [C, 7],
      ],
      '10.7.0.9',
      '192.0.2.9',
      'eth1 [] udp 192.0.2.1:4000 > 192.0.2.9:53 ttl 63',
    ],
    [
      'puts two tags on',
      'eth0',
      [[C, 100]],
      '10.1.0.9',
      '10.7.0.9',
      'service.7 [S300 7] udp 10.1.0.9:4000 > 10.7.0.9:53 ttl 63',
    ],
    ['has no device for the tag', 'eth0', [[C, 101]], '10.1.0.9', '192.0.2.9', 'eth0: drop other-host'],
    ['nor for the kind of tag', 'eth0', [[S, 100]], '10.1.0.9', '192.0.2.9', 'eth0: drop other-host'],
    [
      'reads past tag 0, which is a priority',
      'eth0',
      [[C, 0xe000]],
      '10.0.0.9',
      '192.0.2.9',
      'eth1 [] udp 192.0.2.1:4000 > 192.0.2.9:53 ttl 63',
    ],
    ['delivers', 'eth0', [[C, 200]], '10.2.0.9', '10.2.0.1', 'eth0.200: local'],
  ])('%s', (_name, iface, tags, src, dst, expected) => {
    expect(send(HOST, iface, tags, src, dst)).toBe(expected);
  });

  it.each([
    ['taken off', 'eth0', [[C, 100]] as Tag[], '10.1.0.9', '192.0.2.9', 'udp 192.0.2.1:4000 > 192.0.2.9:53'],
    ['put on', 'eth1', [] as Tag[], '192.0.2.9', '10.7.0.9', 'udp 192.0.2.9:4000 > 10.7.0.9:53'],
  ])('names the packet as it left with its tag %s', (_name, iface, tags, src, dst, expected) => {
    const replayer = new Replayer({ host: HOST, rules: RULES });
    const packet = udp({ src: `${src}:4000`, dst: `${dst}:53` });
    expect(replayer.feed({ iface, frame: frame(tags, packet) }).after).toBe(expected);
  });

  it('is made by the name of the interface too', () => {
    const host = statedHost({ iface: ['eth0=', 'eth0.100=10.1.0.1/24', 'eth1=192.0.2.1/24'] });
    if (host === undefined) throw new Error('no host');
    expect(send(host, 'eth1', [], '192.0.2.9', '10.1.0.9')).toContain('eth0.100 [100] udp');
  });
});

describe('a host without VLAN devices', () => {
  const host = statedHost({ iface: ['eth0=10.1.0.1/24', 'eth1=192.0.2.1/24'] });
  if (host === undefined) throw new Error('no host');

  it('drops what is tagged at an interface that is stated', () => {
    expect(send(host, 'eth0', [[C, 100]], '10.1.0.9', '192.0.2.9')).toBe('eth0: drop other-host');
  });

  it('translates inside the tags where the interface is not stated, as in the mirror of a trunk', () => {
    expect(send(host, undefined, [[C, 100]], '10.1.0.9', '192.0.2.9')).toBe(
      'eth1 [100] udp 192.0.2.1:4000 > 192.0.2.9:53 ttl 63',
    );
  });
});
