/**
 * The host's bridges: which interface a frame belongs to above the port it came in by, where a bridge sends a frame on
 * to, and whether iptables sees it (kernel: br_handle_frame_finish, br_netfilter).
 */
import type { Slab } from '../capture/slab.js';
import type { Family, Host, HostInterface, InterfaceIndex } from '../host/types.js';
import { NO_INTERFACE } from '../host/types.js';
import type { PacketColumns } from '../packet/columns.js';

/** Where a frame goes: to the host itself, to a port whose station is not known yet, back to where it is. */
export const TO_HOST = -2;
export const TO_ALL = -1;
export const TO_SAME_PORT = -3;

/** Group bit of a MAC's first byte: broadcast and multicast. */
const GROUP = 1;
const HIGH = 0x100000000;

/** How a frame came to a bridge, and where it sends it. */
export interface BridgeEntry {
  readonly bridge: InterfaceIndex;
  /** The bridge itself where the port is not stated. */
  readonly port: InterfaceIndex;
  /** A port, or TO_*. */
  readonly to: InterfaceIndex;
  /**
   * Ports that copies go to where it is for everybody (`to` is then TO_HOST: the host gets it as well) or its station is
   * not known (TO_ALL).
   */
  readonly flood: readonly InterfaceIndex[];
  /** Whether iptables sees what is bridged. */
  readonly filtered: boolean;
}

/** Bridged past the host: no part of it looks at the packet, sound or not. */
export const isPastHost = ({ to, filtered }: BridgeEntry): boolean => !filtered && to !== TO_HOST;

/** By which interface a bridge sends what no rule can stop: a port, itself where it is several. */
export function unseenEgress(entry: BridgeEntry): InterfaceIndex {
  const { bridge, to, flood } = entry;
  if (to >= 0) return to;
  return to === TO_SAME_PORT || flood.length === 0 ? NO_INTERFACE : outOf(bridge, flood);
}

/** By which interface copies for several ports leave. */
export function outOf(bridge: InterfaceIndex, flood: readonly InterfaceIndex[]): InterfaceIndex {
  return flood.length === 1 ? (flood[0] ?? bridge) : bridge;
}

export class Bridges {
  /** The topmost master of each interface, itself if it has none: the interface that routing and rules see. */
  readonly upper: readonly InterfaceIndex[];
  /** Ports, and bridges that have ports. */
  private readonly bridged: readonly boolean[];
  private readonly hairpin: readonly boolean[];
  /** Ports that what came in by an interface is flooded to. */
  private readonly beside: readonly (readonly InterfaceIndex[])[];
  /** MACs that a bridge takes for itself: its own and those of its ports. */
  private readonly own = new Map<InterfaceIndex, ReadonlySet<number>>();
  /** Port behind which a station was seen, by `bridge, MAC`. */
  private readonly portOfMac = new Map<InterfaceIndex, Map<number, InterfaceIndex>>();
  private readonly portOfAddress = new Map<InterfaceIndex, Map<number | string, InterfaceIndex>>();
  private readonly calls: Readonly<Record<Family, readonly boolean[]>>;

  private constructor(host: Host) {
    const { interfaces } = host;
    const masters = interfaces.map(({ master }) => (master === undefined ? undefined : host.interfaceByName(master)));
    this.upper = interfaces.map((iface) => topmost(iface, masters));
    this.hairpin = interfaces.map(({ hairpin }) => hairpin === true);
    // The port that was added last is served first (br_flood over port_list).
    const ports = interfaces
      .filter(({ index }) => this.upper[index] !== index)
      .map(({ index }) => index)
      .reverse();
    this.beside = interfaces.map(({ index }) =>
      ports.filter((other) => this.upper[other] === this.upper[index] && (other !== index || this.hairpin[other])),
    );
    this.bridged = interfaces.map(({ index }) =>
      masters.some((m, k) => m !== undefined && (k === index || m.index === index)),
    );
    for (const iface of interfaces) {
      if (!interfaces.some((port, k) => port !== iface && this.upper[k] === iface.index)) continue;
      const macs = interfaces
        .filter((_, k) => this.upper[k] === iface.index)
        .flatMap(({ mac }) => (mac ? [macOf(mac)] : []));
      this.own.set(iface.index, new Set(macs));
      this.portOfMac.set(iface.index, new Map());
      this.portOfAddress.set(iface.index, new Map());
    }
    const calls = (family: Family): boolean[] => {
      const everywhere = host.sysctl(`net.bridge.bridge-nf-call-${family === 4 ? 'iptables' : 'ip6tables'}`) === '1';
      return interfaces.map(({ link }) => {
        if (link?.kind !== 'bridge') return everywhere;
        return everywhere || (family === 4 ? link.callIptables : link.callIp6tables);
      });
    };
    this.calls = { 4: calls(4), 6: calls(6) };
  }

  /** Undefined for a host without. */
  static of(host: Host): Bridges | undefined {
    const some = host.interfaces.some(
      ({ master }) => master !== undefined && host.interfaceByName(master) !== undefined,
    );
    return some ? new Bridges(host) : undefined;
  }

  /** Port of a bridge, or a bridge with ports. */
  isBridged(iface: InterfaceIndex): boolean {
    return this.bridged[iface] === true;
  }

  /** Whether frames on this bridge go through iptables: bridge-nf-call-iptables, or the bridge's own nf_call_iptables. */
  callsIptables(bridge: InterfaceIndex, family: Family): boolean {
    return this.calls[family][bridge] === true;
  }

  /** Notes who is behind a port: the sender of the frame whose MACs begin at `frame`, and its IP address if there is one. */
  learn(port: InterfaceIndex, view: DataView, frame: number, family: Family, address: Uint32Array | undefined): void {
    const bridge = this.upper[port];
    if (bridge === undefined || bridge === port || (view.getUint8(frame + 6) & GROUP) !== 0) return;
    this.portOfMac.get(bridge)?.set(macAt(view, frame + 6), port);
    const key = address === undefined ? 0 : keyOf(family, address);
    if (key !== 0) this.portOfAddress.get(bridge)?.set(key, port);
  }

  /** Where the frame goes that came in by `port` (a bridge: by a port that nobody states): a port, or TO_*. */
  destination(port: InterfaceIndex, view: DataView, frame: number): InterfaceIndex {
    const bridge = this.upper[port] ?? NO_INTERFACE;
    const mac = macAt(view, frame);
    const own = this.own.get(bridge);
    // Where the bridge's own MAC is not known, a frame is taken to be for it until its station is seen.
    if ((view.getUint8(frame) & GROUP) !== 0 || own === undefined || own.has(mac)) return TO_HOST;
    const known = this.portOfMac.get(bridge)?.get(mac);
    if (known === undefined) return own.size === 0 ? TO_HOST : TO_ALL;
    return this.unlessSame(port, known);
  }

  /**
   * How record i came to the bridge that `port` belongs to, and where it goes. `toGroup`: its frame was for more than one.
   * `source`: its sender's IP address, if it is sound.
   */
  entry(
    slab: Slab,
    columns: PacketColumns,
    i: number,
    port: InterfaceIndex,
    packet: { readonly family: Family; readonly toGroup: number; readonly source?: Uint32Array },
  ): BridgeEntry {
    const frame = macsOf(slab.records.frame[i] as number, columns.sender[i] as number, columns.l3[i] as number);
    const bridge = this.upper[port] ?? port;
    const filtered = this.callsIptables(bridge, packet.family);
    const isForAll = packet.toGroup !== 0 && port !== bridge && !(frame >= 0 && isReserved(slab.view, frame));
    const beside = this.portsBeside(port);
    if (frame < 0) return { bridge, port, to: TO_HOST, filtered, flood: isForAll ? beside : NO_PORTS };
    this.learn(port, slab.view, frame, packet.family, packet.source);
    const to = this.destination(port, slab.view, frame);
    return { bridge, port, to, filtered, flood: isForAll || to === TO_ALL ? beside : NO_PORTS };
  }

  /** Where a bridge sends what came in by `port` and was readdressed to a neighbour. */
  portOf(port: InterfaceIndex, family: Family, neighbour: Uint32Array): InterfaceIndex {
    const known = this.portOfAddress.get(this.upper[port] ?? NO_INTERFACE)?.get(keyOf(family, neighbour));
    return known === undefined ? TO_ALL : this.unlessSame(port, known);
  }

  /** Ports that copies go to of what came in by an interface: all others, and itself in hairpin mode. */
  portsBeside(port: InterfaceIndex): readonly InterfaceIndex[] {
    return this.beside[port] ?? NO_PORTS;
  }

  private unlessSame(port: InterfaceIndex, to: InterfaceIndex): InterfaceIndex {
    return to === port && this.hairpin[port] !== true ? TO_SAME_PORT : to;
  }
}

function topmost(iface: HostInterface, masters: readonly (HostInterface | undefined)[]): InterfaceIndex {
  let { index } = iface;
  // As many steps as there are interfaces: a host file may have a circle.
  for (let k = 0; k < masters.length; k++) index = masters[index]?.index ?? index;
  return index;
}

/** Groups that end at the first bridge (IEEE 802.1Q 8.6.3), but for that of STP, which a bridge without it passes on. */
const isReserved = (view: DataView, frame: number): boolean =>
  view.getUint32(frame) === 0x0180c200 && view.getUint16(frame + 4) >= 1 && view.getUint16(frame + 4) <= 15;

const NO_PORTS: readonly InterfaceIndex[] = [];

const keyOf = (family: Family, address: Uint32Array): number | string =>
  family === 4 ? (address[0] as number) : address.join();

const macAt = (view: DataView, at: number): number => view.getUint16(at) * HIGH + view.getUint32(at + 2);
const macOf = (mac: Uint8Array): number => mac.reduce((value, byte) => value * 256 + byte, 0);

/**
 * Offset of the two MACs of an Ethernet frame, -1 for other link layers. `sender`: offset of the sender's address, which
 * in Linux's cooked headers stands as far behind the frame's beginning, but the packet then begins at a multiple of four.
 */
function macsOf(frame: number, sender: number, l3: number): number {
  return sender === frame + 6 && (l3 - frame) % 4 === 2 ? frame : -1;
}
