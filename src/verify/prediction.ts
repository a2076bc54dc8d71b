/**
 * natreplay's own answer to packets that the kernel was asked about, one at a time, so that ports which the kernel drew at
 * random can be told before each.
 */
import { Slab } from '../capture/slab.js';
import type { Host } from '../host/types.js';
import type { RuleCounterTable } from '../netfilter/compile.js';
import { Engine } from '../netfilter/engine.js';
import {
  EGRESS_REPLACED,
  INGRESS_LOCAL,
  ResultColumns,
  VERDICT_DROP,
  VERDICT_FORWARD,
  VERDICT_LOCAL,
} from '../netfilter/results.js';
import { PacketColumns } from '../packet/columns.js';
import { LINKTYPE_ETHERNET } from '../packet/link.js';
import { parseSlab } from '../packet/parse.js';
import { connectionEntries } from '../pipeline/connections.js';
import { describePacket, VERDICT_NAMES } from '../pipeline/packetlog.js';
import { conntrackText } from '../report/conntrack.js';
import type { ConnectionEntry, Verdict } from '../report/types.js';
import { printRules } from '../rules/print.js';
import type { Ruleset } from '../rules/types.js';
import { FROM_HOST } from './gateway.js';
import { type KernelAnswer, ObservedPorts } from './observedports.js';
import type { Backend } from './options.js';
import { RulePathRecorder, type RulePathStep } from './rulepath.js';

export interface PredictedPacket {
  readonly iface: string;
  /** Ethernet. */
  readonly frame: Uint8Array;
}

export interface PredictionOptions {
  readonly host: Host;
  /** Undefined: none. */
  readonly rules: Ruleset | undefined;
  readonly rules6: Ruleset | undefined;
  readonly backend: Backend;
  /** What the host itself says about packets that it drops is among what it sent. */
  readonly hostPackets?: boolean | undefined;
  /** Of the random numbers where nothing is known of the kernel's; default 1. */
  readonly seed?: number | undefined;
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
const ETHERNET_HEADER = 14;

export class Prediction {
  readonly engine: Engine;
  readonly ports = new ObservedPorts();
  readonly #host: Host;
  readonly #rules6: Ruleset | undefined;
  readonly #path: RulePathRecorder;
  #path6: RulePathRecorder | undefined;
  readonly #slab = new Slab(SLAB_BYTES, 1);
  readonly #columns = new PacketColumns(1);
  readonly #results = new ResultColumns(1);

  constructor({ host, rules, rules6, backend, hostPackets, seed = 1 }: PredictionOptions) {
    this.#host = host;
    this.#rules6 = rules6;
    const known = { seed, portChooser: this.ports, checksums: 'verify' } as const;
    this.engine = new Engine(host, rules, { ...known, backend, rules6, hostPackets });
    this.#path = new RulePathRecorder(rules, this.engine.counters);
  }

  /**
   * Judges an Ethernet frame that comes in by an interface, or is sent by the host itself (FROM_HOST), at a time
   * (milliseconds since 1970). `kernel`: what the kernel made of it, from the IP header on; undefined: nobody asked it.
   */
  judge(iface: string, frame: Uint8Array, time: number, kernel: KernelAnswer | undefined): Judged {
    this.#load(frame, time);
    parseSlab(this.#slab, this.#columns, [LINKTYPE_ETHERNET], 'verify');
    this.#results.ingress[0] = iface === FROM_HOST ? INGRESS_LOCAL : (this.#host.interfaceByName(iface)?.index ?? -1);
    this.ports.observe(kernel);
    const path = this.#recorder(frame);
    path?.start();
    this.engine.track(this.#slab, this.#columns, this.#results);
    const verdict = this.#results.verdict[0] ?? VERDICT_DROP;
    const outputs = this.#outputs(frame.length, verdict);
    return {
      verdict: VERDICT_NAMES[verdict] ?? 'drop',
      why: this.engine.reasons.words[this.#results.why[0] ?? 0] ?? '',
      sent: outputs.filter((output) => output.iface !== ''),
      delivered: outputs.filter((output) => output.iface === ''),
      path: () => {
        this.engine.flushCounters();
        return path?.steps() ?? [];
      },
    };
  }

  #recorder(frame: Uint8Array): RulePathRecorder | undefined {
    if ((frame[ETHERNET_HEADER] ?? 0) >> 4 !== 6) {
      this.engine.flushCounters();
      return this.#path;
    }
    const { ipv6 } = this.engine;
    if (ipv6 !== undefined) this.#path6 ??= new RulePathRecorder(this.#rules6, ipv6.counters);
    return this.#path6;
  }

  /** What the host itself says, and the record as rewritten or what leaves instead; delivered ones have no interface. */
  #outputs(length: number, verdict: number): PredictedPacket[] {
    const { extras } = this.engine;
    const name = (index: number): string => this.#host.interfaces[index]?.name ?? '';
    const beside = extras.map(({ output, frame }) => ({ iface: name(output), frame: Uint8Array.from(frame) }));
    extras.length = 0;
    const egress = this.#results.egress[0] ?? -1;
    if ((verdict !== VERDICT_FORWARD && verdict !== VERDICT_LOCAL) || egress === EGRESS_REPLACED) return beside;
    const iface = verdict === VERDICT_FORWARD ? name(egress) : '';
    return [...beside, { iface, frame: this.#slab.bytes.slice(0, length) }];
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
    this.engine.flushCounters();
    return countersText(this.engine.ruleset, this.engine.counters);
  }

  /** `ip6tables-save -c` text, '' without rules. */
  counters6(): string {
    const { ipv6 } = this.engine;
    return ipv6 === undefined ? '' : countersText(this.#rules6, ipv6.counters);
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

function countersText(ruleset: Ruleset | undefined, counters: RuleCounterTable): string {
  if (ruleset === undefined) return '';
  return printRules(ruleset, {
    counters: true,
    countersOf: (table, chain, rule) => {
      const id = counters.id(table, chain, rule) ?? -1;
      return { packets: counters.packets[id] ?? 0, bytes: counters.bytes[id] ?? 0 };
    },
  });
}
