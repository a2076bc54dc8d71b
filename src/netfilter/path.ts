/**
 * The way of one packet through the host, hook by hook, as the kernel takes it. Every packet that the fast path of the
 * engine can't answer comes here.
 */
import type { Host, InterfaceIndex } from '../host/types.js';
import { NO_INTERFACE } from '../host/types.js';
import { applyDelta } from '../packet/checksum.js';
import { IPV4_CHECKSUM, IPV4_MIN_HEADER, IPV4_TTL } from '../packet/ipv4.js';
import { PROTO_ICMP, PROTO_ICMPV6 } from '../packet/transport.js';
import { sameAddress } from '../packet/tuple.js';
import type { NatRange } from '../rules/extension.js';
import type { BuiltinChain, TableName } from '../rules/types.js';
import { type HostAnswers, isResettable } from './answers/answers.js';
import { BridgeCrossing } from './bridgecrossing.js';
import type { BridgeEntry, Bridges } from './bridges.js';
import type { CompiledChain, CompiledTable, RuleCounterTable } from './compile.js';
import type { Conntrack } from './conntrack/conntrack.js';
import { CONFIRMED, DST_NAT, DYING, SRC_NAT, zoneWord } from './conntrack/flowtable.js';
import type { OutputFragment } from './defrag/fragment.js';
import type { Fragments } from './defrag/fragments.js';
import { linearBytes } from './defrag/linear.js';
import { type FlowDetails, NO_DETAILS, readDetails } from './flow.js';
import { HOOK_STEPS, type HookStep, manipulationAt } from './hooks.js';
import { type CompiledOptions, compileOptions, forwardOptions, NO_OPTIONS } from './ipoptions.js';
import { translate, translateIcmpError } from './nat/rewrite.js';
import type { NatSetup } from './nat/setup.js';
import type { PathObserver } from './observer.js';
import { OutputRouter } from './outputrouting.js';
import { CT_NEW, CT_NONE, CT_OFF, CT_RELATED, CT_UNTRACKED, type Packet, ZONE_MARK } from './packet.js';
import { copyOf, restore } from './packetcopy.js';
import { VERDICT_DROP, VERDICT_FORWARD, VERDICT_HELD, VERDICT_LOCAL } from './results.js';
import type { RouteCache } from './routecache.js';
import { RouterAddresses } from './routeraddresses.js';
import { ERROR_ROUTES, InputRouter, newRouting, type Routing } from './routing.js';
import { ChainWalker, WALK_DROP } from './walk.js';

export interface PathParts {
  readonly host: Host;
  readonly routes: RouteCache;
  readonly tables: ReadonlyMap<TableName, CompiledTable>;
  readonly counters: RuleCounterTable;
  /** Undefined: nothing in the rules needs connection tracking (KERNEL.md A6). */
  readonly conntrack: Conntrack | undefined;
  readonly nat: NatSetup | undefined;
  readonly fragments: Fragments;
  /** Makes the host's own answers to packets that it refuses; undefined: none are made. */
  readonly answers?: HostAnswers | undefined;
}

/** Partial sum of taking 1 from the TTL: the byte lies in the low half of its little-endian word. */
const TTL_DELTA = 0xfffe;

export class PacketPath {
  readonly walker: ChainWalker;
  /** Outcome of the last packet. */
  verdict = 0;
  egress: InterfaceIndex = NO_INTERFACE;
  /** Why it was dropped or went past NAT: a rule, or a reason word; '' if there is nothing to say. */
  why = '';
  /** What leaves instead of the packet as it is, if it is cut on its way out. */
  cuts: readonly OutputFragment[] | undefined;
  /** The last packet went from port to port of a bridge: its TTL is what it was. */
  bridged = false;
  /** Of a broadcast of the host's own: what the host itself got of it, from the IP header on. */
  looped: Uint8Array | undefined;
  readonly router: InputRouter;
  /** Undefined: nobody watches. */
  protected observer: PathObserver | undefined;
  private readonly crossing: BridgeCrossing;
  private readonly outputRouter: OutputRouter;
  /** The route of the host's own packet in hand brings a copy of it back. */
  private comesBack = false;
  protected readonly routing = newRouting();
  private readonly details: FlowDetails = { ...NO_DETAILS };
  /** Of the packet before a table of OUTPUT changed it. */
  private readonly destination = new Uint32Array(4);
  /** Where the host's own packet in hand is to leave by, as far as OUTPUT has decided. */
  private rerouted: InterfaceIndex = NO_INTERFACE;
  private readonly addresses: RouterAddresses;
  private readonly plan: Plan;

  constructor(protected readonly parts: PathParts) {
    this.router = new InputRouter(parts.host, parts.routes);
    this.outputRouter = new OutputRouter(parts.host, this.router);
    this.addresses = new RouterAddresses(parts.host, parts.routes);
    this.plan = planOf(parts);
    this.walker = new ChainWalker(parts.counters, {
      nat: (packet, range, rule) => this.mapTo(packet, range, rule),
      notrack: (packet) => {
        if (isUndecided(packet)) packet.info = CT_UNTRACKED;
      },
      zone: (packet, zone, directions) => {
        if (!isUndecided(packet)) return;
        packet.hasTemplate = true;
        packet.zone = zone === 'mark' ? zoneWord(0, directions) | ZONE_MARK : zoneWord(zone, directions);
      },
      reject: (packet, how) => this.refuse(packet, how),
      queued: () => {
        this.why = 'queued';
      },
    });
    this.crossing = new BridgeCrossing(this, {
      hook: (packet, hook, tracked) => this.hook(packet, hook, tracked),
      confirm: (packet) => this.confirm(packet),
      refusal: (packet, ingress) => this.refusal(packet, ingress),
      route: (packet, ingress) => {
        const routing = this.route(packet, ingress);
        this.observer?.routed(packet, routing);
        return routing;
      },
      routeIn: (packet, ingress) => this.routeIn(packet, ingress),
      sendOut: (packet, egress) => this.sendOut(packet, egress, Number.POSITIVE_INFINITY, false),
      isGathered: () => parts.fragments.layout !== undefined,
    });
    parts.answers?.connect((answer) => this.originate(answer));
  }

  /** Lets somebody watch the packets from now on; undefined: nobody any more. */
  watch(observer: PathObserver | undefined): void {
    this.observer = observer;
    this.walker.observer = observer;
  }

  /** A packet that came in by an interface. `tracked`: its entry and info are set already, by the fast path. */
  receive(packet: Packet, ingress: InterfaceIndex, tracked: boolean): void {
    this.begin();
    this.parts.nat?.unseen?.forget();
    packet.inInterface = ingress;
    if (tracked && packet.info === CT_NONE) this.why = this.parts.conntrack?.reason ?? 'invalid';
    if (!this.hook(packet, 'PREROUTING', tracked)) return;
    this.routeIn(packet, ingress);
    while (this.drawsAgain(packet)) this.routeIn(packet, ingress);
  }

  /** The packet got through, the real host dropped it, and it has drawn a port: back to there, with another. */
  private drawsAgain(packet: Packet): boolean {
    const { nat } = this.parts;
    if (nat?.unseen === undefined || this.verdict === VERDICT_DROP || !nat.drawAgain(packet)) return false;
    this.begin();
    return translate(packet, 'dst');
  }

  /** A packet that came in by a port of a bridge, or by a bridge at a port that nobody states. */
  receiveOnBridge(packet: Packet, entry: BridgeEntry, bridges: Bridges, tracked: boolean): void {
    const { crossing } = this;
    this.begin();
    this.parts.nat?.unseen?.forget();
    if (tracked && packet.info === CT_NONE) this.why = this.parts.conntrack?.reason ?? 'invalid';
    const unseen = crossing.passesUnseen(entry) ? copyOf(packet) : undefined;
    if (crossing.enter(packet, entry, tracked)) {
      crossing.cross(packet, entry, bridges);
      while (this.drawsAgain(packet)) crossing.cross(packet, entry, bridges);
    }
    if (unseen !== undefined) crossing.addUnseen(packet, entry, unseen);
  }

  /** A packet that the host itself sends. */
  send(packet: Packet): void {
    this.begin();
    this.parts.nat?.unseen?.forget();
    // The frame of the record is yet to be made.
    packet.sourceMac = -1;
    if (!this.routeOut(packet, this.detailsOf(packet))) return;
    const first = packet.outInterface;
    if (this.output(packet)) this.leave(packet, this.mtuOfOwn(packet, first));
    while (this.drawsAgain(packet)) if (this.outputBehindNat(packet)) this.leave(packet, this.mtuOfOwn(packet, first));
  }

  /**
   * MTU that a packet of the host's own has to fit. It was made to fit the interface it was routed to first, and has to be
   * cut only if it leaves by another; one that does not even fit that was merged by offloading.
   */
  private mtuOfOwn(packet: Packet, first: InterfaceIndex): number {
    const { host, fragments } = this.parts;
    const size = fragments.layout?.maxSize ?? packet.totalLength;
    const mtuOf = (index: InterfaceIndex): number => host.interfaces[index]?.mtu ?? Number.POSITIVE_INFINITY;
    return size > mtuOf(first) ? Number.POSITIVE_INFINITY : mtuOf(packet.outInterface);
  }

  /**
   * OUTPUT, where a packet is routed anew when mangle or nat changed what routing goes by (ip_route_me_harder). The chains
   * behind still see the interface of the first route.
   */
  private output(packet: Packet, tracked = false): boolean {
    packet.hook = 'OUTPUT';
    this.observer?.hook(packet, 'OUTPUT');
    this.rerouted = packet.outInterface;
    for (const step of this.plan.OUTPUT) {
      const { mark } = packet;
      const tos = packet.view.getUint16(packet.l3);
      if (step.reroutes !== undefined) this.destination.set(packet.destination);
      if (!this.step(packet, 'OUTPUT', step, tracked)) return false;
      const remarked = packet.mark !== mark || packet.view.getUint16(packet.l3) !== tos;
      if (step.reroutes === 'mangle' && remarked && !this.reroute(packet)) return false;
      if (step.reroutes === 'nat' && !this.rerouteMoved(packet)) return false;
    }
    packet.outInterface = this.rerouted;
    return true;
  }

  /** The rest of OUTPUT, for a packet whose destination was chosen anew. */
  private outputBehindNat(packet: Packet): boolean {
    packet.hook = 'OUTPUT';
    if (!this.rerouteMoved(packet)) return false;
    const steps = this.plan.OUTPUT;
    for (const step of steps.slice(steps.findIndex(({ kind }) => kind === STEP_NAT) + 1))
      if (!this.step(packet, 'OUTPUT', step, true)) return false;
    packet.outInterface = this.rerouted;
    return true;
  }

  private rerouteMoved(packet: Packet): boolean {
    return sameAddress(packet.destination, this.destination) || this.reroute(packet);
  }

  private reroute(packet: Packet): boolean {
    const first = packet.outInterface;
    if (!this.routeOut(packet, this.detailsOf(packet, true))) return false;
    this.rerouted = packet.outInterface;
    packet.outInterface = first;
    return true;
  }

  /** What policy rules may ask; rerouting knows no protocol and ports. */
  private detailsOf(packet: Packet, rerouting = false): Readonly<FlowDetails> {
    if (!this.router.needsDetails) return NO_DETAILS;
    const details = readDetails(packet, this.details);
    if (rerouting) {
      details.protocol = 0;
      details.sourcePort = 0;
      details.destinationPort = 0;
    }
    return details;
  }

  /** To be called when nothing more is asked about the packet's connection: what it leaves behind unconfirmed is given back. */
  finish(packet: Packet): void {
    this.parts.conntrack?.finish(packet);
  }

  protected begin(): void {
    this.verdict = VERDICT_DROP;
    this.egress = NO_INTERFACE;
    this.why = '';
    this.cuts = undefined;
    this.bridged = false;
    this.looped = undefined;
    this.comesBack = false;
  }

  /** Why the host takes no such packet before any hook. */
  protected refusal(_packet: Packet, _ingress: InterfaceIndex): string | undefined {
    return undefined;
  }

  /** `anew`: the packet came over loopback by a route that NAT has taken from it. */
  protected route(packet: Packet, ingress: InterfaceIndex, anew = false): Readonly<Routing> {
    const { routing } = this;
    this.router.route(packet.source, packet.destination, ingress, routing, this.detailsOf(packet), anew);
    return routing;
  }

  protected routeIn(packet: Packet, ingress: InterfaceIndex, anew = false): void {
    const routing = this.route(packet, ingress, anew);
    this.observer?.routed(packet, routing);
    if (routing.kind === 'drop' && !ERROR_ROUTES.has(routing.reason)) {
      this.why = routing.reason;
      return;
    }
    const options = this.options(packet, routing.kind === 'local');
    packet.options = options;
    if (options.fault !== undefined) {
      this.why = options.fault;
      if (options.fault === 'malformed-options') this.parts.answers?.badOptions(packet, options.faultAt);
    } else if (routing.kind === 'drop') {
      this.why = routing.reason;
      this.parts.answers?.notRouted(packet, routing.reason);
    } else if (routing.kind === 'forward' && packet.toGroup !== 0) this.why = 'link-broadcast';
    else if (routing.kind === 'forward') this.forward(packet, routing, options);
    else if (this.gatherLocally(packet) && this.hook(packet, 'INPUT', false)) this.verdict = VERDICT_LOCAL;
  }

  private options(packet: Packet, local: boolean): CompiledOptions {
    if (packet.l4 - packet.l3 <= IPV4_MIN_HEADER) return NO_OPTIONS;
    return compileOptions(packet.view, packet.l3, this.addresses.of(packet, local), packet.seconds, packet.nanoseconds);
  }

  /** Without connection tracking, fragments come as far as to the host itself before they are gathered (ip_local_deliver). */
  private gatherLocally(packet: Packet): boolean {
    if (!packet.isFragment) return true;
    const fault = this.parts.fragments.gather(packet, 'local');
    if (fault === undefined) return true;
    if (fault === 'held') this.verdict = VERDICT_HELD;
    else this.why = fault;
    return false;
  }

  private forward(packet: Packet, { iface: egress, gateway, redirects }: Routing, options: CompiledOptions): void {
    if (packet.view.getUint8(packet.l3 + IPV4_TTL) <= 1) {
      this.why = 'ttl-expired';
      this.parts.answers?.ttlExpired(packet);
      return;
    }
    const mtu = this.mtuFor(packet, egress);
    if (this.parts.fragments.isTooBig(packet, mtu)) {
      this.why = 'frag-needed';
      this.parts.answers?.tooBig(packet, mtu);
      return;
    }
    decrementTtl(packet.view, packet.l3);
    packet.outInterface = egress;
    packet.nextHop = gateway ?? packet.destination;
    if (redirects) this.parts.answers?.roundabout(packet, packet.nextHop);
    if (!this.hook(packet, 'FORWARD', false)) return;
    if (options.changed) forwardOptions(packet.view, packet.l3, options, this.addresses.towards(packet.destination));
    // The interface it came in by stays known in POSTROUTING (ip_output), where chains of one's own may ask about it.
    if (!this.hook(packet, 'POSTROUTING', false)) return;
    this.sendOut(packet, egress, mtu, true);
  }

  /**
   * MTU of the way out. A packet longer than the link it came over was merged from several by offloading, or the MTU is
   * not known: then none is applied.
   */
  private mtuFor(packet: Packet, egress: InterfaceIndex): number {
    const { host, fragments } = this.parts;
    const mtu = host.interfaces[egress]?.mtu ?? Number.POSITIVE_INFINITY;
    const ofIngress = host.interfaces[packet.inInterface]?.mtu ?? 0;
    return (fragments.layout?.maxSize ?? packet.totalLength) > ofIngress ? Number.POSITIVE_INFINITY : mtu;
  }

  /** Kernel: ip_finish_output. */
  protected sendOut(packet: Packet, egress: InterfaceIndex, mtu: number, routed: boolean): void {
    const { fragments, nat } = this.parts;
    const translated = (packet.status & (SRC_NAT | DST_NAT)) !== 0;
    const linear = fragments.layout === undefined ? 0 : linearBytes(packet, routed, nat !== undefined, translated);
    this.cuts = fragments.cut(packet, mtu, linear);
    this.verdict = VERDICT_FORWARD;
    this.egress = egress;
  }

  protected routeOut(packet: Packet, details: Readonly<FlowDetails>): boolean {
    const route = this.outputRouter.route(packet.source, packet.destination, details);
    this.observer?.routedOut(packet, route);
    if (route === undefined) {
      this.why = 'no-route';
      return false;
    }
    packet.outInterface = route.iface;
    packet.nextHop = route.gateway ?? packet.destination;
    this.comesBack = this.outputRouter.comesBack(route, packet.destination);
    return true;
  }

  /** From OUTPUT on: out of an interface, or over loopback back to the host. */
  private leave(packet: Packet, mtu = Number.POSITIVE_INFINITY): void {
    const egress = packet.outInterface;
    if (this.comesBack) this.sendToItself(packet, egress);
    if (this.hook(packet, 'POSTROUTING', false)) {
      if (this.parts.host.interfaces[egress]?.loopback !== true) this.sendOwn(packet, egress, mtu);
      else if (this.comeIn(packet, egress)) this.verdict = VERDICT_LOCAL;
    }
  }

  protected sendOwn(packet: Packet, egress: InterfaceIndex, mtu: number): void {
    if (this.parts.fragments.isTooBig(packet, mtu)) this.why = 'frag-needed';
    else this.sendOut(packet, egress, mtu, false);
  }

  /**
   * The packet keeps its connection over loopback, so tracking and NAT pass it by (nf_conntrack_in: "seen before"). False:
   * it does not reach the host by its first route.
   */
  protected comeIn(packet: Packet, ingress: InterfaceIndex): boolean {
    const { layout } = this.parts.fragments;
    packet.inInterface = ingress;
    packet.outInterface = NO_INTERFACE;
    // Untracked fragments are not gathered again before they are delivered.
    const inPieces = packet.info === CT_UNTRACKED && layout !== undefined && packet.family === 4;
    // What was INVALID is looked at as if it were new here.
    const tracked = packet.info !== CT_NONE;
    if (!tracked) Object.assign(packet, { info: CT_OFF, zone: 0, hasTemplate: false });
    this.destination.set(packet.destination);
    if (inPieces ? !this.comeInPieces(packet) : !this.hook(packet, 'PREROUTING', tracked)) return false;
    if (!sameAddress(packet.destination, this.destination)) {
      // Tracked here only, it has another destination, and with that loses its route (nf_nat_ipv4_pre_routing).
      this.routeIn(packet, ingress, true);
      return false;
    }
    return (packet.family === 6 || this.gatherLocally(packet)) && this.hook(packet, 'INPUT', tracked);
  }

  /** PREROUTING, for each fragment of the packet. False: not all of them came through. */
  private comeInPieces(packet: Packet): boolean {
    const { bytes, view, l3, end, info, mark, inInterface } = packet;
    const pieces = this.parts.fragments.cut(packet, Number.POSITIVE_INFINITY, 0) ?? [];
    const begin = (piece: Uint8Array, at: number, to: number, words: DataView): void => {
      packet.loadIpv4(piece, words, at, to);
      Object.assign(packet, { info, mark, inInterface });
    };
    let complete = true;
    let markOfFirst = mark;
    pieces.forEach(({ bytes: piece }, k) => {
      begin(piece, 0, piece.length, new DataView(piece.buffer, piece.byteOffset, piece.length));
      complete = this.hook(packet, 'PREROUTING', true) && complete;
      if (k === 0) markOfFirst = packet.mark;
    });
    begin(bytes, l3, end, view);
    packet.mark = markOfFirst;
    return complete;
  }

  /**
   * A broadcast goes through POSTROUTING twice: first a copy (ip_mc_output), which comes in by the interface that it would
   * have left by and is delivered before the packet itself goes on.
   */
  private sendToItself(packet: Packet, egress: InterfaceIndex): void {
    const { fragments } = this.parts;
    const { bytes, view, l3, end, isFragment, info, zone, hasTemplate, entry, direction } = packet;
    const original = copyOf(packet);
    if (this.hook(packet, 'POSTROUTING', false) && this.comeIn(packet, egress)) this.looped = copyOf(packet).bytes;
    if (isFragment) {
      // It may be one of several by now.
      fragments.layout = undefined;
      packet.loadIpv4(bytes, view, l3, end);
    }
    restore(packet, original);
    Object.assign(packet, { info, zone, hasTemplate, entry, direction });
    packet.inInterface = NO_INTERFACE;
    packet.outInterface = egress;
    this.verdict = VERDICT_DROP;
    this.why = '';
  }

  /** A reset ends the connection whether or not its bytes are asked for, if there is one (nf_send_reset). */
  private refuse(packet: Packet, how: string): void {
    if (how === 'tcp-reset' && packet.entry >= 0 && isResettable(packet) && this.canAnswer(packet))
      this.parts.conntrack?.closeTcp(packet);
    this.parts.answers?.reject(packet, how);
  }

  /** It was for one host, and there is a way back to its sender. */
  protected canAnswer({ source, destination }: Packet): boolean {
    const type = this.parts.host.addressType(4, destination);
    if (type === 'broadcast' || type === 'multicast') return false;
    return this.outputRouter.route(destination, source, NO_DETAILS) !== undefined;
  }

  /** A packet of the host's own about the one in hand, on whose way nothing changes by it. */
  private originate(answer: Packet): InterfaceIndex {
    const { verdict, egress, why, cuts } = this;
    const { fragments, conntrack } = this.parts;
    const { layout } = fragments;
    const related = answer.entry >= 0;
    fragments.layout = undefined;
    this.begin();
    if (this.routeOut(answer, this.detailsOf(answer)) && this.output(answer, related)) this.leave(answer);
    const left = this.verdict === VERDICT_FORWARD ? this.egress : NO_INTERFACE;
    if (!related) conntrack?.finish(answer);
    this.verdict = verdict;
    this.egress = egress;
    this.why = why;
    this.cuts = cuts;
    fragments.layout = layout;
    return left;
  }

  /** Runs what hangs at a hook. False: the packet is dropped. `tracked`: connection tracking has seen it already. */
  protected hook(packet: Packet, hook: BuiltinChain, tracked: boolean): boolean {
    packet.hook = hook;
    this.observer?.hook(packet, hook);
    const steps = stepsAt(this.plan, hook);
    for (let k = 0; k < steps.length; k++) {
      if (!this.step(packet, hook, steps[k] as PlannedStep, tracked)) return false;
    }
    return true;
  }

  private step(packet: Packet, hook: BuiltinChain, step: PlannedStep, tracked: boolean): boolean {
    if (this.observer === undefined) return this.run(packet, hook, step, tracked);
    this.observer.beforeStep(packet, hook, step.name, step.chain);
    const passed = this.run(packet, hook, step, tracked);
    this.observer.afterStep(packet, passed);
    return passed;
  }

  private run(packet: Packet, hook: BuiltinChain, step: PlannedStep, tracked: boolean): boolean {
    switch (step.kind) {
      case STEP_TABLE:
        return this.walkChain(packet, step.chain);
      case STEP_CONNTRACK:
        return tracked || this.track(packet, hook === 'PREROUTING');
      case STEP_NAT:
        return this.translate(packet, hook, step.chain);
      default:
        return this.confirm(packet);
    }
  }

  private walkChain(packet: Packet, chain: CompiledChain | undefined): boolean {
    if (chain === undefined || this.walker.walk(chain, packet) !== WALK_DROP) return true;
    this.why = this.parts.counters.names[this.walker.decidedBy] ?? '';
    return false;
  }

  private track(packet: Packet, incoming: boolean): boolean {
    const { conntrack } = this.parts;
    if (conntrack === undefined) {
      packet.info = CT_OFF;
      return true;
    }
    if (packet.info === CT_UNTRACKED) {
      this.why = 'untracked';
      return true;
    }
    if ((packet.zone & ZONE_MARK) !== 0) packet.zone = (packet.zone & ~(ZONE_MARK | 0xffff)) | (packet.mark & 0xffff);
    conntrack.track(packet, incoming);
    if (packet.info === CT_NONE) this.why = conntrack.reason ?? 'invalid';
    return !packet.dropped;
  }

  private translate(packet: Packet, hook: BuiltinChain, chain: CompiledChain | undefined): boolean {
    const { nat } = this.parts;
    const manipulation = manipulationAt(hook);
    if (nat === undefined || manipulation === undefined || packet.entry < 0) return true;
    if (packet.info === CT_RELATED && (packet.protocol === PROTO_ICMP || packet.protocol === PROTO_ICMPV6)) {
      if (translateIcmpError(packet, manipulation)) return true;
      this.why = 'icmp-error-not-translatable';
      return false;
    }
    // RELATED, and not an error: the host's reset, for which the chains are walked if they were not yet.
    if ((packet.info === CT_NEW || packet.info === CT_RELATED) && !nat.isDone(packet, manipulation)) {
      if (!this.walkChain(packet, chain)) return false;
      if (!nat.isDone(packet, manipulation)) nat.bindNull(packet, manipulation);
    }
    if (translate(packet, manipulation)) return true;
    this.why = 'too-short-to-translate';
    return false;
  }

  private mapTo(packet: Packet, range: NatRange | undefined, rule: number): boolean {
    const manipulation = manipulationAt(packet.hook);
    if (range === undefined || manipulation === undefined) return false;
    this.parts.nat?.setUp(packet, range, manipulation, rule);
    return true;
  }

  private confirm(packet: Packet): boolean {
    const { conntrack } = this.parts;
    if (conntrack === undefined || packet.entry < 0 || packet.info === CT_RELATED) return true;
    if ((packet.status & (CONFIRMED | DYING)) !== 0 || packet.info !== CT_NEW) return true;
    if (conntrack.confirm(packet)) return true;
    this.why = 'no-free-tuple';
    return false;
  }
}

/** The first rule that says how to track a packet holds, and none once it is tracked (kernel: skb->_nfct is set). */
const isUndecided = (packet: Packet): boolean =>
  packet.entry < 0 && packet.info !== CT_UNTRACKED && !packet.hasTemplate;

/** What a hook has to do, of all it might: tables without that chain, and tracking that is off, are left out. */
type Plan = Readonly<Record<BuiltinChain, readonly PlannedStep[]>>;

interface PlannedStep {
  readonly kind: number;
  readonly name: HookStep;
  /** Of tables, and of nat if it has one there. */
  readonly chain: CompiledChain | undefined;
  /** Tables of OUTPUT behind which a packet may be routed anew: what they changed decides. */
  readonly reroutes?: 'mangle' | 'nat' | undefined;
}

const STEP_TABLE = 1;
const STEP_CONNTRACK = 2;
const STEP_NAT = 3;
const STEP_CONFIRM = 4;

function planOf({ tables, nat, conntrack }: PathParts): Plan {
  const steps = (hook: BuiltinChain): PlannedStep[] =>
    HOOK_STEPS[hook].flatMap((step): PlannedStep[] => {
      if (step === 'conntrack') return [{ kind: STEP_CONNTRACK, name: step, chain: undefined }];
      if (step === 'confirm')
        return conntrack === undefined ? [] : [{ kind: STEP_CONFIRM, name: step, chain: undefined }];
      const chain = tables.get(step)?.hooks.get(hook);
      const reroutes = hook === 'OUTPUT' && (step === 'mangle' || step === 'nat') ? step : undefined;
      if (step === 'nat') return nat === undefined ? [] : [{ kind: STEP_NAT, name: step, chain, reroutes }];
      return chain === undefined ? [] : [{ kind: STEP_TABLE, name: step, chain, reroutes }];
    });
  return {
    PREROUTING: steps('PREROUTING'),
    INPUT: steps('INPUT'),
    FORWARD: steps('FORWARD'),
    OUTPUT: steps('OUTPUT'),
    POSTROUTING: steps('POSTROUTING'),
  };
}

/** As plan[hook], which V8 looks up by name every time. */
function stepsAt(plan: Plan, hook: BuiltinChain): readonly PlannedStep[] {
  switch (hook) {
    case 'PREROUTING':
      return plan.PREROUTING;
    case 'FORWARD':
      return plan.FORWARD;
    case 'POSTROUTING':
      return plan.POSTROUTING;
    case 'INPUT':
      return plan.INPUT;
    case 'OUTPUT':
      return plan.OUTPUT;
  }
}

/** Kernel: ip_decrease_ttl. */
function decrementTtl(view: DataView, ip: number): void {
  view.setUint8(ip + IPV4_TTL, view.getUint8(ip + IPV4_TTL) - 1);
  view.setUint16(ip + IPV4_CHECKSUM, applyDelta(view.getUint16(ip + IPV4_CHECKSUM, true), TTL_DELTA), true);
}
