/**
 * The way of a packet that came in by a port of a bridge: on to other ports, up to the host, or both (kernel:
 * br_handle_frame_finish, br_netfilter_hooks.c).
 *
 *              PREROUTING ──┬── for a station ─────────────── FORWARD ── POSTROUTING ──▶ its port
 *                           ├── station not known: a copy for each other port, the same way
 *                           ├── for everybody: such copies, and then up to the host ──▶ routing, INPUT
 *                           └── for the bridge ────────────────────────────────────────▶ routing, INPUT or FORWARD
 *
 * These are iptables' chains if it sees what is bridged (`filtered`: br_netfilter). Else bridging asks nobody, and only what
 * goes up to the host has PREROUTING.
 */
import type { InterfaceIndex } from '../host/types.js';
import { NO_INTERFACE } from '../host/types.js';
import { sameAddress } from '../packet/tuple.js';
import type { BuiltinChain } from '../rules/types.js';
import { type BridgeEntry, type Bridges, outOf, TO_ALL, TO_HOST, TO_SAME_PORT } from './bridges.js';
import type { OutputFragment } from './defrag/fragment.js';
import type { Packet } from './packet.js';
import { copyOf, type PacketCopy, restore } from './packetcopy.js';
import { VERDICT_DROP, VERDICT_FORWARD, VERDICT_LOCAL } from './results.js';
import type { Routing } from './routing.js';

/** What became of the packet: PacketPath's fields of the same names. */
export interface Outcome {
  verdict: number;
  egress: InterfaceIndex;
  why: string;
  cuts: readonly OutputFragment[] | undefined;
  looped: Uint8Array | undefined;
  bridged: boolean;
}

/** What a path can do with a packet. */
export interface PathSteps {
  hook(packet: Packet, hook: BuiltinChain, tracked: boolean): boolean;
  confirm(packet: Packet): boolean;
  /** Why the host takes no such packet before any hook; undefined if it does. */
  refusal(packet: Packet, ingress: InterfaceIndex): string | undefined;
  route(packet: Packet, ingress: InterfaceIndex): Readonly<Routing>;
  /** From routing on. */
  routeIn(packet: Packet, ingress: InterfaceIndex): void;
  sendOut(packet: Packet, egress: InterfaceIndex): void;
  /** Whether the packet is a datagram put together from fragments. */
  isGathered(): boolean;
}

/** What left for other ports. */
interface Sent {
  readonly copy: PacketCopy;
  readonly egress: InterfaceIndex;
  readonly cuts: readonly OutputFragment[] | undefined;
}

export class BridgeCrossing {
  /** Of the packet as it came in. */
  private readonly destination = new Uint32Array(4);

  constructor(
    private readonly outcome: Outcome,
    private readonly steps: PathSteps,
  ) {}

  /** `tracked`: its connection is known already. Returns whether PREROUTING let it through. */
  enter(packet: Packet, entry: BridgeEntry, tracked: boolean): boolean {
    const { bridge, port, to, filtered } = entry;
    packet.inInterface = bridge;
    if (filtered) packet.bridgeIn = port;
    this.destination.set(packet.destination);
    if (!filtered) {
      if (to !== TO_HOST) return true;
      const refusal = this.steps.refusal(packet, bridge);
      if (refusal !== undefined) {
        this.outcome.why = refusal;
        return false;
      }
    }
    return this.steps.hook(packet, 'PREROUTING', tracked);
  }

  /** From behind PREROUTING on. */
  cross(packet: Packet, entry: BridgeEntry, bridges: Bridges): void {
    const { bridge, to, filtered, flood } = entry;
    if (filtered && !sameAddress(packet.destination, this.destination)) this.readdressed(packet, entry, bridges);
    else if (to !== TO_HOST) this.bridge(packet, entry, to, flood);
    else if (filtered && flood.length > 0) this.everywhere(packet, entry);
    else this.deliver(packet, bridge, filtered);
  }

  /**
   * What was for everybody on a bridge that iptables does not see is copied to the other ports before the host looks at
   * it: to be called with what `copyOf` gave then, once the host is done.
   */
  addUnseen(packet: Packet, { bridge, flood }: BridgeEntry, copy: PacketCopy): void {
    this.join(packet, { copy, egress: outOf(bridge, flood), cuts: undefined });
  }

  /** Whether `addUnseen` is to be called. A datagram's fragments are each copied as they are, which is not shown. */
  passesUnseen({ to, filtered, flood }: BridgeEntry): boolean {
    return !filtered && to === TO_HOST && flood.length > 0 && !this.steps.isGathered();
  }

  /**
   * PREROUTING translated the destination: to somebody on the same bridge, then the packet is bridged there with its TTL,
   * whomever the frame was for; else the frame is readdressed to the bridge (br_nf_pre_routing_finish).
   */
  private readdressed(packet: Packet, entry: BridgeEntry, bridges: Bridges): void {
    const { bridge, port } = entry;
    const { kind, iface, gateway } = this.steps.route(packet, bridge);
    if (kind === 'forward' && iface === bridge) {
      const to = bridges.portOf(port, packet.family, gateway ?? packet.destination);
      this.bridge(packet, entry, to, bridges.portsBeside(port));
      return;
    }
    packet.toGroup = 0;
    this.deliver(packet, bridge, true);
  }

  /** Up to the host, and on from there. A group's packet is confirmed whether or not the host takes it (br_nf_local_in). */
  private deliver(packet: Packet, bridge: InterfaceIndex, filtered: boolean): void {
    if (filtered) {
      if (packet.toGroup !== 0 && !this.steps.confirm(packet)) return;
      const refusal = this.steps.refusal(packet, bridge);
      if (refusal !== undefined) {
        this.outcome.why = refusal;
        return;
      }
    }
    this.steps.routeIn(packet, bridge);
  }

  private everywhere(packet: Packet, entry: BridgeEntry): void {
    const before = copyOf(packet);
    const { toGroup } = packet;
    this.bridge(packet, entry, TO_ALL, entry.flood);
    const sent = this.sent(packet);
    this.again(packet, entry, before);
    packet.toGroup = toGroup;
    this.deliver(packet, entry.bridge, true);
    if (sent !== undefined) this.join(packet, sent);
  }

  /** The packet left for other ports, and what is in hand is what the host made of it. */
  private join(packet: Packet, sent: Sent): void {
    const { outcome } = this;
    if (outcome.verdict === VERDICT_LOCAL) outcome.looped = copyOf(packet).bytes;
    this.conclude(packet, sent, sent.egress);
  }

  /** To a port, or a copy to each of `flood`. Of copies that rules make different from each other the first counts. */
  private bridge(packet: Packet, entry: BridgeEntry, to: InterfaceIndex, flood: readonly InterfaceIndex[]): void {
    const ports = to === TO_ALL ? flood : to === TO_SAME_PORT ? [] : [to];
    const [only] = ports;
    if (only === undefined) this.outcome.why = 'bridge-same-port';
    else if (ports.length === 1) this.passTo(packet, entry, only);
    else if (!entry.filtered) this.send(packet, entry.bridge);
    else this.flood(packet, entry, ports);
  }

  private flood(packet: Packet, entry: BridgeEntry, ports: readonly InterfaceIndex[]): void {
    const before = copyOf(packet);
    let first: Sent | undefined;
    let copies = 0;
    for (const port of ports) {
      this.again(packet, entry, before);
      this.passTo(packet, entry, port);
      const sent = this.sent(packet);
      if (sent === undefined) continue;
      first ??= sent;
      copies++;
    }
    if (first !== undefined) this.conclude(packet, first, copies === 1 ? first.egress : entry.bridge);
  }

  private passTo(packet: Packet, { bridge, filtered }: BridgeEntry, port: InterfaceIndex): void {
    if (filtered) {
      packet.outInterface = bridge;
      packet.bridgeOut = port;
      packet.nextHop = packet.destination;
      if (!this.steps.hook(packet, 'FORWARD', false)) return;
      packet.inInterface = NO_INTERFACE;
      if (!this.steps.hook(packet, 'POSTROUTING', false)) return;
    }
    this.send(packet, port);
  }

  private send(packet: Packet, egress: InterfaceIndex): void {
    this.outcome.bridged = true;
    this.steps.sendOut(packet, egress);
  }

  /** Back to where the packet came out of PREROUTING. */
  private again(packet: Packet, { bridge }: BridgeEntry, before: PacketCopy): void {
    const { outcome } = this;
    restore(packet, before);
    packet.inInterface = bridge;
    packet.outInterface = NO_INTERFACE;
    packet.bridgeOut = NO_INTERFACE;
    outcome.verdict = VERDICT_DROP;
    outcome.egress = NO_INTERFACE;
    outcome.cuts = undefined;
  }

  private sent(packet: Packet): Sent | undefined {
    const { verdict, egress, cuts } = this.outcome;
    return verdict === VERDICT_FORWARD ? { copy: copyOf(packet), egress, cuts } : undefined;
  }

  private conclude(packet: Packet, { copy, cuts }: Sent, egress: InterfaceIndex): void {
    const { outcome } = this;
    restore(packet, copy);
    outcome.verdict = VERDICT_FORWARD;
    outcome.egress = egress;
    outcome.cuts = cuts;
    outcome.why = '';
    outcome.bridged = true;
  }
}
