/** First packets of connections, each of which matches one rule of a long chain, through the stages of a replay. */
import { Slab } from '../../src/capture/slab.js';
import { hostFile } from '../../src/generate/hostfile.js';
import { GATEWAY, OUTSIDE } from '../../src/generate/profiles/gateway.js';
import { describeHostText } from '../../src/host/hostfile.js';
import { makeHost } from '../../src/host/machine.js';
import type { Host } from '../../src/host/types.js';
import { Engine } from '../../src/netfilter/engine.js';
import { ResultColumns } from '../../src/netfilter/results.js';
import { PacketColumns } from '../../src/packet/columns.js';
import { LINKTYPE_RAW } from '../../src/packet/link.js';
import { parseSlab } from '../../src/packet/parse.js';
import { parseRules } from '../../src/rules/parse.js';
import type { Ruleset } from '../../src/rules/types.js';
import {
  addressDnat,
  masqueradedNetwork,
  mixture,
  networkMasquerade,
  portDnat,
  type RuleText,
  serviceAddress,
  servicePort,
} from './rulesets.js';

export interface ConnectionKind {
  readonly name: string;
  rules(count: number): RuleText;
  /** A packet that matches rule k; `n`: one that differs for every connection. */
  packet(
    k: number,
    n: number,
  ): { protocol: number; source: number; destination: number; port: number; inside: boolean };
}

const TCP = 6;
const UDP = 17;
const client = (n: number): number => 0xc6120000 + (n % 100_000);

const toAddress = (k: number, n: number): ReturnType<ConnectionKind['packet']> => ({
  protocol: TCP,
  source: client(n),
  destination: serviceAddress(k),
  port: 80,
  inside: false,
});

/** `rules`: the most there will be. */
export function connectionKinds(rules: number): ConnectionKind[] {
  if (rules > 131_000) throw new RangeError('there are ports for 131,000 rules');
  return [
    {
      name: 'DNAT by port',
      rules: portDnat,
      packet(k, n) {
        const { protocol, port } = servicePort(k);
        return {
          protocol: protocol === 'tcp' ? TCP : UDP,
          source: client(n),
          destination: OUTSIDE.address,
          port,
          inside: false,
        };
      },
    },
    { name: 'DNAT by address and port', rules: addressDnat, packet: toAddress },
    {
      name: 'MASQUERADE by network',
      rules: networkMasquerade,
      packet: (k, n) => ({
        protocol: TCP,
        source: masqueradedNetwork(k) + (n & 15),
        destination: client(n),
        port: 443,
        inside: true,
      }),
    },
    {
      name: 'a mixture',
      rules: mixture,
      packet: (k, n) =>
        k % 2 === 0
          ? { protocol: TCP, source: client(n), destination: OUTSIDE.address, port: 1 + (k >>> 1), inside: false }
          : toAddress(k, n),
    },
  ];
}

const BATCH = 4096;
const BYTES = 40;
const slab = new Slab(BATCH * BYTES, BATCH);
const columns = new PacketColumns(BATCH);
const results = new ResultColumns(BATCH);
const rulesets = new Map<string, Ruleset>();

/** Nanoseconds for each of `connections` new connections to rules drawn evenly from a chain of `size`. */
export function measureConnections(kind: ConnectionKind, size: number, connections: number, fastPath: boolean): number {
  const key = `${kind.name} ${size}`;
  const ruleset = rulesets.get(key) ?? parseRules(kind.rules(size).text, { file: key, family: 4, unsupported: 'stop' });
  rulesets.set(key, ruleset);
  const host: Host = makeHost(describeHostText(JSON.stringify(hostFile(GATEWAY)), 'host.json'));
  const engine = new Engine(host, ruleset, { seed: 1, fastPath });
  const [inside, outside] = ['lan0', 'wan0'].map((name) => host.interfaceByName(name)?.index ?? -1) as [number, number];
  let nanoseconds = 0;
  let made = 0;
  // A quarter more, which comes first and is not timed.
  for (let from = -(connections >>> 2); from < connections; from += BATCH) {
    const many = Math.min(BATCH, connections - from);
    for (let i = 0; i < many; i++) {
      const n = from + i + (connections >>> 2);
      const k = Math.floor(((Math.imul(n + 1, 0x9e3779b1) >>> 0) / 2 ** 32) * size);
      const packet = kind.packet(k, n);
      write(i, packet, 1024 + (n % 60_000));
      results.ingress[i] = packet.inside ? inside : outside;
    }
    slab.records.count = many;
    slab.end = many * BYTES;
    parseSlab(slab, columns, [LINKTYPE_RAW], 'ignore');
    const start = performance.now();
    engine.track(slab, columns, results);
    if (from < 0) continue;
    nanoseconds += (performance.now() - start) * 1e6;
    made += many;
  }
  return nanoseconds / made;
}

/** A SYN or a datagram without data; checksums are not looked at. */
function write(i: number, packet: ReturnType<ConnectionKind['packet']>, sourcePort: number): void {
  const { records, view } = slab;
  const at = i * BYTES;
  slab.bytes.fill(0, at, at + BYTES);
  const length = packet.protocol === TCP ? 40 : 28;
  view.setUint16(at, 0x4500);
  view.setUint16(at + 2, length);
  view.setUint8(at + 8, 64);
  view.setUint8(at + 9, packet.protocol);
  view.setUint32(at + 12, packet.source);
  view.setUint32(at + 16, packet.destination);
  let sum = 0;
  for (let word = 0; word < 20; word += 2) sum += view.getUint16(at + word);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(at + 10, ~((sum & 0xffff) + (sum >>> 16)) & 0xffff);
  view.setUint16(at + 20, sourcePort);
  view.setUint16(at + 22, packet.port);
  if (packet.protocol === TCP) view.setUint16(at + 32, 0x5002);
  else view.setUint16(at + 24, 8);
  records.start[i] = at;
  records.frame[i] = at;
  records.capturedLength[i] = length;
  records.wireLength[i] = length;
  records.source[i] = 0;
  records.direction[i] = 0;
  records.seconds[i] = 1_700_000_000;
  records.nanoseconds[i] = 0;
  records.end[i] = at + length;
}
