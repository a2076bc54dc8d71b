/** `natreplay verify` with captures taken at the ports of a bridge. */
import { writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import type { LinkJson } from '../../src/host/hostschema.js';
import { neededCommands } from '../../src/verify/gateway.js';
import { pcap } from '../capture/build.js';
import { inProcess, scratch } from '../support/cli.js';
import { needs } from '../support/requirements.js';
import { link } from './hosts.js';
import { ether, tcp, udp } from './packets.js';

const requirement = needs({
  root: true,
  commands: neededCommands('legacy'),
  files: ['/proc/sys/net/bridge/bridge-nf-call-iptables'],
});
const reason = requirement.skip ? ` (${requirement.reason})` : '';
const folder = scratch();
afterAll(() => folder.remove());

const BRIDGE = '02:00:00:00:00:01';
const A = '02:aa:00:00:00:02';
const B = '02:bb:00:00:00:03';
const NOBODY = '02:dd:00:00:00:05';
const ALL = 'ff:ff:ff:ff:ff:ff';

const port = (ifname: string, address: string): LinkJson => ({ ...link(ifname), address, master: 'docker0' });
const host = (call: string) => ({
  addr: [
    { ...link('eth0', '192.0.2.1/24'), address: '02:00:00:00:0e:01' },
    { ...link('docker0', '172.17.0.1/16'), address: BRIDGE },
    port('veth3', '02:00:00:00:0a:01'),
    port('veth4', '02:00:00:00:0b:01'),
    port('veth5', '02:00:00:00:0c:01'),
  ],
  sysctl: { 'net.ipv4.ip_forward': '1', 'net.bridge.bridge-nf-call-iptables': call },
});

const RULES = `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 172.17.0.0/16 -d 172.17.0.3/32 -p tcp -m tcp --dport 1337 -j MASQUERADE
COMMIT
*filter
:FORWARD DROP [0:0]
-A FORWARD -i docker0 -o docker0 -m physdev --physdev-in veth3 -j ACCEPT
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -d 172.17.0.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 1337 -j ACCEPT
COMMIT
`;

const frame = (to: string, from: string, packet: Uint8Array): Uint8Array => {
  const bytes = ether(packet);
  bytes.set(Buffer.from((to + from).replaceAll(':', ''), 'hex'));
  return bytes;
};

const CAPTURED = {
  veth3: [
    frame(ALL, A, udp({ src: '0.0.0.0:68', dst: '255.255.255.255:67' })),
    frame(B, A, udp({ src: '172.17.0.2:1', dst: '172.17.0.3:1' })),
    frame(NOBODY, A, udp({ src: '172.17.0.2:2', dst: '172.17.0.9:2' })),
    frame(BRIDGE, A, tcp({ src: '172.17.0.2:1005', dst: '192.0.2.1:8799', flags: 'S', seq: 1 })),
    frame(BRIDGE, A, udp({ src: '172.17.0.2:3', dst: '192.0.2.9:53' })),
  ],
  veth4: [
    frame(A, B, udp({ src: '172.17.0.3:1', dst: '172.17.0.2:1' })),
    frame(A, B, udp({ src: '172.17.0.3:9', dst: '172.17.0.2:9' })),
    frame(BRIDGE, B, tcp({ src: '172.17.0.3:1337', dst: '172.17.0.1:1005', flags: 'SA', seq: 5, ack: 2 })),
    frame(BRIDGE, B, tcp({ src: '172.17.0.3:1006', dst: '192.0.2.1:8799', flags: 'S', seq: 1 })),
  ],
  eth0: [
    frame('02:00:00:00:0e:01', NOBODY, tcp({ src: '192.0.2.9:4000', dst: '192.0.2.1:8799', flags: 'S', seq: 1 })),
    frame('02:00:00:00:0e:01', NOBODY, udp({ src: '192.0.2.9:53', dst: '192.0.2.1:3' })),
  ],
};

describe.skipIf(requirement.skip)(`natreplay verify, with captures of bridge ports${reason}`, () => {
  it.each([
    ['sees what is bridged', '1'],
    ['does not', '0'],
  ])('agrees with the kernel where iptables %s', async (_name, call) => {
    const hostFile = folder.at('host.json');
    const rules = folder.at('rules.v4');
    writeFileSync(hostFile, JSON.stringify(host(call)));
    writeFileSync(rules, RULES);
    const captures = Object.entries(CAPTURED).map(([name, frames], k) => {
      const path = folder.at(`${name}.pcap`);
      writeFileSync(path, pcap(frames.map((bytes, i) => ({ seconds: 3 * i + k, fraction: 0, frame: bytes }))));
      return `${name}=${path}`;
    });
    const { code, stdout, stderr } = await inProcess(['verify', ...captures, '--rules', rules, '--host', hostFile]);
    expect(stderr + stdout).toMatch(/^natreplay and the kernel agree: 11 packets/m);
    expect(stdout).not.toContain('left out');
    expect(code).toBe(0);
  });
});
