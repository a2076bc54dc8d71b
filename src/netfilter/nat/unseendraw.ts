/**
 * A destination port that the kernel drew at random for a packet which it then dropped: nobody saw it. What the packet
 * met depends on it (a rule of filter, a tuple that is taken behind SNAT), so every port that may have been drawn is
 * tried in turn, from the draw on, until one leads to the drop. The first stands where none does.
 *
 * Only where a PortChooser says that the packet was dropped; a replay of its own has nothing to try for.
 */
import { Tuple } from '../../packet/tuple.js';
import type { StateSaver } from '../../rules/extension.js';
import type { RuleCounterTable } from '../compile.js';
import type { Conntrack } from '../conntrack/conntrack.js';
import type { Packet } from '../packet.js';

/** Of a wider range no more are tried: each is another walk through the rules. */
export const MOST_DRAWS = 4096;

export class UnseenDraw {
  /** The mapping as the search for the port found it. */
  readonly mapping = new Tuple();
  private ports: number[] = [];
  private counted = new Float64Array(0);
  private countedBytes = new Float64Array(0);
  private entryWords = new Int32Array(0);
  private bytes = new Uint8Array(0);
  private restoreRules: (() => void)[] = [];
  private restoreFields: () => void = () => undefined;

  constructor(
    private readonly conntrack: Conntrack,
    private readonly counters: RuleCounterTable,
    private readonly savers: readonly StateSaver[],
  ) {}

  /** Before each packet. */
  forget(): void {
    this.ports.length = 0;
  }

  /** A port is about to be drawn for the packet. `ports`: which may have been; the first of them is to be taken now. */
  begin(packet: Packet, mapping: Tuple, ports: readonly number[]): void {
    const [first] = ports;
    if (first === undefined) return;
    this.mapping.copyFrom(mapping);
    this.ports = [...ports.slice(1), first];
    this.save(packet);
  }

  /**
   * The next port to try, with everything as it was before the draw: the first again after all others. Undefined: it
   * stays as it is.
   */
  next(packet: Packet): number | undefined {
    const port = this.ports.shift();
    if (port !== undefined) this.restore(packet);
    return port;
  }

  private save(packet: Packet): void {
    const { counters } = this;
    this.counted = counters.packets.slice();
    this.countedBytes = counters.bytes.slice();
    this.restoreRules = this.savers.map((save) => save());
    const { words, entryWords } = packet.table;
    const at = packet.entry * entryWords;
    this.entryWords = words.slice(at, at + entryWords);
    this.bytes = packet.bytes.slice(packet.l3, packet.end);
    const { hook, inInterface, outInterface, bridgeIn, bridgeOut, nextHop, mark, toGroup, dropped } = packet;
    const fields = { hook, inInterface, outInterface, bridgeIn, bridgeOut, nextHop, mark, toGroup, dropped };
    this.restoreFields = () => Object.assign(packet, fields);
  }

  private restore(packet: Packet): void {
    const { counters, conntrack } = this;
    counters.packets.set(this.counted);
    counters.bytes.set(this.countedBytes);
    for (const restore of this.restoreRules) restore();
    conntrack.withdraw(packet.entry);
    const { words, entryWords } = packet.table;
    words.set(this.entryWords, packet.entry * entryWords);
    packet.connectionChanged();
    packet.bytes.set(this.bytes, packet.l3);
    packet.loadAddresses();
    this.restoreFields();
  }
}
