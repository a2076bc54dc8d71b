/**
 * Explaining one packet: it is really played through the engine, together with what comes before it, and so is the answer
 * to it.
 */
import { Slab } from '../capture/slab.js';
import { NatreplayError } from '../errors.js';
import { inferHost } from '../host/infer/infer.js';
import type { Host, InterfaceIndex } from '../host/types.js';
import { INGRESS_LOCAL, INGRESS_UNKNOWN, ResultColumns } from '../netfilter/results.js';
import { PacketColumns } from '../packet/columns.js';
import { LINKTYPE_ETHERNET } from '../packet/link.js';
import { parseSlab } from '../packet/parse.js';
import { PROTO_SCTP, PROTO_TCP, TCP_ACK, TCP_PSH, TCP_SYN } from '../packet/transport.js';
import { LOCAL_NAME } from '../pipeline/ingress.js';
import { didYouMean } from '../rules/nearest.js';
import { buildPacket, type Numbers } from './bytes.js';
import type { Explanation, Journey } from './model.js';
import type { PacketSpec } from './packettext.js';
import { Player, type PlayerOptions, type Watched } from './player.js';
import { ANSWERS_FROM, replyTo, SCTP_CLIENT_TAG } from './replies.js';

/** Where the end that begins a connection begins to count. */
const BEGINS_FROM = SCTP_CLIENT_TAG;
/** When packets are sent whose text does not say it: 2026-01-01T00:00:00Z. */
const EPOCH = 1_767_225_600;
const MILLISECOND = 1_000_000;
/** Between packets, so that none of them is at the same time as another. */
const PAUSE = 10;
const MAC_LENGTH = 6;
const ETHERNET_HEADER = 14;
/** The sender of a frame of which nothing is said, and the host's where its own address is not known. */
const NEIGHBOUR = Uint8Array.of(0x02, 0x6e, 0x72, 0, 0, 1);
const HOST_MAC = Uint8Array.of(0x02, 0x6e, 0x72, 0, 0, 2);

export interface ExplainedPacket {
  readonly explanation: Explanation;
  readonly host: Host;
}

/** Explains a packet that is stated in words; without a host one is inferred. Throws USAGE_UNKNOWN_INTERFACE. */
export function explainPacket(
  spec: PacketSpec,
  options: Omit<PlayerOptions, 'host'> & { readonly host: Host | undefined },
): ExplainedPacket {
  const host = options.host ?? inferFor(spec, options);
  return { explanation: explainOn(spec, { ...options, host }), host };
}

function inferFor(spec: PacketSpec, { rules, rules6 }: Pick<PlayerOptions, 'rules' | 'rules6'>): Host {
  const rulesets = [rules, rules6].filter((ruleset) => ruleset !== undefined);
  const iface = spec.iface === LOCAL_NAME ? undefined : spec.iface;
  return inferHost({ rulesets, samples: [{ ...spec, iface }] });
}

function explainOn(spec: PacketSpec, options: PlayerOptions): Explanation {
  const sender = new Sender(new Player(options), options.host, spec.seconds ?? EPOCH);
  const origin = originOf(spec, options.host);
  const { protocol } = spec;
  if (!spec.established) {
    const flags = spec.tcpFlags ?? TCP_SYN;
    const seq = BEGINS_FROM;
    const watched = sender.send(
      buildPacket(spec, flags, { seq, ack: ANSWERS_FROM * ((flags & TCP_ACK) >> 4) }),
      origin,
    );
    return withReply(sender, watched, 0, undefined);
  }
  const first = sender.send(buildPacket({ ...spec, payload: 0 }, TCP_SYN, { seq: BEGINS_FROM, ack: 0 }), origin);
  const answered = sender.reply(first);
  // The third packet of TCP's handshake; SCTP's third is the one that is explained.
  if (protocol === PROTO_TCP && answered !== undefined && typeof answered !== 'string') sender.reply(answered);
  const later: Numbers =
    protocol === PROTO_SCTP ? { seq: BEGINS_FROM, ack: ANSWERS_FROM } : { seq: BEGINS_FROM + 1, ack: ANSWERS_FROM + 1 };
  const flags = spec.tcpFlags ?? (spec.payload > 0 ? TCP_PSH | TCP_ACK : TCP_ACK);
  const before = sender.sent;
  const watched = sender.send(buildPacket(spec, flags, later), origin);
  return withReply(sender, watched, before, first.journey);
}

function withReply(sender: Sender, watched: Watched, played: number, first: Journey | undefined): Explanation {
  const reply = sender.reply(watched);
  return {
    played,
    first,
    journey: watched.journey,
    reply: typeof reply === 'string' ? undefined : reply.journey,
    noReply: typeof reply === 'string' ? reply : undefined,
  };
}

/** Where packets come from, and what their frames and they have beside their bytes. */
interface Origin {
  readonly ingress: InterfaceIndex;
  readonly sender: Uint8Array;
  /** Undefined: the MAC of the interface it comes in by. */
  readonly receiver?: Uint8Array | undefined;
  readonly mark: number;
}

function originOf({ iface, mac, mark }: PacketSpec, host: Host): Origin {
  return { ingress: ingressOf(iface, host), sender: mac ?? NEIGHBOUR, mark };
}

function ingressOf(name: string | undefined, host: Host): number {
  if (name === undefined) return INGRESS_UNKNOWN;
  if (name === LOCAL_NAME) return INGRESS_LOCAL;
  const found = host.interfaceByName(name);
  if (found !== undefined) return found.index;
  const names = host.interfaces.map((iface) => iface.name);
  throw new NatreplayError('USAGE_UNKNOWN_INTERFACE', `the host has no interface ${name}`, {
    advice: didYouMean(name, names, `it has ${names.join(', ')}; state it with --iface ${name}=ADDRESS/LENGTH`),
  });
}

/** Puts packets into frames of its own, and answers them. */
export class Sender {
  sent = 0;
  private readonly slab = new Slab(1 << 17, 1);
  private readonly columns = new PacketColumns(1);
  private readonly results = new ResultColumns(1);

  constructor(
    private readonly player: Player,
    private readonly host: Host,
    private readonly seconds: number,
    private readonly nanoseconds = 0,
  ) {}

  /** `packet`: from the IP header on. */
  send(packet: Uint8Array, origin: Origin): Watched {
    const { slab, columns, results } = this;
    this.load(frameOf(packet, origin, this.host));
    parseSlab(slab, columns, [LINKTYPE_ETHERNET], 'offload');
    results.ingress[0] = origin.ingress;
    this.player.engine.arriveWith(origin.mark);
    const watched = this.player.watch(slab, columns, results, 0);
    this.player.engine.arriveWith(0);
    this.sent++;
    return watched;
  }

  /** The answer of the one who got a packet; a text says why there is none. */
  reply(to: Watched, macs?: Pick<Origin, 'sender' | 'receiver'>): Watched | string {
    const { journey, bytes, bridged } = to;
    const { verdict, out } = journey.outcome;
    if (bytes === undefined || (verdict !== 'forward' && verdict !== 'local'))
      return NO_REPLY.get(verdict) ?? 'it is dropped';
    const answer = replyTo(bytes);
    if (typeof answer === 'string') return answer;
    const ingress =
      verdict === 'local' ? INGRESS_LOCAL : (this.host.interfaceByName(out ?? '')?.index ?? INGRESS_UNKNOWN);
    const ends = bridged && macs !== undefined ? macs : { sender: NEIGHBOUR };
    return this.send(answer, { ...ends, ingress, mark: 0 });
  }

  private load(frame: Uint8Array): void {
    const { records, bytes } = this.slab;
    bytes.set(frame);
    this.slab.end = frame.length;
    records.count = 1;
    records.shortened = 0;
    records.start[0] = 0;
    records.frame[0] = 0;
    records.end[0] = frame.length;
    records.capturedLength[0] = frame.length;
    records.wireLength[0] = frame.length;
    records.source[0] = 0;
    records.direction[0] = 0;
    const nanoseconds = this.nanoseconds + this.sent * PAUSE * MILLISECOND;
    records.seconds[0] = this.seconds + Math.floor(nanoseconds / 1e9);
    records.nanoseconds[0] = nanoseconds % 1e9;
  }
}

const NO_REPLY = new Map<string, string>([
  ['drop', 'it is dropped'],
  ['held', 'it waits for the other fragments of its datagram'],
  ['outgoing', 'it is a record of what the host itself sent'],
  ['ignored', 'it takes no way through the host'],
]);

/** Ethernet around a packet: to the interface's own address, or to the group that the packet is for. */
function frameOf(packet: Uint8Array, { ingress, sender, receiver }: Origin, host: Host): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER + packet.length);
  const isIpv6 = (packet[0] ?? 0) >> 4 === 6;
  frame.set(groupMac(packet, host) ?? receiver ?? host.interfaces[ingress]?.mac ?? HOST_MAC);
  frame.set(sender, MAC_LENGTH);
  frame.set(isIpv6 ? [0x86, 0xdd] : [0x08, 0x00], 2 * MAC_LENGTH);
  frame.set(packet, ETHERNET_HEADER);
  return frame;
}

/** RFC 1112 section 6.4, RFC 2464 section 7. */
function groupMac(packet: Uint8Array, host: Host): Uint8Array | undefined {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  if (view.getUint8(0) >> 4 === 6) {
    if (view.getUint8(24) !== 0xff) return undefined;
    return Uint8Array.of(0x33, 0x33, ...packet.subarray(36, 40));
  }
  const words = Uint32Array.of(view.getUint32(16), 0, 0, 0);
  const type = host.addressType(4, words);
  if (type === 'broadcast') return new Uint8Array(MAC_LENGTH).fill(0xff);
  if (type !== 'multicast') return undefined;
  return Uint8Array.of(1, 0, 0x5e, (packet[17] ?? 0) & 0x7f, packet[18] ?? 0, packet[19] ?? 0);
}
