/**
 * Seeded random traffic for a gateway that is really there: handshakes, data, closes, resets and retransmissions, UDP
 * both ways, pings, protocols without ports, ICMP errors, broken packets, and source ports few enough to collide.
 * Nothing is assumed of the rules: a server answers what the kernel actually sent to it, so replies go to whatever
 * address and port the kernel chose.
 */
import { ipPacket } from '../../src/verify/compare.js';
import {
  FROM_HOST,
  type Gateway,
  type KernelDelivery,
  type KernelOutput,
  type KernelPacket,
} from '../../src/verify/gateway.js';
import { asHostSends } from '../../src/verify/hostpacket.js';
import { fragmentsOf } from './fragments.js';
import { ALL_ODDITIES6, addressText, type Oddity6, SPOIL6, upperLayer } from './oddities6.js';
import { ether, icmp, ip, tcp, udp } from './packets.js';
import { SeededRandom } from './random.js';

/** Somebody who opens connections. */
export interface Client {
  readonly iface: string;
  readonly address: string;
}

/** Something that connections are opened to. */
export interface Target {
  /** Interfaces whose clients may open connections to it. */
  readonly from: readonly string[];
  readonly address: string;
  readonly tcp?: readonly number[];
  readonly udp?: readonly number[];
  readonly ping?: boolean;
  /** IP protocols without ports. */
  readonly protocols?: readonly number[];
}

export interface TrafficPlan {
  readonly clients: readonly Client[];
  readonly targets: readonly Target[];
  /** Few of them make collisions. */
  readonly sourcePorts: readonly number[];
  /** Share of packets that are broken or out of place, 0..1. */
  readonly odd?: number;
  /** What is odd about them; default: everything there is. */
  readonly oddities?: readonly Oddity[];
  /** The same for IPv6 packets. */
  readonly oddities6?: readonly Oddity6[];
  /** Share of packets that come in fragments, 0..1; some of those out of order, twice, overlapping or not at all. */
  readonly fragments?: number;
  /** Share of packets that are ICMP errors about packets seen before, 0..1. */
  readonly errors?: number;
  /** Share of steps that open a new connection, 0..1. */
  readonly open?: number;
  /**
   * The host itself opens this share of the connections, from one of its addresses or from loopback, and answers those
   * that are opened to it. Undefined: it says nothing.
   */
  readonly host?: { readonly share: number; readonly addresses: readonly string[] } | undefined;
}

export interface SentPacket extends KernelPacket {
  /** When it was sent, milliseconds since 1970. */
  readonly time: number;
}

export interface TrafficRun {
  readonly packets: readonly SentPacket[];
  readonly outputs: readonly KernelOutput[];
  readonly delivered: readonly KernelDelivery[];
}

/** One side of a flow as the other sees it: addresses and ports in the packets that this side sends. */
interface Side {
  readonly iface: string;
  readonly own: string;
  readonly ownPort: number;
  readonly peer: string;
  readonly peerPort: number;
}

interface Flow {
  readonly protocol: number;
  readonly client: Side;
  /** Known once the kernel has sent it something. */
  server: Side | undefined;
  /** Next sequence numbers of client and server. */
  clientSeq: number;
  serverSeq: number;
  synced: boolean;
  /** Last packet of each side, for retransmissions and ICMP errors. */
  lastSent: KernelPacket | undefined;
  /** What arrived at the server last, as it saw it, and where. */
  arrived: { readonly iface: string; readonly packet: Uint8Array } | undefined;
}

/** Packets that are sent before the answers of the kernel are looked at. */
const ROUND = 24;
const TCP = 6;
const UDP = 17;
const ICMP = 1;
const ICMPV6 = 58;

/** Sends `count` packets and returns them with what became of each. The same seed makes the same choices. */
export async function runTraffic(
  gateway: Pick<Gateway, 'send'>,
  plan: TrafficPlan,
  seed: number,
  count: number,
): Promise<TrafficRun> {
  const traffic = new Traffic(plan, new SeededRandom(seed));
  const packets: SentPacket[] = [];
  const outputs: KernelOutput[] = [];
  const delivered: KernelDelivery[] = [];
  while (packets.length < count) {
    const first = packets.length;
    const round = traffic.round(Math.min(ROUND, count - first));
    const time = Date.now();
    const result = await gateway.send(round.map((step) => step.packet));
    packets.push(...round.map((step, i) => ({ ...step.packet, time: result.times[i] ?? time })));
    outputs.push(...result.outputs);
    delivered.push(...result.delivered);
    for (const output of result.outputs) {
      const step = round[output.input - first];
      if (step?.fromClient === true) traffic.learn(step.flow, output.iface, ipPacket(output.frame));
    }
    for (const { input, packet } of plan.host === undefined ? [] : result.delivered) {
      const step = round[input - first];
      if (step?.fromClient === true) traffic.learn(step.flow, FROM_HOST, packet);
    }
  }
  return { packets, outputs, delivered };
}

interface Step {
  readonly flow: Flow;
  readonly fromClient: boolean;
  readonly packet: KernelPacket;
}

class Traffic {
  readonly #flows: Flow[] = [];
  /** Fragments that are still to be sent. */
  readonly #waiting: Step[] = [];

  constructor(
    readonly plan: TrafficPlan,
    readonly random: SeededRandom,
  ) {}

  round(count: number): Step[] {
    return Array.from({ length: count }, () => this.#waiting.shift() ?? this.#cut(this.#step()));
  }

  /** The step, or the first of the fragments it comes in. */
  #cut(step: Step): Step {
    const { random, plan } = this;
    if (!random.chance(plan.fragments ?? 0)) return step;
    const pieces = fragmentsOf(random, step.packet.frame);
    const steps = pieces.map((frame) => ({ ...step, packet: { ...step.packet, frame } }));
    this.#waiting.push(...steps.slice(1));
    return steps[0] ?? step;
  }

  /** `packet` left by `iface`, or reached the host itself, because of one of the client: what the server answers from now on. */
  learn(flow: Flow, iface: string, packet: Uint8Array): void {
    const header = upperLayer(packet);
    // Nobody answers from a group's address.
    if (iface === FROM_HOST && (NOT_FROM_HOST.test(destinationOf(packet)) || GROUP.test(destinationOf(packet)))) return;
    if (header === undefined || packet.length < header.offset + 8 || header.protocol !== flow.protocol) return;
    const port = (at: number): number =>
      (packet[header.offset + at] ?? 0) * 256 + (packet[header.offset + at + 1] ?? 0);
    const ports = flow.protocol === TCP || flow.protocol === UDP;
    flow.server = {
      iface,
      own: destinationOf(packet),
      ownPort: ports ? port(2) : 0,
      peer: sourceOf(packet),
      peerPort: ports ? port(0) : isIcmp(flow.protocol) ? port(4) : 0,
    };
    flow.arrived = { iface, packet };
  }

  #step(): Step {
    const { random, plan } = this;
    const open = this.#flows.length === 0 || random.chance(plan.open ?? 0.2);
    const flow = open ? this.#open() : random.pick(this.#recent());
    if (!open && random.chance(plan.errors ?? 0.02)) {
      const error = this.#error(flow);
      if (error !== undefined) return error;
    }
    const fromClient = open || flow.server === undefined || random.chance(0.5);
    const again = fromClient && random.chance(0.04) ? flow.lastSent : undefined;
    const packet = again ?? this.#packet(flow, fromClient);
    const sent = ofHost(random.chance(plan.odd ?? 0.03) ? this.#spoil(packet) : packet) ?? packet;
    if (fromClient) flow.lastSent = packet;
    return { flow, fromClient, packet: sent };
  }

  /** Mostly the flows opened last, so that connections live through several packets. */
  #recent(): readonly Flow[] {
    return this.random.chance(0.9) ? this.#flows.slice(-30) : this.#flows;
  }

  #open(): Flow {
    const { random, plan } = this;
    const ofHost = plan.host !== undefined && random.chance(plan.host.share);
    const client = ofHost ? this.#hostAsClient(plan.host?.addresses ?? []) : random.pick(plan.clients);
    const target = random.pick(
      plan.targets.filter((t) => (ofHost ? !NOT_FROM_HOST.test(t.address) : t.from.includes(client.iface))),
    );
    const choices = [
      ...(target.tcp ?? []).map((port) => [TCP, port] as const),
      ...(target.udp ?? []).map((port) => [UDP, port] as const),
      ...(target.ping === true ? [[target.address.includes(':') ? ICMPV6 : ICMP, 0] as const] : []),
      ...(target.protocols ?? []).map((protocol) => [protocol, 0] as const),
    ];
    const [protocol, port] = random.pick(choices);
    const hasPort = protocol === TCP || protocol === UDP || isIcmp(protocol);
    const ownPort = hasPort ? random.pick(plan.sourcePorts) : 0;
    const flow: Flow = {
      protocol,
      client: { iface: client.iface, own: client.address, ownPort, peer: target.address, peerPort: port },
      server: undefined,
      clientSeq: random.below(0x7fffffff),
      serverSeq: random.below(0x7fffffff),
      synced: false,
      lastSent: undefined,
      arrived: undefined,
    };
    this.#flows.push(flow);
    return flow;
  }

  #hostAsClient(addresses: readonly string[]): Client {
    const loopback = addresses[0]?.includes(':') === true ? '::1' : '127.0.0.1';
    return { iface: FROM_HOST, address: this.random.pick([...addresses, ...addresses, loopback]) };
  }

  #packet(flow: Flow, fromClient: boolean): KernelPacket {
    const side = fromClient ? flow.client : (flow.server ?? flow.client);
    const payload = Buffer.alloc(this.random.below(40), 'natreplay');
    const id = this.random.below(0x10000);
    const common = { src: side.own, dst: side.peer, id, ttl: 32 + this.random.below(64), df: this.random.chance(0.5) };
    const src = endpoint(side.own, side.ownPort);
    const dst = endpoint(side.peer, side.peerPort);
    if (flow.protocol === UDP) {
      return send(side, udp({ ...common, src, dst, payload, noChecksum: this.random.chance(0.1) }));
    }
    if (isIcmp(flow.protocol)) {
      const icmpId = fromClient ? side.ownPort : side.peerPort;
      const [request, reply] = flow.protocol === ICMP ? [8, 0] : [128, 129];
      return send(side, icmp({ ...common, type: fromClient ? request : reply, icmpId, seq: 1, payload }));
    }
    if (flow.protocol !== TCP) return send(side, ip(common, flow.protocol, Buffer.concat([Buffer.alloc(8), payload])));
    return send(side, this.#segment(flow, fromClient, { ...common, src, dst }, payload));
  }

  #segment(
    flow: Flow,
    fromClient: boolean,
    common: { src: string; dst: string; id: number; ttl: number; df: boolean },
    payload: Buffer,
  ): Uint8Array {
    const seq = fromClient ? flow.clientSeq : flow.serverSeq;
    const ack = fromClient ? flow.serverSeq : flow.clientSeq;
    const advance = (by: number): void => {
      if (fromClient) flow.clientSeq = (seq + by) >>> 0;
      else flow.serverSeq = (seq + by) >>> 0;
    };
    if (!flow.synced) {
      // Until the server has answered, a client can only say SYN, again and again.
      if (fromClient) return tcp({ ...common, ...this.#options(), flags: 'S', seq });
      flow.clientSeq = (flow.clientSeq + 1) >>> 0;
      flow.synced = true;
      const flags = this.random.chance(0.9) ? 'SA' : 'RA';
      const answer = tcp({ ...common, ...this.#options(), flags, seq, ack: flow.clientSeq });
      advance(1);
      return answer;
    }
    const action = this.random.below(20);
    if (action < 12) {
      const data = tcp({ ...common, flags: payload.length > 0 ? 'PA' : 'A', seq, ack, payload });
      advance(payload.length);
      return data;
    }
    if (action < 15) return tcp({ ...common, flags: 'A', seq, ack });
    if (action < 17) {
      const fin = tcp({ ...common, flags: 'FA', seq, ack });
      advance(1);
      return fin;
    }
    if (action === 17) return tcp({ ...common, flags: this.random.chance(0.5) ? 'R' : 'RA', seq, ack });
    if (action === 18) return tcp({ ...common, flags: 'A', seq: (seq - 1) >>> 0, ack });
    // A new connection from the same port.
    if (!fromClient) return tcp({ ...common, flags: 'A', seq, ack });
    flow.synced = false;
    flow.clientSeq = (flow.clientSeq + 100_000) >>> 0;
    return tcp({ ...common, flags: 'S', seq: flow.clientSeq });
  }

  /** TCP options of a SYN. */
  #options(): { tcpOptions?: Uint8Array } {
    if (this.random.chance(0.4)) return {};
    const { random } = this;
    const bytes = [2, 4, 5, 180];
    if (random.chance(0.6)) bytes.push(4, 2, 1, 1);
    if (random.chance(0.6)) bytes.push(1, 3, 3, random.below(15));
    if (random.chance(0.2)) bytes.push(8, 10, 0, 0, 0, random.below(256), 0, 0, 0, 0, 1, 1);
    return { tcpOptions: Uint8Array.from(bytes) };
  }

  /** An ICMP error about what arrived at the server last: from the server itself or a router before it. */
  #error(flow: Flow): Step | undefined {
    const { arrived, server } = flow;
    if (arrived === undefined || server === undefined) return undefined;
    const { random } = this;
    const src = random.chance(0.5) ? server.own : neighbour(server.own);
    const [type, code] = random.pick(src.includes(':') ? ICMPV6_ERRORS : ICMP_ERRORS);
    const headerLength = upperLayer(arrived.packet)?.offset ?? 0;
    const kept = random.pick([8, 8, 8, 8, 0, 4, 7, 12, 19, 20]);
    const quoted = arrived.packet.subarray(0, random.chance(0.5) ? headerLength + kept : arrived.packet.length);
    const error = icmp({ src, dst: server.peer, id: random.below(0x10000), type, code, payload: quoted });
    const packet = ofHost(send({ iface: arrived.iface }, error));
    return packet === undefined ? undefined : { flow, fromClient: false, packet };
  }

  /** Breaks a packet in one of the ways networks do. */
  #spoil(packet: KernelPacket): KernelPacket {
    const copy = Buffer.from(packet.frame);
    // What the kernel checks of an extension header it checks on the way in.
    if ((copy[14] ?? 0) >> 4 === 6 && packet.iface === FROM_HOST) return packet;
    if ((copy[14] ?? 0) >> 4 === 6)
      return { ...packet, frame: SPOIL6[this.random.pick(this.plan.oddities6 ?? ALL_ODDITIES6)](copy) };
    return { ...packet, frame: SPOIL[this.random.pick(this.plan.oddities ?? ALL_ODDITIES)](copy) };
  }
}

const ICMP_ERRORS: readonly (readonly [type: number, code: number])[] = [
  [3, 1],
  [3, 3],
  [3, 4],
  [5, 1],
  [11, 0],
  [12, 0],
];
const ICMPV6_ERRORS: readonly (readonly [type: number, code: number])[] = [
  [1, 0],
  [1, 4],
  [2, 0],
  [3, 0],
  [4, 1],
];

/** Addresses that the host's sockets can't send to without being told an interface, or that stand for others. */
const NOT_FROM_HOST = /^(0\.0\.0\.0$|::$|ff|fe80)/;
const GROUP = /^(22[4-9]|2[3-5]\d)\./;

/** The packet as it is sent, if it is the host's own: as a socket makes it; undefined if none would. */
function ofHost(packet: KernelPacket): KernelPacket | undefined {
  if (packet.iface !== FROM_HOST) return packet;
  const sent = asHostSends(packet.frame.subarray(14));
  return sent === undefined ? undefined : { ...packet, frame: ether(sent) };
}

const isIcmp = (protocol: number): boolean => protocol === ICMP || protocol === ICMPV6;

const sourceOf = (packet: Uint8Array): string =>
  (packet[0] ?? 0) >> 4 === 6 ? addressText(packet.subarray(8, 24)) : packet.subarray(12, 16).join('.');
const destinationOf = (packet: Uint8Array): string =>
  (packet[0] ?? 0) >> 4 === 6 ? addressText(packet.subarray(24, 40)) : packet.subarray(16, 20).join('.');

function endpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Ways to break a frame (a copy). */
const SPOIL = {
  'wrong IP checksum': (frame: Buffer): Buffer => flip(frame, 24),
  'wrong transport checksum': (frame: Buffer): Buffer => flip(frame, frame.length - 1),
  'Ethernet padding': (frame: Buffer): Buffer => Buffer.concat([frame, Buffer.alloc(18)]),
  'cut transport header': (frame: Buffer): Buffer => shorten(frame, 14 + ((frame[14] ?? 0) & 15) * 4 + 6),
  'bytes after the segment': (frame: Buffer): Buffer => {
    const longer = Buffer.concat([frame, Buffer.from('more')]);
    return rewriteHeader(longer, (header) => header.writeUInt16BE(longer.length - 14, 2));
  },
  'TTL 1': (frame: Buffer): Buffer => rewriteHeader(frame, (header) => header.writeUInt8(1, 8)),
  GRE: (frame: Buffer): Buffer => rewriteHeader(frame, (header) => header.writeUInt8(47, 9)),
  'an unknown protocol': (frame: Buffer): Buffer => rewriteHeader(frame, (header) => header.writeUInt8(253, 9)),
  'TCP flags that make no sense': (frame: Buffer): Buffer => {
    const flags = 14 + ((frame[14] ?? 0) & 15) * 4 + 13;
    return frame[23] === TCP && flags < frame.length ? fixTcp(frame, flags) : frame;
  },
} as const;

export type Oddity = keyof typeof SPOIL;
export const ALL_ODDITIES = Object.keys(SPOIL) as Oddity[];

function flip(frame: Buffer, at: number): Buffer {
  frame[at] = (frame[at] ?? 0) ^ 0x11;
  return frame;
}

/** Turns the flags of a TCP segment into SYN+FIN or so, and its checksum with them (RFC 1624). */
function fixTcp(frame: Buffer, flags: number): Buffer {
  const before = frame.readUInt16BE(flags - 1);
  frame[flags] = (frame[flags] ?? 0) ^ 0x2b;
  const sum = (~frame.readUInt16BE(flags + 3) & 0xffff) + (~before & 0xffff) + frame.readUInt16BE(flags - 1);
  const once = (sum & 0xffff) + (sum >>> 16);
  frame.writeUInt16BE(~((once & 0xffff) + (once >>> 16)) & 0xffff, flags + 3);
  return frame;
}

function send(side: { readonly iface: string }, packet: Uint8Array): KernelPacket {
  return { iface: side.iface, frame: ether(packet) };
}

function neighbour(address: string): string {
  if (address.includes(':'))
    return address.replace(/[0-9a-f]+$/, (last) => (Number.parseInt(last, 16) ^ 1).toString(16));
  const parts = address.split('.').map(Number);
  parts[3] = ((parts[3] ?? 0) ^ 1) & 255;
  return parts.join('.');
}

function shorten(frame: Buffer, length: number): Buffer {
  return rewriteHeader(Buffer.from(frame.subarray(0, length)), (header) => header.writeUInt16BE(length - 14, 2));
}

/** Changes the IP header and makes its checksum right again. */
function rewriteHeader(frame: Buffer, change: (header: Buffer) => void): Buffer {
  const copy = Buffer.from(frame);
  const header = copy.subarray(14, 14 + ((copy[14] ?? 0) & 15) * 4);
  change(header);
  header.writeUInt16BE(0, 10);
  let sum = 0;
  for (let i = 0; i < header.length; i += 2) sum += header.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  header.writeUInt16BE(~sum & 0xffff, 10);
  return copy;
}
