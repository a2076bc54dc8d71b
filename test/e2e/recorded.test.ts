/** The recorded hosts, replayed from the command line, against what their kernels sent. (The demo: test/docs.) */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hostFromFile } from '../../src/host/hostfile.js';
import { compareWithRecorded } from '../../src/pipeline/evidence.js';
import { inProcess, ROOT, scratch } from '../support/cli.js';

const CAPTURES = join(ROOT, 'captures');
const folder = scratch();
afterAll(() => folder.remove());

/** Replays a session; what it wrote lies in the scratch folder. */
async function replayed(session: string, ifaces: readonly string[]) {
  const path = join(CAPTURES, session);
  const captures = ifaces.map((iface) => ({ iface, path: join(path, `${iface}.pcap`) }));
  const files = { translated: folder.at('out.pcapng'), packetLog: folder.at('log.ndjson') };
  const host = join(path, 'host.json');
  const listings = ['--counters', folder.at('counters.v4'), '--conntrack', folder.at('conntrack.txt')];
  const rules = ['--rules', join(path, 'rules.v4'), '--host', host];
  const outputs = ['-w', files.translated, '--packet-log', files.packetLog, ...listings, '-q'];
  const ran = await inProcess([
    'replay',
    ...captures.map(({ iface, path: file }) => `${iface}=${file}`),
    ...rules,
    ...outputs,
  ]);
  expect(ran).toMatchObject({ code: 0, stderr: '' });
  return { captures, host: hostFromFile(host), path, ...files };
}

describe('captures/docker-bridge', () => {
  it('every translated packet is what the kernel sent; what it sent besides are its own answers', async () => {
    const evidence = await compareWithRecorded(await replayed('docker-bridge', ['eth0', 'docker0']));
    expect(evidence).toMatchObject({ predicted: 260, recorded: 267, equal: 260, wrong: [], unexplained: [] });
    expect(evidence.answers.map(({ tuple }) => tuple)).toEqual([
      'tcp 192.0.2.1:8080 > 198.51.100.7:40076',
      ...Array(3).fill('icmp 192.0.2.1 > 198.51.100.7 type 0 code 0 id 23859'),
      ...Array(2).fill('icmp 172.17.0.1 > 172.17.0.4 type 0 code 0 id 23900'),
      'tcp 192.0.2.1:8799 > 172.17.0.3:43600',
    ]);
  });

  it('ICMP errors about translated connections, and one that the host makes', async () => {
    const evidence = await compareWithRecorded(await replayed('docker-bridge/errors', ['eth0', 'docker0']));
    expect(evidence).toMatchObject({ predicted: 6, recorded: 7, equal: 6, wrong: [], unexplained: [] });
    expect(evidence.answers.map(({ tuple }) => tuple)).toEqual([expect.stringMatching(/^icmp .* type 11 code 0$/)]);
  });

  it('nothing goes out when containers talk to each other through the bridge', async () => {
    const evidence = await compareWithRecorded(await replayed('docker-bridge/between-containers', ['docker0']));
    expect(evidence).toMatchObject({ predicted: 0, recorded: 0, equal: 0 });
  });

  it('counts as the kernel counted, rule by rule, in the nat table', async () => {
    const { path } = await replayed('docker-bridge', ['eth0', 'docker0']);
    const rules = (file: string): string[] =>
      (/^\*nat$([\s\S]*?)^COMMIT$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? '').match(/^\[\d+:\d+\] -A .*$/gm) ?? [];
    expect(rules(folder.at('counters.v4'))).toEqual(rules(join(path, 'rules-after.v4')));
    expect(rules(folder.at('counters.v4'))).not.toEqual([]);
  });
});

describe('the comparison', () => {
  it('finds a packet of which one byte differs', async () => {
    const session = await replayed('docker-bridge', ['eth0', 'docker0']);
    const bytes = readFileSync(session.translated);
    // A TTL in the middle of the file: Ethernet's IPv4, version 4 with 20 bytes of header.
    const packet = bytes.indexOf(Buffer.from('08004500', 'hex'), bytes.length / 2);
    bytes.writeUInt8(bytes.readUInt8(packet + 2 + 8) - 1, packet + 2 + 8);
    writeFileSync(session.translated, bytes);
    const { wrong, unexplained, equal } = await compareWithRecorded(session);
    expect({ equal, wrong: wrong.length }).toEqual({ equal: 259, wrong: 1 });
    expect(unexplained).toHaveLength(1);
  });
});
