/**
 * Runs the records of a slab through the WebAssembly loops (assembly/index.ts), and whatever those stop at through the
 * TypeScript stages: the same outcome as the stages alone, which a run with a packet log uses because it wants every
 * packet's columns.
 */
import type { PackedRecords, Slab } from '../../capture/slab.js';
import type { Conntrack } from '../../netfilter/conntrack/conntrack.js';
import { TRACK_ACCEPT } from '../../netfilter/conntrack/tcp.js';
import { STATES, TRANSITIONS } from '../../netfilter/conntrack/tcptransitions.js';
import type { Engine } from '../../netfilter/engine.js';
import { BEGIN_AGAIN } from '../../netfilter/megaflows/remembered.js';
import type { PacketColumns } from '../../packet/columns.js';
import { IPV4_MIN_HEADER, ipv4TotalLength } from '../../packet/ipv4.js';
import type { ChecksumMode } from '../../packet/parse.js';
import { ENTRIES_START, type Workspace } from '../../workspace.js';
import type { IngressStage } from '../ingress.js';
import { type HotExports, loadHotModule } from './module.js';
import { HotTotals } from './totals.js';

/** Records that go through the passes together; as in assembly/batch.ts. */
const BATCH = 128;
/** Why `run` stopped; as there. */
const STOP_TCP = 2;
const STOP_PARSED = 3;
/** Ingress of a capture interface whose packets the loops must not look at; as there. */
const NOT_PLAIN = -9;
const INPUT_WORDS = 4;
const MAX_INPUTS = 256;
/** Bytes of a bit for every value of a MAC's last two bytes. */
const MAC_BITS = 8192;

const CHECKSUM_MODES: Readonly<Record<ChecksumMode, number>> = { ignore: 0, verify: 1, offload: 2 };

export interface HotPathOptions {
  readonly workspace: Workspace;
  readonly engine: Engine;
  readonly ingress: IngressStage;
  readonly interfaces: number;
  readonly checksums: ChecksumMode;
  readonly writeLocal: boolean;
}

/** What the hot path leaves to the stages. */
export interface OtherPackets {
  /** Takes record i through all stages. */
  slow(i: number): void;
  /**
   * The same for one whose columns are filled and whose stated ingress is known, and which is of no connection with a known
   * way. Not when it begins one: then its reference, for the loops to finish it by; nor when its way is known now
   * (BEGIN_AGAIN); else BEGIN_SLOW.
   */
  parsed(i: number, ingress: number): number;
  /** The same for a segment of a known connection that TCP tracking has judged already (TRACK_*, not ACCEPT). */
  judged(i: number, reference: number, result: number): void;
}

export class HotPath {
  readonly totals: HotTotals;
  private readonly inputs: Int32Array;
  private inputCount = 0;
  private slotShift = -1;

  /** Undefined where the hot path can't be used: the stages do all the work then. */
  static create(options: HotPathOptions): HotPath | undefined {
    const { workspace, engine, interfaces } = options;
    if (!engine.hasFastPath || engine.conntrack === undefined) return undefined;
    const loops = loadHotModule(workspace);
    if (loops === undefined) return undefined;
    const totals = new HotTotals(workspace, interfaces);
    const inputs = workspace.ints(MAX_INPUTS * INPUT_WORDS);
    const macs = workspace.bytes(MAC_BITS);
    const transitions = workspace.bytes(TRANSITIONS.length);
    const timeouts = workspace.ints(STATES);
    // What slabs leave room for: with large ones it may be none of these, or some.
    const shared = [inputs, macs, transitions, timeouts, engine.ways.rows, engine.clock.state];
    const placed = shared.map((array) => workspace.addressOf(array));
    if ([totals.address, ...placed].includes(-1)) return undefined;
    transitions.set(TRANSITIONS);
    timeouts.set(engine.conntrack.settings.tcp);
    loops.setTransitions(workspace.addressOf(transitions), workspace.addressOf(timeouts));
    return new HotPath(loops, options, engine.conntrack, totals, inputs, macs);
  }

  private constructor(
    private readonly loops: HotExports,
    private readonly options: HotPathOptions,
    private readonly conntrack: Conntrack,
    totals: HotTotals,
    inputs: Int32Array,
    private readonly macs: Uint8Array,
  ) {
    const { workspace, engine, checksums, writeLocal, ingress } = options;
    this.totals = totals;
    this.inputs = inputs;
    for (const end of ingress.macEnds()) this.macs[end >> 3] = (this.macs[end >> 3] as number) | (1 << (end & 7));
    const { settings } = conntrack;
    loops.setPolicy(
      CHECKSUM_MODES[checksums],
      writeLocal ? 1 : 0,
      workspace.addressOf(engine.clock.state),
      totals.address,
      workspace.addressOf(engine.ways.rows),
    );
    loops.setTimeouts(
      settings.udp,
      settings.udpStream,
      settings.tcpRetransmitted,
      settings.tcpUnacknowledged,
      settings.tcpMaxRetransmissions,
    );
    loops.setTable(ENTRIES_START, workspace.addressOf(workspace.index(1)));
  }

  /** Prepares for a slab, its packets' columns and its output column; false when not all of them lie in the workspace. */
  load(slab: Slab, columns: PacketColumns, output: Int32Array): boolean {
    const { workspace } = this.options;
    const { records } = slab;
    const address = (array: ArrayBufferView): number => workspace.addressOf(array);
    const arrays = [slab.bytes, output, ...arraysOf(records), ...arraysOf(columns)];
    if (arrays.some((array) => address(array) < 0)) return false;
    this.learnInputs();
    this.loops.setColumns(
      address(columns.kind),
      address(columns.flags),
      address(columns.protocol),
      address(columns.l3),
      address(columns.l4),
      address(columns.end),
      address(columns.totalLength),
      address(columns.source),
      address(columns.destination),
      address(columns.ports),
      address(columns.hash),
      address(columns.ifindex),
      address(columns.sender),
    );
    this.setRecords(slab, output);
    return true;
  }

  private setRecords({ records }: Slab, output: Int32Array): void {
    const { workspace } = this.options;
    const address = (array: ArrayBufferView): number => workspace.addressOf(array);
    this.loops.setRecords(
      address(records.start),
      address(records.end),
      address(records.frame),
      address(records.capturedLength),
      address(records.wireLength),
      address(records.source),
      address(records.direction),
      address(records.seconds),
      address(records.nanoseconds),
      address(output),
    );
  }

  /** Takes records `start`..`end` of the slab last loaded through. */
  run(slab: Slab, start: number, end: number, others: OtherPackets): void {
    const { loops } = this;
    const base = slab.bytes.byteOffset;
    for (let first = start; first < end; first += BATCH) {
      const last = Math.min(first + BATCH, end);
      this.followTable();
      loops.begin(base, first, last);
      let next = first;
      let accepted = 0;
      while (next < last) {
        const stop = loops.run(next, last, accepted);
        const i = stop >> 2;
        if (i === last) break;
        accepted = 0;
        if ((stop & 3) === STOP_TCP) accepted = this.followTcp(slab, i, others);
        else if ((stop & 3) === STOP_PARSED) {
          const begun = others.parsed(i, loops.fill(i));
          if (begun === BEGIN_AGAIN) {
            next = i;
            continue;
          }
          accepted = begun < 0 ? 0 : 1;
          if (accepted === 1) loops.setReference(begun);
        } else others.slow(i);
        this.followTable();
        next = i + 1 - accepted;
      }
    }
    slab.records.shortened += this.totals.takeShortened();
  }

  /** A packer for slabs of the workspace (see Slab). It may be called whatever slab was loaded last. */
  readonly pack = (slab: Slab, output: Int32Array, bigEndian: boolean): PackedRecords | undefined => {
    const { workspace } = this.options;
    if (workspace.addressOf(slab.bytes) < 0 || workspace.addressOf(output) < 0) return undefined;
    this.setRecords(slab, output);
    const { count, shortened } = slab.records;
    const end = this.loops.pack(slab.bytes.byteOffset, count, shortened > 0 ? 1 : 0, bigEndian ? 1 : 0);
    return { begin: 0, end, records: this.loops.packedRecords() };
  };

  /** A segment out of the ordinary: 1 when the loops may finish it. */
  private followTcp(slab: Slab, i: number, others: OtherPackets): number {
    const { loops, conntrack } = this;
    const reference = loops.stoppedReference();
    const ip = loops.parsedIp(i);
    const length = ipv4TotalLength(slab.view, ip) - IPV4_MIN_HEADER;
    const { now } = this.options.engine;
    const result = conntrack.tcp.packet(
      reference >> 1,
      reference & 1,
      slab.view,
      ip + IPV4_MIN_HEADER,
      length,
      loops.parsedEnd(i),
      now,
    );
    if (result === TRACK_ACCEPT) return 1;
    others.judged(i, reference, result);
    return 0;
  }

  /** The table's index grows on the slow path. */
  private followTable(): void {
    const { slotShift } = this.options.engine.table;
    if (slotShift === this.slotShift) return;
    this.slotShift = slotShift;
    this.loops.setSlots(slotShift);
  }

  /** pcapng interfaces turn up while reading. */
  private learnInputs(): void {
    const { ingress, workspace } = this.options;
    const known = Math.min(ingress.learn(), MAX_INPUTS);
    if (known === this.inputCount) return;
    for (let k = this.inputCount; k < known; k++) {
      const plain = ingress.plainEthernet(k);
      this.inputs.set(
        [plain?.stated ?? NOT_PLAIN, plain?.macEnd ?? 0, plain?.isChecked === true ? 1 : 0],
        k * INPUT_WORDS,
      );
    }
    this.inputCount = known;
    this.loops.setInputs(workspace.addressOf(this.inputs), known, workspace.addressOf(this.macs));
  }
}

/** The columns among the members of an object. */
const arraysOf = (columns: object): ArrayBufferView[] =>
  Object.values(columns).filter((one) => ArrayBuffer.isView(one));
