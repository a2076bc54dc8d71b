/**
 * Where a slab's records came in, as far as the capture says, and which of them the host sent itself (DESIGN: "Where a
 * packet came in", "What went out").
 *
 * Stated, in this order: the name on the command line, the capture's interface name, SLL2's ifindex. Frames whose sender
 * is the interface's own MAC are outgoing; where the interface is not stated, any MAC of the host counts.
 */

import type { Slab } from '../capture/slab.js';
import type { CaptureInterface } from '../capture/types.js';
import type { Host } from '../host/types.js';
import { INGRESS_LOCAL, INGRESS_UNKNOWN, type ResultColumns } from '../netfilter/results.js';
import { NO_DEVICE, VlanTags } from '../netfilter/vlantags.js';
import { FLAG_OTHER_HOST, FLAG_OUTGOING, type PacketColumns } from '../packet/columns.js';
import { ETHERNET_HEADER, LINKTYPE_ETHERNET } from '../packet/link.js';
import { swap16, swap32 } from '../packet/tuple.js';

/** Name of the host itself on the command line and in the log. */
export const LOCAL_NAME = '@local';

const MAC_LENGTH = 6;
const VLAN_ID = 0xfff;
/** Group bit of a MAC's first byte: broadcast and multicast. */
const GROUP = 1;

export class IngressStage {
  /** Interface of each capture interface, INGRESS_UNKNOWN where the capture does not say. */
  private readonly stated: number[] = [];
  private readonly ethernet: boolean[] = [];
  private readonly byIfindex = new Map<number, number>();
  /** MAC of each host interface as a number below 2^48; -1 if it is not known or says nothing (loopback). */
  private readonly macs: readonly number[];
  private readonly allMacs: ReadonlySet<number>;
  /** The last four bytes of the same, signed. */
  private readonly lowHalves: Int32Array;
  private readonly allLowHalves: ReadonlySet<number>;
  /** Ports of a bridge or bond see frames for their master too. */
  private readonly isPort: readonly boolean[];
  private readonly vlans: VlanTags | undefined;
  /**
   * False for a host that was inferred and has no VLAN device: its packets are translated inside their tags, so that a
   * capture of a trunk can be replayed.
   */
  private readonly looksAtTags: boolean;

  constructor(
    private readonly host: Host,
    private readonly interfaces: readonly CaptureInterface[],
    private readonly findOutgoing: boolean,
  ) {
    this.macs = host.interfaces.map(({ mac }) => (mac === undefined ? -1 : macNumber(mac)));
    this.allMacs = new Set(this.macs.filter((mac) => mac >= 0));
    this.lowHalves = Int32Array.from(this.macs, (mac) => (mac % 0x100000000) | 0);
    this.allLowHalves = new Set(this.lowHalves.filter((_, k) => (this.macs[k] ?? -1) >= 0));
    const masters = new Set(host.interfaces.map(({ master }) => master));
    this.isPort = host.interfaces.map(({ name, master }) => master !== undefined || masters.has(name));
    this.vlans = VlanTags.of(host);
    this.looksAtTags = this.vlans !== undefined || !host.inferred;
    for (const { index, ifindex } of host.interfaces) {
      if (ifindex !== undefined) this.byIfindex.set(ifindex, index);
    }
  }

  /** Records `start` to `end`, all of the slab if not given. */
  run(slab: Slab, columns: PacketColumns, results: ResultColumns, start = 0, end = slab.records.count): void {
    this.learnInterfaces();
    const { records } = slab;
    for (let i = start; i < end; i++) {
      const source = records.source[i] as number;
      let ingress = this.stated[source] as number;
      const ifindex = columns.ifindex[i] as number;
      if (ingress === INGRESS_UNKNOWN && ifindex >= 0) ingress = this.byIfindex.get(ifindex) ?? INGRESS_UNKNOWN;
      if (this.looksAtTags && this.ethernet[source] === true) {
        const frame = records.frame[i] as number;
        const device = this.deviceOf(slab, frame, columns.l3[i] as number, ingress);
        if (device === NO_DEVICE) columns.flags[i] = (columns.flags[i] as number) | FLAG_OTHER_HOST;
        else ingress = device;
      }
      results.ingress[i] = ingress;
      const own = this.allMacs.size > 0 && this.isOwnSender(slab, columns.sender[i] as number, ingress);
      if (!this.findOutgoing) columns.flags[i] = (columns.flags[i] as number) & ~FLAG_OUTGOING;
      else if (own) columns.flags[i] = (columns.flags[i] as number) | FLAG_OUTGOING;
      // What the host sent is addressed to others of course: where it is to be replayed, that must not drop it.
      if (own || ingress < 0 || this.ethernet[source] !== true) continue;
      if (this.isForOther(slab, records.frame[i] as number, ingress))
        columns.flags[i] = (columns.flags[i] as number) | FLAG_OTHER_HOST;
    }
  }

  /** A tagged frame came in by the VLAN device of its tag, which is not there on a host that has none. */
  private deviceOf(slab: Slab, frame: number, l3: number, ingress: number): number {
    if (l3 - frame <= ETHERNET_HEADER || l3 > slab.end) return ingress;
    if (this.vlans !== undefined) return this.vlans.device(slab.view, frame, l3, ingress);
    const isPriorityOnly = (slab.view.getUint16(frame + ETHERNET_HEADER) & VLAN_ID) === 0;
    return ingress < 0 || isPriorityOnly || this.isPort[ingress] === true ? ingress : NO_DEVICE;
  }

  /** Looks at capture interfaces that turned up since; returns how many there are. */
  learn(): number {
    this.learnInterfaces();
    return this.stated.length;
  }

  /** Last two bytes of every MAC the host has, as loaded little-endian. */
  macEnds(): number[] {
    return [...this.allMacs].map((mac) => swap16(mac % 0x10000));
  }

  /**
   * What the hot path needs to know of frames from capture interface `k`, undefined if it is none for it: the stated
   * ingress, the last four bytes of that interface's MAC (little-endian), and whether frames for another MAC are to be
   * looked at.
   */
  plainEthernet(k: number): { stated: number; macEnd: number; isChecked: boolean } | undefined {
    const stated = this.stated[k] ?? INGRESS_UNKNOWN;
    // At a port of a bridge, more than one MAC is the host's, and frames for others are bridged.
    if (this.ethernet[k] !== true || stated === INGRESS_LOCAL || this.isPort[stated] === true) return undefined;
    const isChecked = stated >= 0 && (this.macs[stated] as number) >= 0;
    return { stated, macEnd: swap32(stated < 0 ? 0 : (this.lowHalves[stated] as number)), isChecked };
  }

  private learnInterfaces(): void {
    for (let k = this.stated.length; k < this.interfaces.length; k++) {
      const described = this.interfaces[k];
      const name = described?.assignedName ?? described?.name;
      const index = name === undefined ? undefined : this.host.interfaceByName(name)?.index;
      this.stated.push(name === LOCAL_NAME ? INGRESS_LOCAL : (index ?? INGRESS_UNKNOWN));
      this.ethernet.push(described?.linkType === LINKTYPE_ETHERNET);
    }
  }

  private isOwnSender(slab: Slab, sender: number, ingress: number): boolean {
    if (sender < 0 || ingress === INGRESS_LOCAL) return false;
    // Nearly every frame is told apart by the half of the MAC that differs from device to device.
    const low = slab.view.getInt32(sender + 2);
    // At a port of a bridge the host's frames have the bridge's MAC.
    const one = ingress >= 0 && this.isPort[ingress] !== true;
    if (one ? low !== this.lowHalves[ingress] : !this.allLowHalves.has(low)) return false;
    const mac = macAt(slab.view, sender);
    return one ? mac === this.macs[ingress] : this.allMacs.has(mac);
  }

  /** Promiscuous captures hold frames for others: unicast to a MAC that is none of the host's. */
  private isForOther(slab: Slab, frame: number, ingress: number): boolean {
    if ((this.macs[ingress] as number) < 0 || this.isPort[ingress] === true || frame + MAC_LENGTH > slab.end)
      return false;
    if ((slab.view.getUint8(frame) & GROUP) !== 0) return false;
    if (slab.view.getInt32(frame + 2) === this.lowHalves[ingress]) return false;
    const mac = macAt(slab.view, frame);
    return mac !== this.macs[ingress] && !this.allMacs.has(mac);
  }
}

const macAt = (view: DataView, at: number): number => view.getUint16(at) * 0x100000000 + view.getUint32(at + 2);

/** -1 for the all-zero MAC of loopback, which every frame there has. */
function macNumber(mac: Uint8Array): number {
  const value = mac.reduce((number, byte) => number * 256 + byte, 0);
  return value === 0 ? -1 : value;
}
