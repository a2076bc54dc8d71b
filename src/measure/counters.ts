/** Interface counters: RX and TX packets and bytes, as `ifconfig` and /proc/net/dev count them. */
import type { InterfaceIndex } from '../host/types.js';

/** What one interface has counted. Bytes are those of frames, link-layer header included. */
export interface CounterRow {
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
}

/**
 * A column per counter, an entry per interface index; counted once or twice per packet, so nothing is allocated. In
 * doubles: exact to 2^53, where 32-bit counters of bytes would wrap after 4 GiB. An index that is no interface
 * of the table (NO_INTERFACE) counts nothing.
 */
export class InterfaceCounterTable {
  readonly rxPackets: Float64Array;
  readonly rxBytes: Float64Array;
  readonly txPackets: Float64Array;
  readonly txBytes: Float64Array;

  constructor(readonly interfaces: number) {
    this.rxPackets = new Float64Array(interfaces);
    this.rxBytes = new Float64Array(interfaces);
    this.txPackets = new Float64Array(interfaces);
    this.txBytes = new Float64Array(interfaces);
  }

  received(iface: InterfaceIndex, bytes: number): void {
    if (iface < 0 || iface >= this.interfaces) return;
    this.rxPackets[iface] = (this.rxPackets[iface] as number) + 1;
    this.rxBytes[iface] = (this.rxBytes[iface] as number) + bytes;
  }

  sent(iface: InterfaceIndex, bytes: number): void {
    if (iface < 0 || iface >= this.interfaces) return;
    this.txPackets[iface] = (this.txPackets[iface] as number) + 1;
    this.txBytes[iface] = (this.txBytes[iface] as number) + bytes;
  }

  row(iface: InterfaceIndex): CounterRow {
    return {
      rxPackets: this.rxPackets[iface] ?? 0,
      rxBytes: this.rxBytes[iface] ?? 0,
      txPackets: this.txPackets[iface] ?? 0,
      txBytes: this.txBytes[iface] ?? 0,
    };
  }

  addRow(i: InterfaceIndex, row: CounterRow): void {
    this.rxPackets[i] = (this.rxPackets[i] as number) + row.rxPackets;
    this.rxBytes[i] = (this.rxBytes[i] as number) + row.rxBytes;
    this.txPackets[i] = (this.txPackets[i] as number) + row.txPackets;
    this.txBytes[i] = (this.txBytes[i] as number) + row.txBytes;
  }

  /** Adds what another table of the same interfaces counted. */
  add(other: InterfaceCounterTable): void {
    for (let i = 0; i < this.interfaces; i++) this.addRow(i, other.row(i));
  }
}
