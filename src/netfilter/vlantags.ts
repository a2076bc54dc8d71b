/**
 * VLAN devices (`eth0.100` on `eth0`): which device a tagged frame came in by (kernel: vlan_do_receive), and the tags of
 * frames that go out by one (vlan_dev_hard_start_xmit). Records are written as on the wire below: a packet that leaves by
 * eth0.200 has tag 200, whatever tags it came with. Priorities are not carried over: a device sends with priority 0.
 */
import type { Slab } from '../capture/slab.js';
import type { ExtraRecord } from '../capture/types.js';
import type { Host, InterfaceIndex } from '../host/types.js';
import type { PacketColumns } from '../packet/columns.js';
import { ETHERNET_HEADER, ETHERNET_SENDER, ETHERNET_TYPE } from '../packet/link.js';
import { EGRESS_REPLACED, INGRESS_UNKNOWN, type ResultColumns, VERDICT_FORWARD } from './results.js';

const TAG = 4;
const VLAN_ID = 0xfff;
/** Answer of `device`: the host has none for the tag, so the frame is not for it. */
export const NO_DEVICE = -3;

export class VlanTags {
  /** Device by parent and tag. */
  private readonly devices = new Map<string, InterfaceIndex>();
  /** For frames whose parent is not stated: the device, if it is the only one with the tag. */
  private readonly anywhere = new Map<string, InterfaceIndex>();
  /** Tags of frames that leave by an interface, outermost first: EtherType and id. */
  private readonly stacks: readonly (readonly (readonly [protocol: number, id: number])[])[];

  private constructor(private readonly host: Host) {
    this.stacks = host.interfaces.map(({ index }) => this.stackOf(index));
    for (const { index, link } of host.interfaces) {
      if (link?.kind !== 'vlan') continue;
      const tag = `${link.protocol} ${link.id}`;
      this.devices.set(`${host.interfaceByName(link.parent)?.index} ${tag}`, index);
      this.anywhere.set(tag, this.anywhere.has(tag) ? INGRESS_UNKNOWN : index);
    }
  }

  /** Undefined for a host without VLAN devices. */
  static of(host: Host): VlanTags | undefined {
    return host.interfaces.some(({ link }) => link?.kind === 'vlan') ? new VlanTags(host) : undefined;
  }

  private stackOf(iface: InterfaceIndex): (readonly [number, number])[] {
    const stack: (readonly [number, number])[] = [];
    let at = this.host.interfaces[iface];
    while (at?.link?.kind === 'vlan' && stack.length < this.host.interfaces.length) {
      stack.unshift([at.link.protocol, at.link.id]);
      at = this.host.interfaceByName(at.link.parent);
    }
    return stack;
  }

  /** The device a tagged Ethernet frame came in by, which was seen at `ingress`; NO_DEVICE if there is none. */
  device(view: DataView, frame: number, l3: number, ingress: InterfaceIndex): InterfaceIndex {
    let device = ingress;
    for (let at = frame + ETHERNET_TYPE; at + 2 < l3; at += TAG) {
      const id = view.getUint16(at + 2) & VLAN_ID;
      // Tag 0 only states a priority.
      if (id === 0) continue;
      const tag = `${view.getUint16(at)} ${id}`;
      const below = device < 0 ? this.anywhere.get(tag) : this.below(device, tag);
      if (below === undefined) return ingress < 0 ? ingress : this.isPort(device) ? device : NO_DEVICE;
      device = below;
    }
    return device;
  }

  /** A bridge's VLAN devices take their frames from its ports. */
  private below(device: InterfaceIndex, tag: string): InterfaceIndex | undefined {
    const found = this.devices.get(`${device} ${tag}`);
    const master = this.host.interfaces[device]?.master;
    if (found !== undefined || master === undefined) return found;
    return this.devices.get(`${this.host.interfaceByName(master)?.index} ${tag}`);
  }

  private isPort(iface: InterfaceIndex): boolean {
    return this.host.interfaces[iface]?.master !== undefined;
  }

  /** Gives forwarded records `from` to `to` the tags of their way out; `extras` are those of these records. */
  run(
    slab: Slab,
    columns: PacketColumns,
    results: ResultColumns,
    from: number,
    to: number,
    extras: ExtraRecord[],
  ): void {
    for (const [k, extra] of extras.entries()) {
      const stack = this.stacks[extra.output];
      const header = stack && this.header(slab, columns, results, extra.after, stack);
      if (header === undefined) continue;
      const length = (columns.l3[extra.after] as number) - (slab.records.frame[extra.after] as number);
      // An answer of the host's own has the addresses the other way round.
      header.set(extra.frame.subarray(0, ETHERNET_TYPE));
      const frame = joined(header, extra.frame.subarray(length));
      extras[k] = { ...extra, frame, wireLength: extra.wireLength + header.length - length };
    }
    const before = extras.length;
    for (let i = from; i < to; i++) {
      const stack = results.verdict[i] === VERDICT_FORWARD ? this.stacks[results.egress[i] as number] : undefined;
      const header = stack && this.header(slab, columns, results, i, stack);
      if (header !== undefined) this.retag(slab, columns, results, i, header, extras);
    }
    if (extras.length > before) extras.sort((a, b) => a.after - b.after);
  }

  /** The link header of record i on its way out with these tags; undefined where it stays what it is. */
  private header(
    slab: Slab,
    columns: PacketColumns,
    results: ResultColumns,
    i: number,
    stack: readonly (readonly [protocol: number, id: number])[],
  ): Uint8Array | undefined {
    const frame = slab.records.frame[i] as number;
    const l3 = columns.l3[i] as number;
    const isEthernet = (columns.sender[i] as number) === frame + ETHERNET_SENDER && (l3 - frame) % TAG === 2;
    const tagged = l3 - frame > ETHERNET_HEADER;
    if (!isEthernet || (!tagged && stack.length === 0)) return undefined;
    // A bridge carries the tags of others as they are.
    const foreign = tagged && (slab.view.getUint16(frame + ETHERNET_HEADER) & VLAN_ID) !== 0;
    const ingress = results.ingress[i] as number;
    if (foreign && stack.length === 0 && (ingress < 0 || this.stacks[ingress]?.length === 0)) return undefined;
    const header = new Uint8Array(ETHERNET_HEADER + TAG * stack.length);
    header.set(slab.bytes.subarray(frame, frame + ETHERNET_TYPE));
    const view = new DataView(header.buffer);
    let at = ETHERNET_TYPE;
    for (const [protocol, id] of stack) {
      view.setUint16(at, protocol);
      view.setUint16(at + 2, id);
      at += TAG;
    }
    view.setUint16(at, slab.view.getUint16(l3 - 2));
    return header;
  }

  private retag(
    slab: Slab,
    columns: PacketColumns,
    results: ResultColumns,
    i: number,
    header: Uint8Array,
    extras: ExtraRecord[],
  ): void {
    const { records } = slab;
    const frame = records.frame[i] as number;
    const l3 = columns.l3[i] as number;
    if (header.length === l3 - frame) {
      slab.bytes.set(header, frame);
      return;
    }
    // As long as its packet: what follows is padding.
    const length = header.length + (columns.totalLength[i] as number);
    const cut = (records.capturedLength[i] as number) - (l3 - frame);
    const packet = slab.bytes.subarray(l3, l3 + Math.min(cut, columns.totalLength[i] as number));
    extras.push({
      after: i,
      output: results.egress[i] as number,
      source: records.source[i] as number,
      seconds: records.seconds[i] as number,
      nanoseconds: records.nanoseconds[i] as number,
      wireLength: length,
      frame: joined(header, packet),
    });
    results.egress[i] = EGRESS_REPLACED;
  }
}

function joined(header: Uint8Array, packet: Uint8Array): Uint8Array {
  const frame = new Uint8Array(header.length + packet.length);
  frame.set(header);
  frame.set(packet, header.length);
  return frame;
}
