/** Packets one by one: for programs that have packets rather than files. */
import { Slab } from '../capture/slab.js';
import type { CaptureInterface } from '../capture/types.js';
import { NatreplayError } from '../errors.js';
import type { Host } from '../host/types.js';
import type { RuleCounterTable } from '../netfilter/compile.js';
import { Engine } from '../netfilter/engine.js';
import type { PortChooser } from '../netfilter/nat/portchoice.js';
import { EGRESS_REPLACED, ResultColumns } from '../netfilter/results.js';
import { PacketColumns } from '../packet/columns.js';
import { LINKTYPE_ETHERNET } from '../packet/link.js';
import { type ChecksumMode, parseSlab } from '../packet/parse.js';
import type { ConnectionEntry, PacketLogEntry } from '../report/types.js';
import { printRules } from '../rules/print.js';
import type { Ruleset, TableName } from '../rules/types.js';
import { connectionEntries } from './connections.js';
import { IngressStage, LOCAL_NAME } from './ingress.js';
import { OutputStage } from './outputs.js';
import { PacketLogStage } from './packetlog.js';
import { cutPadding } from './padding.js';

export interface ReplayerOptions {
  readonly host: Host;
  /** IPv4 rules; undefined: packets are only routed. */
  readonly rules?: Ruleset | undefined;
  /** IPv6 rules; undefined: IPv6 packets are only routed. */
  readonly rules6?: Ruleset | undefined;
  /** Seed of every random choice; default 1. */
  readonly seed?: number | undefined;
  /** Default `offload`. */
  readonly checksums?: ChecksumMode | undefined;
  /** Knows ports that a real host drew at random. */
  readonly portChooser?: PortChooser | undefined;
  /** Make the host's own answers to packets that it refuses: the `answers` of a result. */
  readonly hostPackets?: boolean | undefined;
  /** The only tables to be evaluated, of both families; undefined: all. */
  readonly tables?: readonly TableName[] | undefined;
}

export interface ReplayerPacket {
  /** The frame, link-layer header included; it is not changed. */
  readonly frame: Uint8Array;
  /** Interface it came in by; `@local`: the host itself sent it; undefined: the one towards its sender. */
  readonly iface?: string | undefined;
  /** LINKTYPE_* number of the pcap registry; default Ethernet (1). */
  readonly linkType?: number | undefined;
  /** Time in seconds since 1970 and nanoseconds; connections expire by it. Default: the time of the packet before. */
  readonly seconds?: number | undefined;
  readonly nanoseconds?: number | undefined;
}

/** What became of a packet: the words of the packet log, and the bytes. */
export interface ReplayerResult extends Omit<PacketLogEntry, 'i' | 'ts' | 'out'> {
  /** Interface it leaves by; undefined unless it is forwarded. */
  readonly egress: string | undefined;
  /** The frame as it leaves, or as the host gets it; undefined when it is dropped. */
  readonly frame: Uint8Array | undefined;
  /** All frames it leaves in: several where it is a datagram in fragments. A fragment that waits has none. */
  readonly frames: readonly Uint8Array[];
  /** What the host itself says about a packet that it drops, with `hostPackets`; else none. */
  readonly answers: readonly HostAnswerFrame[];
}

export interface HostAnswerFrame {
  /** Interface it leaves by. */
  readonly egress: string;
  readonly frame: Uint8Array;
}

/** Frames larger than the slab make it grow. */
const SLAB_BYTES = 128 * 1024;

/**
 * A host that packets are fed to. Each packet is judged after all before it, as on the real one.
 *
 *     const replayer = new Replayer({ host, rules });
 *     const { verdict, egress, frame } = replayer.feed({ iface: 'eth0', frame: bytes });
 */
export class Replayer {
  readonly engine: Engine;
  private readonly interfaces: CaptureInterface[] = [];
  private readonly linkTypes: number[] = [];
  private readonly sources = new Map<string, number>();
  private slab = new Slab(SLAB_BYTES, 1);
  private readonly columns = new PacketColumns(1);
  private readonly results = new ResultColumns(1);
  private readonly output = new Int32Array(1);
  private readonly position = new Int32Array(1);
  private readonly ingress: IngressStage;
  private readonly outputs: OutputStage;
  private readonly log: PacketLogStage;
  private seconds = 0;
  private nanoseconds = 0;

  constructor(private readonly options: ReplayerOptions) {
    const { host, rules, rules6, seed = 1, portChooser, checksums, hostPackets, tables } = options;
    this.engine = new Engine(host, rules, { rules6, seed, portChooser, checksums, hostPackets, tables });
    this.ingress = new IngressStage(host, this.interfaces, true);
    const policy = { copyIgnored: true, copyOutgoing: false, writeLocal: true, split: false };
    this.outputs = new OutputStage(host, this.interfaces, policy);
    this.log = new PacketLogStage(host, this.engine, this.interfaces, this.outputs);
  }

  /** Sends a packet through the host. Throws USAGE_UNKNOWN_INTERFACE for an interface the host does not have. */
  feed(packet: ReplayerPacket): ReplayerResult {
    this.load(packet);
    const { slab, columns, results, output, position } = this;
    parseSlab(slab, columns, this.linkTypes, this.options.checksums ?? 'offload');
    this.ingress.run(slab, columns, results);
    this.log.remember(slab, columns, 0, 1);
    this.engine.track(slab, columns, results);
    const extras = this.outputs.runWith(this.engine.extras.splice(0), slab, results, output, position, 0, 1);
    cutPadding(slab, columns, results);
    const entry = this.log.entry(slab, columns, results, output, position, 0, extras);
    const { i: _i, ts: _ts, out: _out, ...words } = entry;
    const passes = words.verdict === 'forward' || words.verdict === 'local' || words.verdict === 'ignored';
    const own = passes ? [slab.bytes.slice(0, slab.records.capturedLength[0])] : [];
    const { host } = this.options;
    const replaced = results.egress[0] === EGRESS_REPLACED;
    const frames = replaced ? extras.map(({ frame }) => frame) : own;
    const egress = replaced ? extras[0]?.output : output[0];
    return {
      ...words,
      egress: words.verdict === 'forward' ? (this.outputs.name(egress ?? -1) ?? undefined) : undefined,
      frame: frames[0],
      frames,
      answers: replaced
        ? []
        : extras.map((extra) => ({ egress: host.interfaces[extra.output]?.name ?? '', frame: extra.frame })),
    };
  }

  /** The rules with their counters, as `iptables-save -c` prints them; '' without rules. */
  counters(): string {
    this.engine.flushCounters();
    return savedText(this.options.rules, this.engine.counters);
  }

  /** The same for the IPv6 rules, as `ip6tables-save -c` prints them. */
  counters6(): string {
    return savedText(this.options.rules6, this.engine.ipv6?.counters);
  }

  /** The connections alive at the time of the last packet. */
  connections(): ConnectionEntry[] {
    return [...connectionEntries(this.engine)];
  }

  private load(packet: ReplayerPacket): void {
    const { frame } = packet;
    if (frame.length > this.slab.bytes.length) this.slab = new Slab(frame.length, 1);
    const { slab } = this;
    const { records } = slab;
    slab.bytes.set(frame);
    slab.end = frame.length;
    this.seconds = packet.seconds ?? this.seconds;
    this.nanoseconds = packet.nanoseconds ?? (packet.seconds === undefined ? this.nanoseconds : 0);
    records.count = 1;
    records.shortened = 0;
    records.start[0] = 0;
    records.end[0] = frame.length;
    records.frame[0] = 0;
    records.capturedLength[0] = frame.length;
    records.wireLength[0] = frame.length;
    records.direction[0] = 0;
    records.source[0] = this.sourceOf(packet.iface, packet.linkType ?? LINKTYPE_ETHERNET);
    records.seconds[0] = this.seconds;
    records.nanoseconds[0] = this.nanoseconds;
  }

  /** A capture interface for each pair of interface and link type that turns up. */
  private sourceOf(iface: string | undefined, linkType: number): number {
    const key = `${linkType} ${iface ?? ''}`;
    const known = this.sources.get(key);
    if (known !== undefined) return known;
    const { host } = this.options;
    if (iface !== undefined && iface !== LOCAL_NAME && host.interfaceByName(iface) === undefined)
      throw new NatreplayError('USAGE_UNKNOWN_INTERFACE', `the host has no interface ${iface}`, {
        advice: `it has ${host.interfaces.map(({ name }) => name).join(', ')}`,
      });
    const fresh = this.interfaces.push({ name: undefined, linkType, snaplen: 0, assignedName: iface }) - 1;
    this.linkTypes.push(linkType);
    this.sources.set(key, fresh);
    return fresh;
  }
}

function savedText(rules: Ruleset | undefined, counters: RuleCounterTable | undefined): string {
  if (rules === undefined || counters === undefined) return '';
  return printRules(rules, {
    counters: true,
    countersOf: (table, chain, rule) => {
      const id = counters.id(table, chain, rule) ?? -1;
      return { packets: counters.packets[id] ?? 0, bytes: counters.bytes[id] ?? 0 };
    },
  });
}
