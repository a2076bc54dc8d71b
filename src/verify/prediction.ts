/**
 * natreplay's own answer to packets that the kernel was asked about, one at a time, so that ports which the kernel drew at
 * random can be told before each.
 */
import { Slab } from '../capture/slab.js';
import type { Host } from '../host/types.js';
import { Engine } from '../netfilter/engine.js';
import { ResultColumns, VERDICT_DROP, VERDICT_FORWARD, VERDICT_LOCAL } from '../netfilter/results.js';
import { PacketColumns } from '../packet/columns.js';
import { LINKTYPE_ETHERNET } from '../packet/link.js';
import { parseSlab } from '../packet/parse.js';
import { connectionEntries } from '../pipeline/connections.js';
import { describePacket, VERDICT_NAMES } from '../pipeline/packetlog.js';
import { conntrackText } from '../report/conntrack.js';
import type { ConnectionEntry, Verdict } from '../report/types.js';
import { printRules } from '../rules/print.js';
import type { Ruleset } from '../rules/types.js';
import { ObservedPorts } from './observedports.js';
import { RulePathRecorder, type RulePathStep } from './rulepath.js';

export interface PredictedPacket {
  readonly iface: string;
  /** Ethernet. */
  readonly frame: Uint8Array;
}

export interface Judged {
  readonly verdict: Verdict;
  /** Reason word or rule, '' if there is nothing to say. */
  readonly why: string;
  readonly sent: readonly PredictedPacket[];
  /** As the host gets it. */
  readonly delivered: readonly PredictedPacket[];
  /** Rules that counted the packet; to be called before the next one is judged. */
  readonly path: () => readonly RulePathStep[];
}

const SLAB_BYTES = 128 * 1024;

export class Prediction {
  readonly engine: Engine;
  readonly ports = new ObservedPorts();
  readonly #path: RulePathRecorder;
  readonly #slab = new Slab(SLAB_BYTES, 1);
  readonly #columns = new PacketColumns(1);
  readonly #results = new ResultColumns(1);

  constructor(
    readonly host: Host,
    readonly ruleset: Ruleset | undefined,
  ) {
    this.engine = new Engine(host, ruleset, { seed: 1, portChooser: this.ports });
    this.#path = new RulePathRecorder(ruleset, this.engine.counters);
  }

  /**
   * Judges an Ethernet frame that comes in by an interface at a time (milliseconds since 1970). `kernel`: what the kernel
   * made of it, from the IP header on.
   */
  judge(iface: string, frame: Uint8Array, time: number, kernel: Uint8Array | undefined): Judged {
    this.#load(frame, time);
    parseSlab(this.#slab, this.#columns, [LINKTYPE_ETHERNET], 'verify');
    this.#results.ingress[0] = this.host.interfaceByName(iface)?.index ?? -1;
    this.ports.observe(kernel);
    this.engine.flushCounters();
    this.#path.start();
    this.engine.track(this.#slab, this.#columns, this.#results);
    const verdict = this.#results.verdict[0] ?? VERDICT_DROP;
    const result = (name: string): PredictedPacket => ({
      iface: name,
      frame: this.#slab.bytes.slice(0, frame.length),
    });
    return {
      verdict: VERDICT_NAMES[verdict] ?? 'drop',
      why: this.engine.reasons.words[this.#results.why[0] ?? 0] ?? '',
      sent:
        verdict === VERDICT_FORWARD ? [result(this.host.interfaces[this.#results.egress[0] ?? -1]?.name ?? '')] : [],
      delivered: verdict === VERDICT_LOCAL ? [result(iface)] : [],
      path: () => {
        this.engine.flushCounters();
        return this.#path.steps();
      },
    };
  }

  /** A frame as text: `tcp 198.51.100.7:40000 > 192.0.2.1:8799`. */
  describe(frame: Uint8Array): string {
    this.#load(frame, 0);
    parseSlab(this.#slab, this.#columns, [LINKTYPE_ETHERNET], 'ignore');
    return describePacket(this.#slab, this.#columns, 0) ?? 'not sound IP';
  }

  #load(frame: Uint8Array, time: number): void {
    const { records, bytes } = this.#slab;
    bytes.set(frame);
    this.#slab.end = frame.length;
    records.count = 1;
    records.shortened = 0;
    records.start[0] = 0;
    records.frame[0] = 0;
    records.end[0] = frame.length;
    records.capturedLength[0] = frame.length;
    records.wireLength[0] = frame.length;
    records.source[0] = 0;
    records.direction[0] = 0;
    records.seconds[0] = Math.floor(time / 1000);
    records.nanoseconds[0] = Math.floor((time % 1000) * 1e6);
  }

  /** `iptables-save -c` text, '' without rules. */
  counters(): string {
    const { engine, ruleset } = this;
    if (ruleset === undefined) return '';
    engine.flushCounters();
    return printRules(ruleset, {
      counters: true,
      countersOf: (table, chain, rule) => {
        const id = engine.counters.id(table, chain, rule) ?? -1;
        return { packets: engine.counters.packets[id] ?? 0, bytes: engine.counters.bytes[id] ?? 0 };
      },
    });
  }

  /** Connections alive at the last packet's time. */
  connections(): ConnectionEntry[] {
    return [...connectionEntries(this.engine)];
  }

  /** The same as `conntrack -L` text. */
  connectionsText(): string {
    return conntrackText(this.connections());
  }
}
