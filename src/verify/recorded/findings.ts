/** Sorts what has no equal counterpart: disagreements, connection by connection, and what is none though it looks so. */
import type { Host, InterfaceIndex } from '../../host/types.js';
import { PROTO_ICMP, PROTO_ICMPV6, PROTO_TCP, PROTO_UDP, TCP_RST } from '../../packet/transport.js';
import { Tuple } from '../../packet/tuple.js';
import type { FieldDifference } from '../fields.js';
import { type Anatomy, connectionKey } from './packet.js';
import { reasonOfDifference, reasonOfMissing, reasonOfUnexplained } from './reasons.js';
import { differences } from './same.js';
import { type Origin, type Received, RecentTexts, type Sent } from './store.js';
import type { Finding, FindingKind, Prediction, RecordPlace, SetAside } from './types.js';

/** Connections told one by one; more are only counted. */
export const MOST_FINDINGS = 1000;
/** What leaves so soon after the capture's begin may have come in before it; the same at its end. */
const EDGE_MS = 100;
/** Longest that UDP's connections live without a packet (KERNEL.md F4): so long after the begin, one may be older. */
const UDP_LIFE_MS = 180_000;
/** Ports below are those of services (RFC 6335, system ports): a packet from one is an answer. */
const SERVICE_PORTS = 1024;

export interface FindingsOptions {
  readonly host: Host;
  /** File of a capture interface of the reader. */
  readonly fileOf: (source: number) => string;
  /** Whether records of an interface would be in the captures. */
  readonly isCaptured: (iface: InterfaceIndex) => boolean;
}

/** So many kept ports may be chance; more must not be so many times as often as chance has it. */
const FEW_UNDRAWN = 3;
const TOO_MANY_TIMES = 10;

/** A connection that kept its port though these rules draw one; `chance` that it does by itself. */
export interface Undrawn {
  readonly received: Received;
  readonly sent: Sent;
  readonly chance: number;
}

/** A finding as it grows. */
interface Draft {
  readonly packets: Finding['packets'];
  /** Of the packet that stands for all. */
  time: number;
  first: Omit<Finding, 'packets'> | undefined;
}

export class Findings {
  readonly counts: Record<FindingKind, number> = { differs: 0, missing: 0, unexplained: 0 };
  /** Connections that are not in the list any more. */
  omitted = 0;
  readonly setAside: SetAside = {
    answers: new Map(),
    own: 0,
    copies: 0,
    bridged: 0,
    beforeCapture: 0,
    cameElsewhere: 0,
    leftElsewhere: 0,
    atTheEnd: 0,
    notEvaluated: 0,
  };
  /** Time of the capture's first record, and of the last one seen so far. */
  begin = Number.POSITIVE_INFINITY;
  end = Number.NEGATIVE_INFINITY;
  /** No more records come. */
  ended = false;

  private readonly list: Draft[] = [];
  private readonly byConnection = new Map<string, Draft>();
  /** Time of the last record that each interface sent; that of no known interface first. */
  private readonly lastSentBy: number[] = [];
  private readonly older = new RecentTexts();
  /** TCP connections whose SYN is in the captures, on either side. */
  private readonly begun = new RecentTexts();
  private readonly agreeing = new RecentTexts();
  /** Connections whose packets the host took in, or refused; and who sent them. */
  private readonly kept = new RecentTexts();
  /** Connections that the host itself began. */
  private readonly begunByHost = new RecentTexts();
  private readonly senders = new RecentTexts();
  private readonly tuple = new Tuple();

  constructor(private readonly options: FindingsOptions) {}

  /** A record was sent by an interface. */
  noteSent(iface: InterfaceIndex, time: number): void {
    if (time > this.lastSent(iface)) this.lastSentBy[iface + 1] = time;
  }

  private lastSent(iface: InterfaceIndex): number {
    return this.lastSentBy[iface + 1] ?? Number.NEGATIVE_INFINITY;
  }

  /** A SYN, coming in or going out. */
  begins(packet: Anatomy): void {
    this.begun.add(connectionKey(packet));
  }

  hasBegun(packet: Anatomy): boolean {
    return this.begun.has(connectionKey(packet));
  }

  /** The connection's first packet in the captures does not begin it, unless a SYN was seen after all. */
  beganBefore(packet: Anatomy): void {
    const key = connectionKey(packet);
    if (!this.begun.has(key)) this.older.add(key);
  }

  /** A packet that the host kept for itself or refused, so that it may have answered. */
  keptByHost(packet: Anatomy, time: number): void {
    this.kept.add(connectionKey(packet), time);
    this.senders.add(packet.tuple(this.tuple).source.join());
  }

  /** At least one packet of this connection is as predicted. */
  agrees(packet: Anatomy): void {
    this.agreeing.add(connectionKey(packet));
  }

  missing(open: Received): void {
    if (!this.options.isCaptured(open.egress)) this.setAside.leftElsewhere++;
    else if (this.ended && open.time > this.end - EDGE_MS && open.time >= this.lastSent(open.egress))
      this.setAside.atTheEnd++;
    else this.add('missing', open, undefined, [], reasonOfMissing(this.agreeing.has(connectionKey(open.packet))));
  }

  /** `sent` is what the host made of `received`, and that is not what was predicted. */
  differs(received: Received, sent: Sent, known?: readonly FieldDifference[]): void {
    const fields = known ?? this.fieldsOf(received, sent);
    if (received.verdict === 'ignored') {
      this.setAside.notEvaluated++;
    } else if (this.isOlder(received, sent)) {
      this.setAside.beforeCapture++;
      this.beganBefore(received.packet);
      this.beganBefore(sent.packet);
    } else {
      this.add('differs', received, sent, fields, reasonOfDifference(received, sent, fields, this.options.host));
    }
  }

  /** The host sent it, and nothing that came in is its cause. */
  unexplained(sent: Sent): void {
    const { packet } = sent;
    const belongs = this.byConnection.has(connectionKey(packet));
    const own = this.isOwn(packet.tuple(this.tuple));
    if (!belongs && this.isAnswer(sent, own)) this.countAnswer(packet);
    else if (!belongs && !this.allCaptured()) this.setAside.cameElsewhere++;
    else if (!belongs && own) this.setAside.own++;
    else if (!belongs && sent.time < this.begin + EDGE_MS && !this.hasBegun(packet)) this.setAside.beforeCapture++;
    else this.add('unexplained', undefined, sent, [], reasonOfUnexplained(this.agreeing.has(connectionKey(packet))));
  }

  /** Connections that disagree, in the order of their first such packet. */
  get findings(): Finding[] {
    return [...this.list]
      .sort((a, b) => a.time - b.time)
      .flatMap(({ first, packets }) => (first === undefined ? [] : [{ ...first, packets }]));
  }

  private add(
    kind: FindingKind,
    received: Received | undefined,
    sent: Sent | undefined,
    fields: readonly FieldDifference[],
    reason: string,
  ): void {
    this.counts[kind]++;
    const keys = [received?.packet, received?.left, received?.became, sent?.packet].flatMap((each) =>
      each === undefined ? [] : [connectionKey(each)],
    );
    let finding = keys.map((key) => this.byConnection.get(key)).find((each) => each !== undefined);
    if (finding === undefined) {
      if (this.list.length >= MOST_FINDINGS) {
        this.omitted++;
        return;
      }
      finding = {
        packets: { differs: 0, missing: 0, unexplained: 0 },
        time: Number.POSITIVE_INFINITY,
        first: undefined,
      };
      this.list.push(finding);
    }
    // Differences are found sooner than what was not predicted at all, so the first one found need not be the first.
    const time = (received ?? sent)?.time ?? 0;
    if (time < finding.time) {
      finding.time = time;
      finding.first = {
        kind,
        incoming: received === undefined ? undefined : this.placeOf(received),
        recorded: sent === undefined ? undefined : this.placeOf(sent),
        predicted: received === undefined ? undefined : this.predictionOf(received),
        fields,
        reason,
      };
    }
    finding.packets[kind]++;
    for (const key of keys) if (!this.byConnection.has(key)) this.byConnection.set(key, finding);
  }

  private fieldsOf(received: Received, sent: Sent): FieldDifference[] {
    const { left } = received;
    const name = (index: InterfaceIndex): string => this.options.host.interfaces[index]?.name ?? 'unknown';
    if (left === undefined) return [{ field: 'verdict', kernel: 'forward', predicted: received.verdict }];
    const fields = differences(sent.packet, left);
    if (sent.iface >= 0 && sent.iface !== received.egress)
      fields.unshift({ field: 'egress', kernel: name(sent.iface), predicted: name(received.egress) });
    return fields;
  }

  /** Ports that the host kept though these rules draw them: by chance now and then, as a rule if its rules differ. */
  undrawn(kept: readonly Undrawn[], draws: number): void {
    const byChance = kept.reduce((sum, { chance }) => sum + chance, 0) * Math.max(1, draws / Math.max(1, kept.length));
    if (kept.length < FEW_UNDRAWN || kept.length < TOO_MANY_TIMES * byChance) return;
    for (const { received, sent } of kept) {
      this.add(
        'differs',
        received,
        sent,
        [],
        'the host kept its port, these rules draw one: they say --random, its do not',
      );
    }
  }

  private isOlder(received: Received, sent: Sent): boolean {
    const keys = [connectionKey(received.packet), connectionKey(sent.packet)];
    if (keys.some((key) => this.byConnection.has(key) || this.begun.has(key))) return false;
    return keys.some((key) => this.older.has(key)) || this.answersOlder(received);
  }

  /** UDP and echo do not say whether they begin something; but a reply that nobody asked for does. */
  private answersOlder({ packet, time }: Received): boolean {
    if (time > this.begin + UDP_LIFE_MS) return false;
    const { protocol, sourcePort, destinationPort } = packet.tuple(this.tuple);
    if (protocol === PROTO_UDP) return sourcePort < SERVICE_PORTS && destinationPort >= SERVICE_PORTS;
    const type = destinationPort >> 8;
    return (protocol === PROTO_ICMP && type === 0) || (protocol === PROTO_ICMPV6 && type === 129);
  }

  /** Whoever sent first began the connection. */
  private isAnswer({ packet, time }: Sent, own: boolean): boolean {
    const key = connectionKey(packet);
    if (own && packet.isIcmpError) return this.senders.has(packet.tuple(this.tuple).destination.join());
    if (this.kept.timeOf(key) < time && !this.begunByHost.has(key)) return true;
    if (own) this.begunByHost.add(key);
    return false;
  }

  private isOwn({ family, source }: Tuple): boolean {
    return this.options.host.addressType(family, source) === 'local';
  }

  private allCaptured(): boolean {
    const { host, isCaptured } = this.options;
    return host.interfaces.every(
      ({ index, loopback, up, master }) => loopback || !up || master !== undefined || isCaptured(index),
    );
  }

  private countAnswer(packet: Anatomy): void {
    const what = kindOfAnswer(packet);
    const answers = this.setAside.answers as Map<string, number>;
    answers.set(what, (answers.get(what) ?? 0) + 1);
  }

  placeOf(origin: Origin & { readonly packet: Anatomy }): RecordPlace {
    return {
      file: this.options.fileOf(origin.source),
      frame: origin.frame,
      iface: this.options.host.interfaces[origin.iface]?.name,
      packet: origin.packet.text,
    };
  }

  private predictionOf({ verdict, egress, left, became, rule, why }: Received): Prediction {
    return {
      verdict,
      iface: left === undefined ? undefined : this.options.host.interfaces[egress]?.name,
      packet: (left ?? became)?.text,
      rule: rule === '' ? undefined : rule,
      why: why === '' ? undefined : why,
    };
  }
}

function kindOfAnswer(packet: Anatomy): string {
  const { protocol, view, l4 } = packet;
  if (packet.isTcp) return (packet.tcpFlags & TCP_RST) !== 0 ? 'TCP resets' : 'TCP segments';
  if (protocol === PROTO_TCP) return 'TCP segments';
  if (protocol === PROTO_UDP) return 'UDP datagrams';
  if (protocol !== PROTO_ICMP && protocol !== PROTO_ICMPV6) return 'others';
  if (packet.isIcmpError) return 'ICMP errors';
  const type = packet.has(1) ? view.getUint8(l4) : -1;
  return type === (protocol === PROTO_ICMP ? 0 : 129) ? 'echo replies' : 'other ICMP';
}
