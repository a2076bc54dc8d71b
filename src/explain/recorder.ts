/** Notes down the way of a packet as the host tells it, and makes stages of it. */
import { formatAddress } from '../host/address.js';
import type { Host, InterfaceIndex, Route } from '../host/types.js';
import type { CompiledChain, CompiledRule, RuleCounterTable } from '../netfilter/compile.js';
import { CONFIRMED, DYING } from '../netfilter/conntrack/flowtable.js';
import type { HookStep } from '../netfilter/hooks.js';
import type { PathObserver } from '../netfilter/observer.js';
import { CT_NONE, CT_OFF, type Packet } from '../netfilter/packet.js';
import type { Routing } from '../netfilter/routing.js';
import { WALK_ACCEPT, WALK_DROP } from '../netfilter/walk.js';
import type { NatRange } from '../rules/extension.js';
import { printRule } from '../rules/print.js';
import type { BuiltinChain, Rule, Ruleset } from '../rules/types.js';
import { connectionOf, stateWord } from './connection.js';
import type { ChainVisit, HookStage, PacketState, RuleVisit, Stage, Step } from './model.js';
import { natStep } from './natstep.js';
import { differ, stateOf } from './packetstate.js';
import { reasonOf } from './reasons.js';

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type ChainDraft = Writable<Omit<ChainVisit, 'rules'>> & { readonly rules: RuleDraft[] };
type RuleDraft = Writable<RuleVisit>;

/** What a step began with. */
interface Begun {
  readonly hook: BuiltinChain;
  readonly step: HookStep;
  readonly chain: CompiledChain | undefined;
  readonly state: PacketState;
  readonly info: number;
  readonly entry: number;
  readonly status: number;
}

/** The rules by their names in the counters: `nat:DOCKER:2`. */
export class RuleIndex {
  private readonly rules = new Map<string, Rule>();

  constructor(
    ruleset: Ruleset | undefined,
    readonly counters: RuleCounterTable,
  ) {
    for (const { name, chains } of ruleset?.tables.values() ?? [])
      for (const chain of chains.values())
        for (const rule of chain.rules) this.rules.set(`${name}:${chain.name}:${rule.number}`, rule);
  }

  name(id: number): string {
    return this.counters.names[id] ?? '';
  }

  find(id: number): Rule | undefined {
    return this.rules.get(this.name(id));
  }
}

/** Watches one packet. */
export class Recorder implements PathObserver {
  readonly stages: Stage[] = [];
  /** The packet as it came, and itself; undefined before anything happened. */
  first: PacketState | undefined;
  packet: Packet | undefined;
  /** What REJECT says to the sender. */
  answer: string | undefined;
  private steps: Step[] | undefined;
  private begun: Begun | undefined;
  /** The chains that are being walked, the innermost last. */
  private readonly open: ChainDraft[] = [];
  private walk: ChainDraft | undefined;
  /** A rule that matched, whose target may change the packet; and what it was before. */
  private pending: { readonly visit: RuleDraft; readonly before: PacketState } | undefined;
  /** What the step's NAT rule asked for. */
  private asked: { readonly range: NatRange | undefined } | undefined;
  private hasRouted = false;

  constructor(
    private readonly host: Host,
    private readonly rules: RuleIndex,
    /** Reason word of the path, if it has one by now. */
    private readonly reason: () => string,
  ) {}

  hook(packet: Packet, hook: BuiltinChain): void {
    const state = this.see(packet);
    const steps: Step[] = [];
    this.steps = steps;
    const stage: HookStage = {
      kind: 'hook',
      hook,
      in: this.interfaceName(packet.inInterface),
      out: this.interfaceName(packet.outInterface),
      packet: state,
      steps,
    };
    this.stages.push(stage);
  }

  beforeStep(packet: Packet, hook: BuiltinChain, step: HookStep, chain: CompiledChain | undefined): void {
    const { info, entry, status } = packet;
    this.begun = { hook, step, chain, state: stateOf(packet), info, entry, status };
    this.walk = undefined;
    this.asked = undefined;
  }

  afterStep(packet: Packet, passed: boolean): void {
    const { begun } = this;
    if (begun === undefined) return;
    const step = this.step(begun, packet, passed);
    if (step !== undefined) this.steps?.push(step);
    this.begun = undefined;
  }

  private step(begun: Begun, packet: Packet, passed: boolean): Step | undefined {
    switch (begun.step) {
      case 'conntrack':
        return trackStep(begun, packet, passed, this.reason());
      case 'confirm':
        return { kind: 'confirm', confirmed: isConfirmedNow(begun, packet), passed };
      case 'nat':
        return natStep({ ...begun, walk: this.walk, asked: this.asked, packet, passed });
      default:
        return this.walk === undefined ? undefined : { kind: 'table', table: begun.step, walk: this.walk, passed };
    }
  }

  routed(packet: Packet, { kind, iface, gateway, reason }: Readonly<Routing>): void {
    this.see(packet);
    this.stages.push({
      kind: 'routing',
      of: 'incoming',
      decision: kind,
      destination: formatAddress(packet.family, packet.destination),
      iface: kind === 'forward' ? this.interfaceName(iface) : undefined,
      gateway: kind === 'forward' && gateway !== undefined ? formatAddress(packet.family, gateway) : undefined,
      why: kind === 'drop' ? reason : undefined,
    });
  }

  routedOut(packet: Packet, route: Route | undefined): void {
    this.see(packet);
    const isLocal = route?.type === 'local' || route?.type === 'anycast';
    const sends = route !== undefined && (isLocal || SENT.has(route.type));
    this.stages.push({
      kind: 'routing',
      of: this.hasRouted ? 'again' : 'outgoing',
      decision: !sends ? 'drop' : isLocal ? 'local' : 'send',
      destination: formatAddress(packet.family, packet.destination),
      iface: sends ? this.interfaceName(route.iface) : undefined,
      gateway: sends && route.gateway !== undefined ? formatAddress(packet.family, route.gateway) : undefined,
      why: sends ? undefined : 'no-route',
    });
    this.hasRouted = true;
  }

  enters(chain: CompiledChain): void {
    const visit: ChainDraft = { chain: chain.name, rules: [], end: 'return', policy: undefined };
    const caller = this.open.at(-1)?.rules.at(-1);
    if (caller === undefined) this.walk = visit;
    else caller.jump = visit;
    this.open.push(visit);
  }

  passes(rule: CompiledRule, packet: Packet, failed: number): void {
    this.settle(packet);
    const visit = this.visit(rule, packet, false);
    const written = this.rules.find(rule.id);
    if (written !== undefined) visit.why = reasonOf(written, rule, packet, failed);
    visit.drops = packet.dropped;
  }

  matches(rule: CompiledRule, packet: Packet): void {
    this.settle(packet);
    const visit = this.visit(rule, packet, true);
    this.pending = { visit, before: stateOf(packet) };
    if (rule.target.kind === 'reject') this.answer = rule.target.with;
  }

  asksFor(range: NatRange | undefined): void {
    this.asked = { range };
  }

  leaves(_chain: CompiledChain, verdict: number): void {
    if (this.packet !== undefined) this.settle(this.packet);
    const visit = this.open.pop();
    if (visit !== undefined) visit.end = verdict === WALK_ACCEPT ? 'accept' : verdict === WALK_DROP ? 'drop' : 'return';
  }

  policy({ policy }: CompiledChain): void {
    if (this.walk === undefined) return;
    this.walk.end = 'policy';
    this.walk.policy = policy;
  }

  private see(packet: Packet): PacketState {
    const state = stateOf(packet);
    this.packet = packet;
    this.first ??= state;
    return state;
  }

  private visit(rule: CompiledRule, { family }: Packet, matched: boolean): RuleDraft {
    const written = this.rules.find(rule.id);
    const visit: RuleDraft = {
      rule: this.rules.name(rule.id),
      number: written?.number ?? 0,
      line: written?.line ?? 0,
      text: written === undefined ? '' : printRule(written, family),
      matched,
      why: undefined,
      drops: false,
      target: matched && written !== undefined ? targetName(written) : undefined,
      jump: undefined,
      isGoto: matched && rule.target.kind === 'goto',
      change: undefined,
    };
    this.open.at(-1)?.rules.push(visit);
    return visit;
  }

  /** Whether the target of the last rule that matched has changed the packet. */
  private settle(packet: Packet): void {
    const { pending } = this;
    if (pending === undefined) return;
    this.pending = undefined;
    if (pending.visit.jump !== undefined) return;
    const after = stateOf(packet);
    // What NAT does to the packet is told by the step.
    if (this.asked === undefined && differ(pending.before, after))
      pending.visit.change = { before: pending.before, after };
  }

  private interfaceName(index: InterfaceIndex): string | undefined {
    return this.host.interfaces[index]?.name;
  }
}

const SENT: ReadonlySet<string> = new Set(['unicast', 'broadcast', 'multicast']);

function targetName({ target }: Rule): string | undefined {
  if (target === undefined) return undefined;
  if (target.kind === 'verdict') return target.verdict;
  return target.kind === 'extension' ? target.extension.name : target.chain;
}

function trackStep(begun: Begun, packet: Packet, passed: boolean, reason: string): Step | undefined {
  // Nothing is tracked here.
  if (packet.info === CT_OFF) return undefined;
  const { entry, status } = packet;
  const isNew = entry >= 0 && (status & (CONFIRMED | DYING)) === 0;
  return {
    kind: 'conntrack',
    state: stateWord(packet),
    entry: entry < 0 ? 'none' : entry === begun.entry ? 'kept' : isNew ? 'new' : 'found',
    connection: entry < 0 ? undefined : connectionOf(packet),
    why: packet.info === CT_NONE && reason !== '' ? reason : undefined,
    passed,
  };
}

function isConfirmedNow({ status }: Begun, packet: Packet): boolean {
  return packet.entry >= 0 && (status & CONFIRMED) === 0 && (packet.status & CONFIRMED) !== 0;
}
