/**
 * A host with rules, as a test states it in a few words, that packets are sent through one by one or by the slab: the
 * very stages of a replay (parse, track) without its files.
 */
import { Slab } from '../../src/capture/slab.js';
import { hostFromOptions } from '../../src/host/hostoptions.js';
import type { Host } from '../../src/host/types.js';
import { Engine } from '../../src/netfilter/engine.js';
import {
  INGRESS_LOCAL,
  INGRESS_UNKNOWN,
  NAT_DESTINATION,
  NAT_SOURCE,
  ResultColumns,
} from '../../src/netfilter/results.js';
import { KIND_IPV6, PacketColumns } from '../../src/packet/columns.js';
import { LINKTYPE_RAW } from '../../src/packet/link.js';
import { type ChecksumMode, parseSlab } from '../../src/packet/parse.js';
import { connectionEntries } from '../../src/pipeline/connections.js';
import { VERDICT_NAMES } from '../../src/pipeline/packetlog.js';
import { conntrackText } from '../../src/report/conntrack.js';
import type { Verdict } from '../../src/report/types.js';
import { parseRules } from '../../src/rules/parse.js';
import { say } from './packets.js';

export interface GatewayOptions {
  /** As `--iface` and `--route` take them. */
  readonly iface: readonly string[];
  readonly route?: readonly string[];
  /** iptables-save text; undefined: no rules at all. */
  readonly rules?: string;
  /** ip6tables-save text. */
  readonly rules6?: string;
  readonly sysctl?: Readonly<Record<string, string>>;
  readonly checksums?: ChecksumMode;
  readonly seed?: number;
  readonly fastPath?: boolean;
  readonly backend?: 'legacy' | 'nft';
}

export interface Sent {
  /** Interface it comes in by; `@local`: the host sends it; `?`: not stated. */
  readonly iface: string;
  readonly packet: Uint8Array;
  /** Capture time in seconds; default: that of the packet before. */
  readonly at?: number;
  /** What the snaplen left of it; default all. */
  readonly captured?: number;
}

export interface Outcome {
  readonly verdict: Verdict;
  /** Egress interface of a forwarded packet, else ''. */
  readonly out: string;
  readonly state: string;
  /** `dnat`, `snat`, `dnat+snat` or ''. */
  readonly nat: string;
  /** Rules that translated it, destination's first, joined by +. */
  readonly rule: string;
  readonly why: string;
  /** The packet as it is now. */
  readonly packet: Uint8Array;
  /** The same in words. */
  readonly text: string;
}

const STATES = ['invalid', 'new', 'established', 'related', 'untracked', ''];
const RECORDS = 1024;
const BYTES = 1 << 20;
/** Shared by all gateways: nothing of a slab outlives `run`. */
const slab = new Slab(BYTES, RECORDS);
const columns = new PacketColumns(RECORDS);
const results = new ResultColumns(RECORDS);

export class TestGateway {
  readonly host: Host;
  readonly engine: Engine;
  private readonly checksums: ChecksumMode;
  private time = 1_700_000_000;

  constructor({
    iface,
    route,
    rules,
    rules6: text6,
    sysctl = {},
    checksums = 'verify',
    seed = 1,
    fastPath = true,
    backend,
  }: GatewayOptions) {
    this.host = withSysctls(hostFromOptions({ iface, route }), sysctl);
    const ruleset =
      rules === undefined ? undefined : parseRules(rules, { file: 'rules', family: 4, unsupported: 'stop' });
    const rules6 =
      text6 === undefined ? undefined : parseRules(text6, { file: 'rules6', family: 6, unsupported: 'stop' });
    this.engine = new Engine(this.host, ruleset, { rules6, seed, fastPath, backend });
    this.checksums = checksums;
  }

  /** Sends one packet, `after` seconds later than the one before. */
  send(iface: string, packet: Uint8Array, after = 0): Outcome {
    const [outcome] = this.run([{ iface, packet, at: this.time + after }]);
    if (outcome === undefined) throw new Error('a packet without an outcome');
    return outcome;
  }

  /** Names of the interfaces that the first `count` records last run were taken to have come in by. */
  ingresses(count: number): string[] {
    return Array.from(results.ingress.subarray(0, count), (index) => this.host.interfaces[index]?.name ?? '');
  }

  /** Sends packets as the records of one slab. */
  run(packets: readonly Sent[]): Outcome[] {
    const { records } = slab;
    let at = 0;
    packets.forEach(({ iface, packet, at: time = this.time, captured = packet.length }, i) => {
      this.time = time;
      slab.bytes.set(packet.subarray(0, captured), at);
      records.start[i] = at;
      records.frame[i] = at;
      records.capturedLength[i] = captured;
      records.wireLength[i] = packet.length;
      records.source[i] = 0;
      records.direction[i] = 0;
      records.seconds[i] = Math.floor(time);
      records.nanoseconds[i] = Math.round((time % 1) * 1e9);
      at += captured;
      records.end[i] = at;
      results.ingress[i] = this.ingress(iface);
    });
    records.count = packets.length;
    slab.end = at;
    parseSlab(slab, columns, [LINKTYPE_RAW], this.checksums);
    this.engine.track(slab, columns, results);
    return packets.map((_, i) => this.outcome(i));
  }

  /** `packets:bytes` of `nat:POSTROUTING:1`, `filter:FORWARD:policy`, ... */
  counter(name: string): string {
    this.engine.flushCounters();
    const id = this.engine.counters.names.indexOf(name);
    if (id < 0) throw new Error(`no counter ${name}`);
    return `${this.engine.counters.packets[id]}:${this.engine.counters.bytes[id]}`;
  }

  /** The same of the IPv6 rules. */
  counter6(name: string): string {
    const { names, packets, bytes } = this.engine.ipv6?.counters ?? this.engine.counters;
    const id = names.indexOf(name);
    if (id < 0) throw new Error(`no counter ${name}`);
    return `${packets[id]}:${bytes[id]}`;
  }

  /** Every rule and policy with its counters. */
  counters(): Record<string, string> {
    return Object.fromEntries(this.engine.counters.names.map((name) => [name, this.counter(name)]));
  }

  /** `conntrack -L`, a line each, without the closing count. */
  connections(): string[] {
    return [...conntrackText(connectionEntries(this.engine))]
      .join('')
      .split('\n')
      .filter((line) => line !== '');
  }

  private ingress(name: string): number {
    if (name === '@local') return INGRESS_LOCAL;
    if (name === '?') return INGRESS_UNKNOWN;
    const iface = this.host.interfaceByName(name);
    if (iface === undefined) throw new Error(`no interface ${name}`);
    return iface.index;
  }

  private outcome(i: number): Outcome {
    const nat = results.nat[i] ?? 0;
    const stack = columns.kind[i] === KIND_IPV6 ? this.engine.ipv6 : this.engine;
    const names = stack?.counters.names ?? [];
    const rules = [
      (nat & NAT_DESTINATION) !== 0 ? names[results.dnatRule[i] ?? -1] : undefined,
      (nat & NAT_SOURCE) !== 0 ? names[results.snatRule[i] ?? -1] : undefined,
    ];
    const from = slab.records.frame[i] ?? 0;
    const packet = Uint8Array.from(slab.bytes.slice(from, from + (slab.records.capturedLength[i] ?? 0)));
    return {
      verdict: VERDICT_NAMES[results.verdict[i] ?? 0] ?? 'ignored',
      out: this.host.interfaces[results.egress[i] ?? -1]?.name ?? '',
      state: STATES[results.state[i] ?? 5] ?? '',
      nat: ['', 'snat', 'dnat', 'dnat+snat'][nat] ?? '',
      rule: rules.filter((rule) => rule !== undefined).join('+'),
      why: this.engine.reasons.words[results.why[i] ?? 0] ?? '',
      packet,
      text: say(packet),
    };
  }
}

/** The host with these sysctls over its own. */
/** The host with other sysctls than it states. */
export function withSysctls(host: Host, sysctl: Readonly<Record<string, string>>): Host {
  const over = Object.create(host) as { sysctl: Host['sysctl'] };
  over.sysctl = (name) => sysctl[name] ?? host.sysctl(name);
  return over as Host;
}

const CHAINS = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
} as const;

/** A table of iptables-save text. Lines are rules without `-A`, or `:CHAIN POLICY` for chains and policies. */
export function table(name: keyof typeof CHAINS, ...lines: readonly string[]): string {
  const stated = lines.filter((line) => line.startsWith(':')).map((line) => `${line} [0:0]`);
  const others = CHAINS[name].filter((chain) => !stated.some((line) => line.startsWith(`:${chain} `)));
  const rules = lines.filter((line) => !line.startsWith(':')).map((line) => `-A ${line}`);
  return [`*${name}`, ...others.map((chain) => `:${chain} ACCEPT [0:0]`), ...stated, ...rules, 'COMMIT', ''].join('\n');
}

/** Docker's host and rules for `-p 8799:1337` (172.17.0.3) and `-p 80:80` (172.17.0.4). */
export const DOCKER: GatewayOptions = {
  iface: ['eth0=192.0.2.1/24', 'docker0=172.17.0.1/16'],
  route: ['default=192.0.2.254@eth0'],
  rules: table(
    'nat',
    ':DOCKER -',
    'PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
    'OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER',
    'POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE',
    'DOCKER -i docker0 -j RETURN',
    'DOCKER ! -i docker0 -p tcp -m tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337',
    'DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.4:80',
  ),
};

/** A home gateway: lan 192.168.1.0/24 behind wan 203.0.113.5. */
export const HOME: GatewayOptions = {
  iface: ['lan=192.168.1.1/24', 'wan=203.0.113.5/24'],
  route: ['default=203.0.113.1@wan'],
  rules: table('nat', 'POSTROUTING -o wan -j MASQUERADE'),
};

/** The same gateway with these NAT rules instead. */
export const homeWith = (...rules: readonly string[]): GatewayOptions => ({ ...HOME, rules: table('nat', ...rules) });

/** The parsed slab of frames, for tests of parsing alone. */
export interface ParsedFrame {
  readonly frame: Uint8Array;
  readonly linkType?: number;
  readonly captured?: number;
  readonly direction?: number;
}

/** Parses frames as the records of one slab; the columns are good until the next call. */
export function parseFrames(
  frames: readonly ParsedFrame[],
  checksums: ChecksumMode = 'verify',
): { columns: PacketColumns; slab: Slab } {
  const { records } = slab;
  const linkTypes: number[] = [];
  let at = 64;
  frames.forEach(({ frame, linkType = 1, captured = frame.length, direction = 0 }, i) => {
    slab.bytes.set(frame.subarray(0, captured), at);
    records.start[i] = at;
    records.frame[i] = at;
    records.capturedLength[i] = captured;
    records.wireLength[i] = frame.length;
    records.source[i] = i;
    records.direction[i] = direction;
    linkTypes.push(linkType);
    at += captured;
    records.end[i] = at;
  });
  records.count = frames.length;
  slab.end = at;
  parseSlab(slab, columns, linkTypes, checksums);
  return { columns, slab };
}
