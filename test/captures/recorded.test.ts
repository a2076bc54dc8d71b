/**
 * What the recordings in captures/ hold, checked from their bytes alone. Whoever records again finds here whether the
 * new ones serve: `vitest run test/captures --update` writes their numbers to expected.json.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  byTime,
  checksumsAreRight,
  conntrackTuples,
  findTwins,
  kindOf,
  type Packet,
  readCapture,
  readHost,
  ruleCount,
  tuple,
} from './recording.js';

const CAPTURES = fileURLToPath(new URL('../../captures/', import.meta.url));

const RECORDINGS = [
  {
    folder: 'docker-bridge',
    sessions: ['.', 'errors', 'from-host', 'between-containers'],
    ifaces: ['eth0', 'docker0'],
  },
  { folder: 'home-gateway', sessions: ['.'], ifaces: ['lan0', 'wan0'] },
];

function load(folder: string, session: string, ifaces: readonly string[]) {
  const path = join(CAPTURES, folder, session);
  const host = readHost(join(path, 'host.json'));
  const captures = ifaces
    .filter((iface) => existsSync(join(path, `${iface}.pcap`)))
    .map((iface) => readCapture(join(path, `${iface}.pcap`), iface, host));
  const packets = byTime(...captures);
  const text = (name: string): string => readFileSync(join(path, name), 'utf8');
  return { path, host, packets, text, twins: findTwins(packets, host) };
}

/** The outgoing tuple of each incoming one, as seen; throws when a tuple is translated in two ways. */
function translations(session: ReturnType<typeof load>): Map<string, string> {
  const map = new Map<string, string>();
  for (const { before, after } of session.twins.forwarded) {
    if (before.ip === undefined || after.ip === undefined) continue;
    const from = tuple(before.ip);
    const to = tuple(after.ip);
    if ((map.get(from) ?? to) !== to) throw new Error(`${from} became ${map.get(from)} and ${to}`);
    map.set(from, to);
  }
  return map;
}

function tally(packets: readonly Packet[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of packets.map(kindOf).sort()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

function facts({ packets, twins }: ReturnType<typeof load>): object {
  return {
    records: packets.length,
    incoming: packets.filter((packet) => packet.direction === 'in').length,
    outgoing: packets.filter((packet) => packet.direction === 'out').length,
    notIp: twins.notIp.length,
    forwarded: twins.forwarded.length,
    local: twins.local.length,
    dropped: twins.dropped.length,
    otherHost: twins.otherHost.length,
    hostMade: tally(twins.hostMade),
  };
}

describe.each(RECORDINGS)('captures/$folder', ({ folder, sessions, ifaces }) => {
  it('has the packets expected.json says', async () => {
    const all = Object.fromEntries(
      sessions.map((session) => [session === '.' ? 'main' : session, facts(load(folder, session, ifaces))]),
    );
    await expect(`${JSON.stringify(all, null, 2)}\n`).toMatchFileSnapshot(join(CAPTURES, folder, 'expected.json'));
  });

  describe.each(sessions)('session %s', (name) => {
    const session = load(folder, name, ifaces);

    it('is small', () => {
      expect(session.packets.length).toBeLessThan(1500);
    });

    it('has right checksums everywhere, so no offload got in between', () => {
      const wrong = session.packets.filter((packet) => packet.ip !== undefined && !checksumsAreRight(packet.ip));
      expect(wrong).toEqual([]);
    });

    it('has packets of at most the MTU, so no segmentation offload got in between', () => {
      expect(Math.max(...session.packets.map((packet) => packet.ip?.length ?? 0))).toBeLessThanOrEqual(1500);
    });

    it('translates a tuple always in the same way, and no two tuples into one', () => {
      const map = translations(session);
      expect(new Set(map.values()).size).toBe(map.size);
    });

    it('shows what was sent on after, and within 50 ms of, what was received', () => {
      const delays = session.twins.forwarded.map(({ before, after }) => Number(after.time - before.time) / 1e6);
      expect(delays.filter((delay) => delay < 0 || delay > 50)).toEqual([]);
    });

    it('has the addresses of no other machine than the documented ones', () => {
      const documented = /^(172\.17\.0|192\.0\.2|198\.51\.100|203\.0\.113|192\.168\.1|127\.0\.0)\.\d+$/;
      const addresses = session.host.addr.flatMap((iface) => iface.addr_info.map((info) => info.local));
      expect(addresses.filter((address) => !documented.test(address))).toEqual([]);
    });

    it('begins with the rules counted at zero, and rules.v4 being those of host.json', () => {
      const withoutCounters = session.host.iptables.replaceAll(/^\[\d+:\d+\] /gm, '');
      expect(session.text('rules.v4')).toBe(withoutCounters);
      expect(session.host.iptables).not.toMatch(/\[[1-9]/);
    });
  });
});

/** Each translated tuple is one that the kernel's own conntrack table has, in one direction or the other. */
function unknownToConntrack(session: ReturnType<typeof load>): string[] {
  const known = new Set<string>();
  for (const { original, reply } of conntrackTuples(session.text('conntrack.txt'))) {
    known.add(`${original} => ${turned(reply)}`);
    known.add(`${reply} => ${turned(original)}`);
  }
  return [...translations(session)].map(([from, to]) => `${from} => ${to}`).filter((line) => !known.has(line));
}

/** `tcp a:1 > b:2` as `tcp b:2 > a:1`. */
const turned = (words: string): string => words.replace(/^(\w+) (\S+) > (\S+)/, '$1 $3 > $2');

describe('captures/docker-bridge, main session', () => {
  const session = load('docker-bridge', '.', ['eth0', 'docker0']);
  const map = translations(session);

  it.each([
    ['tcp 198.51.100.7:50000 > 192.0.2.1:80', 'tcp 198.51.100.7:50000 > 172.17.0.4:80'],
    ['tcp 198.51.100.8:50000 > 192.0.2.1:80', 'tcp 198.51.100.8:50000 > 172.17.0.4:80'],
    ['tcp 198.51.100.8:50001 > 192.0.2.1:8799', 'tcp 198.51.100.8:50001 > 172.17.0.3:1337'],
    ['tcp 172.17.0.4:80 > 198.51.100.7:50000', 'tcp 192.0.2.1:80 > 198.51.100.7:50000'],
    ['tcp 172.17.0.3:1337 > 198.51.100.8:50001', 'tcp 192.0.2.1:8799 > 198.51.100.8:50001'],
  ])('%s went out as %s', (from, to) => {
    expect(map.get(from)).toBe(to);
  });

  it('keeps every source port and echo id: none was taken', () => {
    const out = [...map].filter(([from]) => from.includes(' 172.17.0.') && !/:(80|1337) >/.test(from));
    expect(out.length).toBeGreaterThan(10);
    for (const [from, to] of out) expect(to).toBe(from.replace(/172\.17\.0\.\d+/, '192.0.2.1'));
  });

  it('is explained: what the host sent, it had received, or it answered a packet for itself', () => {
    expect(session.twins.dropped).toEqual([]);
    const answers = session.twins.hostMade.map((packet) => (packet.ip === undefined ? '' : tuple(packet.ip)));
    const asked = session.twins.local.map((packet) => (packet.ip === undefined ? '' : turned(tuple(packet.ip))));
    expect(answers.sort()).toEqual(asked.sort());
    expect(Object.keys(tally(session.twins.hostMade))).toEqual(['echo reply', 'tcp reset']);
  });

  it('carries a reset through: the client that hangs up', () => {
    const resets = session.twins.forwarded.filter(({ before }) => kindOf(before) === 'tcp reset');
    expect(resets.map(({ before }) => before.iface)).toEqual(['eth0']);
    expect(session.text('conntrack.txt')).toMatch(/CLOSE src=198\.51\.100\.7 dst=192\.0\.2\.1 sport=\d+ dport=80 /);
  });

  it('agrees with the connections of conntrack.txt', () => {
    expect(unknownToConntrack(session)).toEqual([]);
  });

  it('agrees with the counters of rules-after.v4', () => {
    const after = session.text('rules-after.v4');
    const begun = (pattern: RegExp): number => [...map.keys()].filter((from) => pattern.test(from)).length;
    const dnat = (port: number, to: string): string =>
      `-A DOCKER ! -i docker0 -p tcp -m tcp --dport ${port} -j DNAT --to-destination ${to}`;
    expect(ruleCount(after, dnat(80, '172.17.0.4:80'))).toBe(begun(/> 192\.0\.2\.1:80$/));
    expect(ruleCount(after, dnat(8799, '172.17.0.3:1337'))).toBe(begun(/> 192\.0\.2\.1:8799$/));
    expect(ruleCount(after, '-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE')).toBe(
      begun(/ 172\.17\.0\.\d+(:4\d+)? > 203/),
    );
    expect(ruleCount(after, '-A FORWARD -j DOCKER-USER')).toBe(session.twins.forwarded.length);
  });

  it('has, in any.pcap, the same packets in the same order as in eth0.pcap and docker0.pcap', () => {
    const any = readCapture(join(session.path, 'any.pcap'), 'any', session.host);
    const line = ({ iface, direction, ip }: Packet): string =>
      `${iface} ${direction} ${ip === undefined ? 'not IP' : createHash('sha1').update(ip).digest('hex')}`;
    expect(any.map(line)).toEqual(session.packets.map(line));
  });
});

describe('captures/docker-bridge, other sessions', () => {
  it('errors: translated back on the way in, made by the host where the TTL ends', () => {
    const session = load('docker-bridge', 'errors', ['eth0', 'docker0']);
    expect(tally(session.twins.hostMade)).toEqual({ 'time exceeded': 1 });
    expect(session.twins.dropped.map((packet) => packet.ip?.readUInt8(8))).toEqual([1]);
    const errors = [...translations(session)].filter(([from]) => from.includes('error'));
    expect(errors.map(([from]) => /error \d+/.exec(from)?.[0]).sort()).toEqual(['error 11', 'error 3']);
    for (const [from, to] of errors) {
      expect(from).toMatch(/> 192\.0\.2\.1 error \d+ about \w+ 192\.0\.2\.1/);
      expect(to).toMatch(/> 172\.17\.0\.\d error \d+ about \w+ 172\.17\.0\.\d/);
    }
  });

  it('from-host: nothing is forwarded, all is to or from the host', () => {
    const { twins } = load('docker-bridge', 'from-host', ['eth0', 'docker0']);
    expect([twins.forwarded.length, twins.dropped.length]).toEqual([0, 0]);
    expect(twins.hostMade.length).toBeGreaterThan(20);
  });

  it('between-containers: the host sees frames that are not for it, and sends nothing', () => {
    const { twins } = load('docker-bridge', 'between-containers', ['docker0']);
    expect(twins.otherHost.length).toBeGreaterThan(10);
    expect([twins.forwarded, twins.local, twins.dropped, twins.hostMade]).toEqual([[], [], [], []]);
  });
});

describe('captures/home-gateway', () => {
  const session = load('home-gateway', '.', ['lan0', 'wan0']);
  const map = translations(session);
  /** Public ports (or ids) that the machines got for one private port (or id) towards one remote. */
  const publicPorts = (from: RegExp): number[] =>
    [...map]
      .filter(([words]) => from.test(words))
      .map(([, to]) => Number(/(?:203\.0\.113\.2:|echo )(\d+)/.exec(to)?.[1]));

  it.each([
    ['one after the other', 50000, 'tcp', '198.51.100.80:80', 5, 1024, 65535],
    ['all at once', 50001, 'tcp', '198.51.100.80:80', 5, 1024, 65535],
    ['a privileged port', 800, 'tcp', '198.51.100.81:80', 3, 600, 1023],
    ['a port below 512', 53, 'udp', '198.51.100.53:53', 3, 1, 511],
    ['DNS from one port', 40053, 'udp', '198.51.100.53:53', 5, 1024, 65535],
  ])('%s: of the machines that use %i, the first keeps it and the others get another of its class', (...row) => {
    const [, port, protocol, remote, machines, low, high] = row;
    const got = publicPorts(new RegExp(`^${protocol} 192\\.168\\.1\\.\\d+:${port} > ${remote}$`));
    expect(got).toHaveLength(machines);
    expect(new Set(got).size).toBe(machines);
    expect(got[0]).toBe(port);
    for (const other of got) expect(other === port || (other >= low && other <= high)).toBe(true);
  });

  it('gives echo requests with one id different ones', () => {
    const got = publicPorts(/^icmp 192\.168\.1\.\d+ > 198\.51\.100\.80 echo 77$/);
    expect(new Set(got).size).toBe(5);
    expect(got[0]).toBe(77);
  });

  it('lets a machine keep the public port of its source port towards the next server', () => {
    const first = publicPorts(/^tcp 192\.168\.1\.\d+:50000 > 198\.51\.100\.80:80$/);
    const next = publicPorts(/^tcp 192\.168\.1\.\d+:50000 > 198\.51\.100\.81:80$/);
    expect(next).toEqual(first);
  });

  it('forwards port 8080 to the machine behind', () => {
    expect(map.get('tcp 198.51.100.7:52000 > 203.0.113.2:8080')).toBe('tcp 198.51.100.7:52000 > 192.168.1.12:80');
    expect(map.get('tcp 192.168.1.12:80 > 198.51.100.7:52000')).toBe('tcp 203.0.113.2:8080 > 198.51.100.7:52000');
  });

  it('is explained: what the host sent, it had received, or it answered a packet for itself', () => {
    expect(session.twins.dropped).toEqual([]);
    expect(session.twins.hostMade.length).toBe(session.twins.local.length);
    expect(Object.keys(tally(session.twins.hostMade))).toEqual(['echo reply', 'tcp reset']);
  });

  it('agrees with the connections of conntrack.txt and the counters of rules-after.v4', () => {
    expect(unknownToConntrack(session)).toEqual([]);
    const masqueraded = conntrackTuples(session.text('conntrack.txt')).filter(
      ({ original, reply }) => / 192\.168\.1\./.test(original) && / > 203\.0\.113\.2/.test(reply),
    );
    const after = session.text('rules-after.v4');
    expect(ruleCount(after, '-A POSTROUTING -o wan0 -j MASQUERADE')).toBe(masqueraded.length);
  });
});
