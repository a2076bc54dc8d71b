/**
 * The packets of captures that can be put to a kernel, each with the interface it came in by. Links of every type are
 * exchanged for Ethernet; what a replay passes by, or no namespace can be given, is counted and left out.
 */
import { mergeCaptures } from '../capture/merge.js';
import { openCapture } from '../capture/reader.js';
import { Slab } from '../capture/slab.js';
import type { CaptureReader } from '../capture/types.js';
import { NatreplayError } from '../errors.js';
import { formatAddress } from '../host/address.js';
import { macText } from '../host/hostjson.js';
import type { Host, HostInterface } from '../host/types.js';
import { INGRESS_LOCAL, INGRESS_UNKNOWN, ResultColumns } from '../netfilter/results.js';
import {
  FLAG_BROADCAST,
  FLAG_CUT,
  FLAG_MULTICAST,
  FLAG_OTHER_HOST,
  FLAG_OUTGOING,
  FLAG_TO_GROUP,
  KIND_CUT,
  KIND_IPV6,
  KIND_IPV6_BROKEN,
  KIND_OTHER,
  OTHER_LINK_TYPE,
  PacketColumns,
} from '../packet/columns.js';
import { ipv4Destination, ipv4Source } from '../packet/ipv4.js';
import { IPV6_DESTINATION, IPV6_SOURCE } from '../packet/ipv6.js';
import { LINKTYPE_ETHERNET, LINKTYPE_LINUX_SLL, LINKTYPE_LINUX_SLL2 } from '../packet/link.js';
import { parseSlab } from '../packet/parse.js';
import { IngressStage, LOCAL_NAME } from '../pipeline/ingress.js';
import type { CaptureInput } from '../pipeline/replay.js';
import type { Station } from './bridging.js';
import { FROM_HOST } from './gateway.js';
import { asHostSends } from './hostpacket.js';
import { preparePacket, statedLength } from './prepare.js';

/** Why records are not put to the kernel, in the words of the report. */
export const SKIPPED = {
  outgoing: 'sent by the host, as recorded',
  'not-ip': 'not IP',
  'unknown-link-type': 'of an unknown link type',
  'cut-by-snaplen': 'cut before their headers end',
  'other-host': 'for other hosts',
  'sent-by-host': "the host's own, which need python3 to be sent",
  unsendable: "the host's own that no raw socket sends as they are",
  loopback: 'on loopback',
  'unknown-ingress': 'from an unknown interface',
  'interface-down': 'on an interface that is down',
  'bond-port': 'on a port of a bond or the like',
  'tagged-on-bridge': 'with a VLAN tag on a bridge',
  'ipv6-not-compared': 'IPv6, of which the host has nothing',
} as const;

export type SkipReason = keyof typeof SKIPPED;

export interface SourcePacket {
  /** Number of the record over all captures in their merged order, from 0. */
  readonly record: number;
  readonly seconds: number;
  readonly nanoseconds: number;
  /** Interface it came in by; FROM_HOST: the host itself sent it. */
  readonly iface: string;
  /** Ethernet; what follows the IP packet in the record (padding) is still there. */
  readonly frame: Uint8Array;
  /** Length of the IP packet with its padding. */
  readonly length: number;
}

export interface SourceOptions {
  readonly captures: readonly CaptureInput[];
  readonly host: Host;
  /** False leaves IPv6 packets out. */
  readonly ipv6: boolean;
  /** Interfaces that the gateway has no end of. */
  readonly unreachable: ReadonlySet<string>;
  /** Bridges that are bridges in the gateway too; default: none. */
  readonly bridges?: ReadonlySet<string> | undefined;
  /** The host's own packets can be sent. */
  readonly sendsForHost: boolean;
}

/** What a packet came in by. */
type Ingress = Pick<HostInterface, 'name' | 'mac'>;
const HOST_ITSELF: Ingress = { name: FROM_HOST, mac: undefined };

const NO_BRIDGES: ReadonlySet<string> = new Set();

const SLAB_BYTES = 512 * 1024;
const ETHERNET_HEADER = 14;
/** A neighbour's address, where the capture does not have it. */
const NEIGHBOUR = Uint8Array.of(0x02, 0x6e, 0x72, 0x02, 0, 1);
const BROADCAST = new Uint8Array(6).fill(0xff);
const MULTICAST = Uint8Array.of(1, 0, 0x5e, 0, 0, 1);

export class PacketSource {
  /** Records seen so far. */
  records = 0;
  readonly skipped = new Map<SkipReason, number>();
  filled = 0;
  checksumsFinished = 0;
  /** Longest IP packet by interface, as far as read. */
  readonly longest = new Map<string, number>();
  /** Neighbours that sent frames, as far as read: `eth0 02:42:ac:11:00:02`. */
  readonly senders = new Set<string>();
  /** Who is at bridges, as far as read, by bridge and address. */
  readonly stations = new Map<string, Station>();
  readonly #options: SourceOptions;

  constructor(options: SourceOptions) {
    this.#options = options;
  }

  /** A batch for each slab of the captures, in order; batches may be empty. Throws NatreplayError. */
  async *batches(): AsyncGenerator<SourcePacket[]> {
    const readers: CaptureReader[] = [];
    try {
      for (const { path, iface } of this.#options.captures)
        readers.push(await openCapture(path, { assignedName: iface }));
      const reader = mergeCaptures(readers);
      this.#checkNames();
      const slab = new Slab(SLAB_BYTES);
      const columns = new PacketColumns(slab.records.capacity);
      const results = new ResultColumns(slab.records.capacity);
      const ingress = new IngressStage(this.#options.host, reader.interfaces, true);
      while (await reader.next(slab)) {
        const linkTypes = reader.interfaces.map(({ linkType }) => linkType);
        parseSlab(slab, columns, linkTypes, 'verify');
        ingress.run(slab, columns, results);
        yield this.#batch(slab, columns, results, linkTypes);
      }
    } finally {
      for (const reader of readers) await reader.close();
    }
  }

  #checkNames(): void {
    const { captures, host } = this.#options;
    for (const { path, iface } of captures) {
      if (iface === undefined || iface === LOCAL_NAME || host.interfaceByName(iface) !== undefined) continue;
      throw new NatreplayError(
        'USAGE_UNKNOWN_INTERFACE',
        `${iface}=${path} names an interface the host does not have`,
        {
          advice: `it has ${host.interfaces.map(({ name }) => name).join(', ')}; state it with --iface ${iface}=ADDRESS/LENGTH`,
        },
      );
    }
  }

  #batch(slab: Slab, columns: PacketColumns, results: ResultColumns, linkTypes: readonly number[]): SourcePacket[] {
    const packets: SourcePacket[] = [];
    for (let i = 0; i < slab.records.count; i++) {
      const record = this.records++;
      const made = this.#packet(slab, columns, results, i, record, linkTypes);
      if (typeof made === 'string') this.skipped.set(made, (this.skipped.get(made) ?? 0) + 1);
      else packets.push(made);
    }
    return packets;
  }

  #packet(
    slab: Slab,
    columns: PacketColumns,
    results: ResultColumns,
    i: number,
    record: number,
    linkTypes: readonly number[],
  ): SourcePacket | SkipReason {
    const { records, bytes, view } = slab;
    const flags = columns.flags[i] ?? 0;
    const kind = columns.kind[i] ?? KIND_OTHER;
    if ((flags & FLAG_OUTGOING) !== 0) return 'outgoing';
    if ((flags & FLAG_OTHER_HOST) !== 0) return 'other-host';
    if (kind === KIND_OTHER) return columns.reason[i] === OTHER_LINK_TYPE ? 'unknown-link-type' : 'not-ip';
    if (kind === KIND_CUT) return 'cut-by-snaplen';
    const family = kind === KIND_IPV6 || kind === KIND_IPV6_BROKEN ? 6 : 4;
    if (family === 6 && !this.#options.ipv6) return 'ipv6-not-compared';
    const ip = columns.l3[i] ?? 0;
    const start = records.frame[i] ?? 0;
    const end = start + (records.capturedLength[i] ?? 0);
    if (ip + (family === 6 ? 40 : 20) > end) return 'cut-by-snaplen';
    const iface = this.#ingress(view, ip, family, results.ingress[i] ?? INGRESS_UNKNOWN);
    if (typeof iface === 'string') return iface;
    const bridge = this.#bridgeOf(iface.name);
    const linkType = linkTypes[records.source[i] ?? 0];
    const hasAddresses = linkType === LINKTYPE_ETHERNET;
    if (bridge !== undefined && hasAddresses && ip - start > ETHERNET_HEADER) return 'tagged-on-bridge';
    const captured = bytes.slice(ip, end);
    this.longest.set(iface.name, Math.max(this.longest.get(iface.name) ?? 0, statedLength(captured)));
    const prepared = preparePacket(captured, (flags & FLAG_CUT) !== 0);
    if (prepared === undefined) return 'cut-by-snaplen';
    const packet = iface === HOST_ITSELF ? asHostSends(prepared.packet) : prepared.packet;
    if (packet === undefined) return 'unsendable';
    if (prepared.filled) this.filled++;
    if (prepared.checksumFinished) this.checksumsFinished++;
    const frame = new Uint8Array(ETHERNET_HEADER + packet.length);
    const group = this.#group(linkType, flags, bytes.subarray(start, start + 6), packet);
    // A bridge goes by whom the frame is for.
    const receiver = bridge !== undefined && hasAddresses ? bytes.subarray(start, start + 6) : undefined;
    frame.set(group ?? receiver ?? bridge?.mac ?? iface.mac ?? NEIGHBOUR);
    const sender = columns.sender[i] ?? -1;
    frame.set(sender < 0 ? NEIGHBOUR : bytes.subarray(sender, sender + 6), 6);
    const mac = macText(frame.subarray(6, 12));
    if (iface !== HOST_ITSELF) this.senders.add(`${iface.name} ${mac}`);
    if (bridge !== undefined && sender >= 0) this.#meet(bridge, mac, family, addressAt(view, ip, family, false));
    frame[12] = family === 6 ? 0x86 : 0x08;
    frame[13] = family === 6 ? 0xdd : 0x00;
    frame.set(packet, ETHERNET_HEADER);
    return {
      record,
      seconds: records.seconds[i] ?? 0,
      nanoseconds: records.nanoseconds[i] ?? 0,
      iface: iface.name,
      frame,
      length: packet.length,
    };
  }

  /** The bridge that an interface is, or is a port of. */
  #bridgeOf(name: string): HostInterface | undefined {
    const { bridges = NO_BRIDGES, host } = this.#options;
    const { master = '' } = host.interfaceByName(name) ?? {};
    return bridges.has(name) || bridges.has(master)
      ? host.interfaceByName(bridges.has(name) ? name : master)
      : undefined;
  }

  /** Whoever has an address of the bridge's own networks is the neighbour that the host knows by it. */
  #meet(bridge: HostInterface, mac: string, family: 4 | 6, source: Uint32Array): void {
    const route = this.#options.host.route(family, source);
    if (route?.type !== 'unicast' || route.iface !== bridge.index || route.gateway !== undefined) return;
    const address = formatAddress(family, source);
    this.stations.set(`${bridge.name} ${address}`, { iface: bridge.name, address, mac });
  }

  /** As stated, else the interface towards the sender, which is what the replay does. */
  #ingress(view: DataView, ip: number, family: 4 | 6, stated: number): Ingress | SkipReason {
    const { host, unreachable, sendsForHost } = this.#options;
    const ofHost = sendsForHost ? HOST_ITSELF : 'sent-by-host';
    if (stated === INGRESS_LOCAL) return ofHost;
    let index = stated;
    if (stated === INGRESS_UNKNOWN) {
      const route = host.route(family, addressAt(view, ip, family, false));
      if (route?.type === 'local') return ofHost;
      index = route?.iface ?? -1;
    }
    const iface = host.interfaces[index];
    if (iface === undefined) return 'unknown-ingress';
    if (iface.loopback) return 'loopback';
    if (!iface.up) return 'interface-down';
    return unreachable.has(iface.name) ? 'bond-port' : iface;
  }

  /**
   * Where the frame went if it was for more than one host, for the kernel goes by that; undefined if not. Where the link
   * type has no addresses, the IP destination says it.
   */
  #group(
    linkType: number | undefined,
    flags: number,
    captured: Uint8Array,
    packet: Uint8Array,
  ): Uint8Array | undefined {
    if (linkType === LINKTYPE_ETHERNET) return (flags & FLAG_TO_GROUP) === 0 ? undefined : captured;
    if (linkType === LINKTYPE_LINUX_SLL || linkType === LINKTYPE_LINUX_SLL2) return cookedDestination(flags);
    const family = (packet[0] ?? 0) >> 4 === 6 && packet.length >= 40 ? 6 : 4;
    const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
    const destination = addressAt(view, 0, family, true);
    if (family === 6)
      return (destination[0] ?? 0) >>> 24 === 0xff ? Uint8Array.of(0x33, 0x33, ...packet.subarray(36, 40)) : undefined;
    const type = this.#options.host.addressType(4, destination);
    if (type === 'broadcast') return BROADCAST;
    if (type !== 'multicast') return undefined;
    return Uint8Array.of(1, 0, 0x5e, (packet[17] ?? 0) & 0x7f, packet[18] ?? 0, packet[19] ?? 0);
  }
}

/** Linux says whom the frame was for, and not the address: any of its kind does. */
function cookedDestination(flags: number): Uint8Array | undefined {
  if ((flags & FLAG_BROADCAST) !== 0) return BROADCAST;
  return (flags & FLAG_MULTICAST) === 0 ? undefined : MULTICAST;
}

const words = new Uint32Array(4);

function addressAt(view: DataView, ip: number, family: 4 | 6, destination: boolean): Uint32Array {
  words.fill(0);
  if (family === 4) words[0] = destination ? ipv4Destination(view, ip) : ipv4Source(view, ip);
  else {
    const at = ip + (destination ? IPV6_DESTINATION : IPV6_SOURCE);
    for (let k = 0; k < 4; k++) words[k] = view.getUint32(at + 4 * k);
  }
  return words;
}
