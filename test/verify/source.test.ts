/** Which records of a capture are put to the kernel, and as what. */
import { writeFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { describeHostText } from '../../src/host/hostfile.js';
import { makeHost } from '../../src/host/machine.js';
import { PacketSource } from '../../src/verify/source.js';
import { pcap } from '../capture/build.js';
import { DOCKER_HOST } from '../kernel/hosts.js';
import { ether, udp } from '../kernel/packets.js';
import { scratch } from '../support/cli.js';

const folder = scratch();
afterAll(() => folder.remove());

const host = makeHost(describeHostText(JSON.stringify(DOCKER_HOST), 'host.json'));

async function read(name: string, iface: string | undefined, packets: readonly Uint8Array[], sendsForHost: boolean) {
  const path = folder.at(name);
  writeFileSync(path, pcap(packets.map((packet) => ({ seconds: 1_700_000_000, fraction: 0, frame: ether(packet) }))));
  const source = new PacketSource({
    captures: [{ path, iface }],
    host,
    ipv6: false,
    unreachable: new Set(),
    sendsForHost,
  });
  const ingress: string[] = [];
  for await (const batch of source.batches()) ingress.push(...batch.map((packet) => packet.iface));
  return { ingress, skipped: [...source.skipped], senders: [...source.senders] };
}

const ofHost = udp({ src: '192.0.2.1:4000', dst: '198.51.100.1:53' });
const ofOther = udp({ src: '198.51.100.1:53', dst: '192.0.2.1:4000' });

describe('packets of the host itself', () => {
  it('are known by a capture that says so', async () => {
    expect((await read('stated.pcap', '@local', [ofHost, ofOther], true)).ingress).toEqual(['@local', '@local']);
  });

  it('are known by an address of the host, where nothing is stated', async () => {
    const { ingress, senders } = await read('unstated.pcap', undefined, [ofHost, ofOther], true);
    expect(ingress).toEqual(['@local', 'eth0']);
    // No neighbour sent the first.
    expect(senders).toHaveLength(1);
  });

  it('are left out with the reason where nothing can send them', async () => {
    const { ingress, skipped } = await read('no-python.pcap', '@local', [ofHost], false);
    expect(ingress).toEqual([]);
    expect(skipped).toEqual([['sent-by-host', 1]]);
  });

  it('are left out with the reason where no socket would send them so', async () => {
    const { skipped } = await read(
      'dhcp.pcap',
      '@local',
      [udp({ src: '0.0.0.0:68', dst: '255.255.255.255:67' })],
      true,
    );
    expect(skipped).toEqual([['unsendable', 1]]);
  });
});
