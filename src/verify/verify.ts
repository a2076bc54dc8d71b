/**
 * The same packets through this machine's kernel and through natreplay, compared: what went out and where, to the byte;
 * what reached the host; the rules' counters; the connections.
 *
 *   captures ─▶ source ─▶ gateway (kernel) ─▶ outputs, ports, times ─┐
 *                  └────▶ prediction (natreplay) ◀── ports, times ───┴─▶ compare
 *
 * Time. The kernel's clock can't be turned, and a capture of an hour is sent in seconds. So natreplay judges every packet
 * at the very time at which the kernel did (the marker behind it says when), and both see the capture as fast as the
 * kernel could take it: what lies between two packets of the capture does not count, and connections do not expire in
 * its pauses.
 */
import { NatreplayError } from '../errors.js';
import type { HostDescription } from '../host/description.js';
import type { HostFile } from '../host/hostschema.js';
import { makeHost } from '../host/machine.js';
import { statesIpv6 } from '../netfilter/ipv6stack.js';
import type { CaptureInput } from '../pipeline/replay.js';
import type { Verdict } from '../report/types.js';
import type { Ruleset } from '../rules/types.js';
import { bridgeNames, bridgePorts } from './bridging.js';
import { hasCommand } from './commands.js';
import { type AttributedFrame, compareOutputs, ipPacket, type Mismatch } from './compare.js';
import { type ConnectionComparison, compareConnections } from './connections.js';
import { type CounterComparison, compareRuleCounters } from './counters.js';
import { fragmentIds } from './fragmentid.js';
import { FROM_HOST, Gateway, HOST_COMMAND, type SendResult } from './gateway.js';
import type { Keeper } from './keep.js';
import { MAX_MTU, type Sender, unreachableInterfaces } from './layout.js';
import type { Backend } from './options.js';
import { type Judged, Prediction } from './prediction.js';
import type { RulePathStep } from './rulepath.js';
import { inOneOrder } from './saveorder.js';
import { PacketSource, SKIPPED, type SkipReason, type SourcePacket } from './source.js';

export interface VerifyOptions {
  readonly captures: readonly CaptureInput[];
  /** One host, twice: as natreplay sees it, and as a gateway is set up from it. */
  readonly description: HostDescription;
  readonly hostFile: HostFile;
  /** IPv4 rules; undefined: none. */
  readonly rules?: Ruleset | undefined;
  readonly rules6?: Ruleset | undefined;
  /** The same, and those for IPv6, as the tools get them. */
  readonly rulesText: string;
  readonly rules6Text?: string | undefined;
  readonly backend: Backend;
  /** Writes down what was sent and what came of it. */
  readonly keeper?: Keeper | undefined;
  /** Mismatches that are kept in full; all are counted. Default 100. */
  readonly mostMismatches?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onStart?: ((records: number) => void) | undefined;
  readonly onProgress?: ((records: number, packets: number) => void) | undefined;
}

export type VerifyMismatch = Mismatch & {
  /** Number of the record over all captures, from 0. */
  readonly record: number;
  readonly ingress: string;
  /** `tcp 198.51.100.7:40000 > 192.0.2.1:8799` */
  readonly packet: string;
  /** From the IP header on, as it was sent. */
  readonly bytes: Uint8Array;
  /** What natreplay says became of it. */
  readonly verdict: Verdict;
  readonly why: string;
  readonly path: readonly RulePathStep[];
};

export interface VerifyResult {
  readonly records: number;
  /** Packets put to both. */
  readonly packets: number;
  readonly skipped: readonly (readonly [SkipReason, number])[];
  /** Packets whose end the snaplen had cut off. */
  readonly filled: number;
  readonly checksumsFinished: number;
  /** Packets by what natreplay says became of them. */
  readonly verdicts: ReadonlyMap<Verdict, number>;
  /** Packets of which everything agreed. */
  readonly agreed: number;
  /** Packets of which something differed; the first of them in full. */
  readonly differing: number;
  readonly mismatches: readonly VerifyMismatch[];
  readonly counters: CounterComparison;
  readonly counters6: CounterComparison;
  readonly connections: ConnectionComparison;
  /** Ports that the kernel drew at random, all of them permitted and free. */
  readonly portsFollowed: number;
  /** Seconds for which packets were sent. */
  readonly seconds: number;
  /** Settings of the host that this kernel does not have. */
  readonly unset: readonly string[];
  readonly assumptions: readonly string[];
  readonly mtuRaised: boolean;
}

/** Deliveries are compared as outputs to this interface. */
export const TO_HOST = '(host)';
const MOST_MISMATCHES = 100;

/** Needs root and the programs of `neededCommands`. Throws NatreplayError; leaves no namespace behind. */
export async function verify(options: VerifyOptions): Promise<VerifyResult> {
  const unreachable = unreachableInterfaces(options.hostFile);
  const host = makeHost(options.description);
  const ipv6 = options.rules6 !== undefined || statesIpv6(host);
  const bridges = bridgeNames(options.hostFile);
  const { captures } = options;
  const sendsForHost = hasCommand(HOST_COMMAND);
  const sourceOf = (): PacketSource => new PacketSource({ captures, host, ipv6, unreachable, bridges, sendsForHost });
  const survey = sourceOf();
  for await (const _ of survey.batches()) options.signal?.throwIfAborted();
  if ([...survey.skipped.values()].reduce((sum, n) => sum + n, 0) === survey.records) throw nothingToCompare(survey);
  options.onStart?.(survey.records);
  const { description, hostFile, mtuRaised } = withMtu(options, survey.longest);
  const gateway = await Gateway.open({
    host: hostFile,
    rules: options.rulesText,
    rules6: options.rules6Text,
    backend: options.backend,
    ipv6,
    mtu: mtuRaised ? MAX_MTU : undefined,
    senders: sendersOf(survey, usesSenders(options) ? undefined : bridgePorts(options.hostFile)),
    stations: [...survey.stations.values()],
  });
  const stop = (): void => gateway.abort(options.signal?.reason);
  options.signal?.addEventListener('abort', stop);
  try {
    options.signal?.throwIfAborted();
    const { rules, rules6, backend } = options;
    const prediction = new Prediction({ host: makeHost(description), rules, rules6, backend });
    return await new Run(options, gateway, prediction, mtuRaised).run(sourceOf());
  } finally {
    options.signal?.removeEventListener('abort', stop);
    await gateway.close();
  }
}

const usesSenders = ({ rulesText, rules6Text = '' }: VerifyOptions): boolean =>
  /--mac-source/.test(rulesText + rules6Text);

/** Frames of all others come from an address of the gateway's making. */
const MOST_SENDERS = 4096;

/** `at`: those at these interfaces alone. */
function sendersOf({ senders }: PacketSource, at?: ReadonlySet<string>): Sender[] {
  return [...senders]
    .flatMap((sender) => {
      const [iface, mac] = sender.split(' ');
      return iface === undefined || mac === undefined || at?.has(iface) === false ? [] : [{ iface, mac }];
    })
    .slice(0, MOST_SENDERS);
}

/** A check that compared nothing must not pass. */
function nothingToCompare({ skipped }: PacketSource): NatreplayError {
  const reasons = [...skipped].sort((a, b) => b[1] - a[1]).map(([reason, n]) => `${n} ${SKIPPED[reason]}`);
  const what = `no packet of the captures can be put to the kernel${reasons.length === 0 ? '' : `: ${reasons.join(', ')}`}`;
  const [most] = [...skipped].sort((a, b) => b[1] - a[1]);
  const advice = most === undefined ? undefined : SKIP_ADVICE[most[0]];
  return new NatreplayError('VERIFY_NOTHING_TO_COMPARE', what, { advice });
}

const STATE_THE_HOST = 'state the host with --host or --iface';
const CAPTURE_INCOMING = 'capture what comes in from others as well';

/** What helps when most packets are left out for a reason. */
const SKIP_ADVICE: Readonly<Record<SkipReason, string>> = {
  outgoing: CAPTURE_INCOMING,
  'not-ip': 'capture IPv4 or IPv6 packets',
  'unknown-link-type': 'capture on Ethernet interfaces, or with tcpdump -i any',
  'cut-by-snaplen': 'capture more of each packet: tcpdump -s 0',
  'other-host': 'capture on the host itself, or state its MAC addresses with --host',
  'sent-by-host': `install python3, ${CAPTURE_INCOMING}, or ${STATE_THE_HOST}`,
  unsendable: CAPTURE_INCOMING,
  loopback: 'capture on the interfaces that packets from others come in by',
  'unknown-ingress': `${STATE_THE_HOST}, or name the interface: IFACE=CAPTURE`,
  'interface-down': 'state a host that has it up, with --host or --iface',
  'bond-port': 'capture on the bond itself',
  'tagged-on-bridge': 'state the VLAN devices of the host with --host',
  'ipv6-not-compared': `${STATE_THE_HOST}, IPv6 addresses included, or give --rules6`,
};

/**
 * Packets longer than the MTU of their interface are several that offloading had merged; then both sides get the largest
 * MTU there is on every interface.
 */
function withMtu(
  { description, hostFile }: VerifyOptions,
  longest: ReadonlyMap<string, number>,
): { description: HostDescription; hostFile: HostFile; mtuRaised: boolean } {
  const mtus = new Map(description.interfaces.map(({ name, mtu }) => [name, mtu]));
  // What the host sends may leave by any.
  mtus.set(FROM_HOST, Math.min(...mtus.values()));
  const mtuRaised = [...longest].some(([name, length]) => length > (mtus.get(name) ?? 1500));
  if (!mtuRaised) return { description, hostFile, mtuRaised };
  const interfaces = description.interfaces.map((iface) => ({ ...iface, mtu: MAX_MTU }));
  return { description: { ...description, interfaces }, hostFile, mtuRaised };
}

class Run {
  readonly #verdicts = new Map<Verdict, number>();
  readonly #mismatches: VerifyMismatch[] = [];
  #packets = 0;
  #differing = 0;
  #milliseconds = 0;
  #lastTime = 0;
  readonly #fragmentIds = fragmentIds();

  constructor(
    private readonly options: VerifyOptions,
    private readonly gateway: Gateway,
    private readonly prediction: Prediction,
    private readonly mtuRaised: boolean,
  ) {}

  async run(source: PacketSource): Promise<VerifyResult> {
    const { options, gateway, prediction } = this;
    for await (const packets of source.batches()) {
      options.signal?.throwIfAborted();
      const before = performance.now();
      const sent = await gateway.send(packets);
      this.#milliseconds += performance.now() - before;
      await this.#compare(packets, sent);
      this.#packets += packets.length;
      options.onProgress?.(source.records, this.#packets);
    }
    const listed = Date.now();
    const conntrack = await gateway.conntrack();
    const counters = await gateway.counters();
    const counters6 = options.rules6Text === undefined ? '' : await gateway.counters6();
    const elapsed = this.#lastTime === 0 ? 0 : (listed - this.#lastTime) / 1000;
    await options.keeper?.listings({
      'counters.kernel.v4': inOneOrder(counters),
      'counters.natreplay.v4': inOneOrder(prediction.counters()),
      'counters.kernel.v6': counters6 === '' ? undefined : inOneOrder(counters6),
      'counters.natreplay.v6': counters6 === '' ? undefined : inOneOrder(prediction.counters6()),
      'conntrack.kernel.txt': conntrack,
      'conntrack.natreplay.txt': prediction.connectionsText(),
    });
    return {
      records: source.records,
      packets: this.#packets,
      skipped: [...source.skipped].sort((a, b) => b[1] - a[1]),
      filled: source.filled,
      checksumsFinished: source.checksumsFinished,
      verdicts: this.#verdicts,
      agreed: this.#packets - this.#differing,
      differing: this.#differing,
      mismatches: this.#mismatches,
      counters: compareRuleCounters(counters, prediction.counters()),
      counters6: compareRuleCounters(counters6, prediction.counters6()),
      connections: compareConnections(conntrack, prediction.connections(), elapsed),
      portsFollowed: prediction.ports.followed,
      seconds: this.#milliseconds / 1000,
      unset: gateway.unset,
      assumptions: options.description.assumptions,
      mtuRaised: this.mtuRaised,
    };
  }

  async #compare(packets: readonly SourcePacket[], sent: SendResult): Promise<void> {
    const first = this.#packets;
    const results = byInput(sent, first, packets.length);
    for (let k = 0; k < packets.length; k++) {
      const packet = packets[k] as SourcePacket;
      const kernel = results[k] ?? [];
      const time = sent.times[k] ?? this.#lastTime;
      this.#lastTime = time;
      const [output] = kernel;
      const judged = this.prediction.judge(
        packet.iface,
        packet.frame,
        time,
        output === undefined ? 'nothing' : ipPacket(output.frame),
      );
      this.#verdicts.set(judged.verdict, (this.#verdicts.get(judged.verdict) ?? 0) + 1);
      const predicted = predictedFrames(judged, first + k);
      const { mismatches } = compareOutputs(kernel, predicted, this.#fragmentIds);
      if (mismatches.length > 0) this.#note(packet, judged, mismatches);
      await this.options.keeper?.packet(packet, time, kernel, predicted);
    }
  }

  #note(packet: SourcePacket, judged: Judged, mismatches: readonly Mismatch[]): void {
    this.#differing++;
    const { mostMismatches = MOST_MISMATCHES } = this.options;
    if (this.#mismatches.length >= mostMismatches) return;
    const { refusal } = this.prediction.ports;
    const details = {
      record: packet.record,
      ingress: packet.iface,
      bytes: packet.frame.subarray(14),
      verdict: judged.verdict,
      why: refusal ?? judged.why,
      path: judged.path(),
      packet: this.prediction.describe(packet.frame),
    };
    for (const mismatch of mismatches) this.#mismatches.push({ ...mismatch, ...details });
  }
}

/** What the kernel made of each packet: what it sent, then what it delivered. */
function byInput(sent: SendResult, first: number, count: number): AttributedFrame[][] {
  const results: AttributedFrame[][] = Array.from({ length: count }, () => []);
  for (const output of sent.outputs) results[output.input - first]?.push(output);
  for (const { input, packet } of sent.delivered) {
    const ethertype = (packet[0] ?? 0) >> 4 === 6 ? [0x86, 0xdd] : [0x08, 0x00];
    const frame = new Uint8Array(14 + packet.length);
    frame.set(ethertype, 12);
    frame.set(packet, 14);
    results[input - first]?.push({ input, iface: TO_HOST, frame });
  }
  return results;
}

function predictedFrames(judged: Judged, input: number): AttributedFrame[] {
  return [
    ...judged.sent.map(({ iface, frame }) => ({ input, iface, frame })),
    ...judged.delivered.map(({ frame }) => ({ input, iface: TO_HOST, frame })),
  ];
}
