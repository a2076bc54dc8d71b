/**
 * A gateway: the host's interfaces, addresses, routes, settings and rules in a network namespace of the running
 * kernel, into which packets are sent and whose outputs are known to belong to exactly one of them.
 *
 * After every packet goes a marker frame. Sender and gateway work on one CPU, whose backlog is a queue, and markers
 * cross as many veths as packets do (layout.ts), so whatever is seen between two markers was made of the packet between
 * them. Packets are sent in windows, each awaited at both taps, so that no buffer on the way can overflow.
 */
import { readFileSync } from 'node:fs';
import { NatreplayError } from '../errors.js';
import { macText } from '../host/hostjson.js';
import { LOCAL_NAME } from '../pipeline/ingress.js';
import { Collector, FLUSH } from './collector.js';
import { hasCommand, runChecked } from './commands.js';
import { ipPacket } from './compare.js';
import { withoutCopies } from './copies.js';
import {
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ethernetFrame,
  hostRecord,
  injectedRecord,
  LINKTYPE_LINUX_SLL2,
  LINKTYPE_NFLOG,
  macBytes,
  markerRecord,
  readCooked,
  readLogged,
} from './frames.js';
import { furnish, loadNeighbours, loadRules } from './furnish.js';
import { Injector, type InjectorOptions } from './injector.js';
import { type GatewayInterface, type Layout, LOG_BATCH, LOG_GROUP, planLayout, SPLIT } from './layout.js';
import { Namespaces } from './namespaces.js';
import type { Backend, GatewayOptions } from './options.js';
import { Tap } from './tap.js';

export type { Backend, GatewayOptions };

/**
 * A packet to send: an Ethernet frame and the interface it arrives at. Its source address does not matter unless it is one
 * of `GatewayOptions.senders`, nor does its destination unless that is a group's or the interface is a bridge or a port of
 * one. With interface FROM_HOST the host itself sends what is in the frame, which takes HOST_COMMAND; what leaves then has
 * the header checksum and total length that it should have, and an IPv4 identification where there was none and
 * fragmenting is allowed.
 */
export interface KernelPacket {
  readonly iface: string;
  readonly frame: Uint8Array;
}

/** A packet that went out. `input` is the number of the packet that caused it, from 0, over the gateway's life. */
export interface KernelOutput {
  readonly input: number;
  /** Of a packet that left a bridge by several ports, the bridge. */
  readonly iface: string;
  /** The bridge that the interface is, or is a port of. */
  readonly bridge?: string | undefined;
  readonly frame: Uint8Array;
}

/** A packet that reached the host itself: its bytes from the IP header on, as a socket's side would see them. */
export interface KernelDelivery {
  readonly input: number;
  /** Interface it came in at. */
  readonly iface: string;
  readonly packet: Uint8Array;
}

export interface SendResult {
  readonly outputs: readonly KernelOutput[];
  readonly delivered: readonly KernelDelivery[];
  /** When the kernel was done with each packet of this call, milliseconds since 1970. */
  readonly times: readonly number[];
}

/**
 * What a window may hold, packets and bytes: half of what a backlog (net.core.netdev_max_backlog, 1000) and the buffer
 * of a netlink socket (net.core.rmem_default, 208 KiB) take.
 */
const WINDOW_PACKETS = 256;
const WINDOW_BYTES = 32 * 1024;
/** With jumbo frames, for each of which the tap's ring has a slot of the largest size. */
const JUMBO_WINDOW_PACKETS = 64;
const JUMBO_MTU = 9216;
/** Slots of the ring (TPACKET_V2): two windows, with markers, flushes and fragments. */
const RING_SLOTS = 4 * WINDOW_PACKETS + 2 * LOG_BATCH;
const JUMBO_RING_SLOTS = 4 * JUMBO_WINDOW_PACKETS + 2 * LOG_BATCH;

/** In place of an interface: the packet is sent by the host itself. */
export const FROM_HOST = LOCAL_NAME;
/** Program without which the host itself can't send. */
export const HOST_COMMAND = 'python3';

const ALWAYS_NEEDED = ['ip', 'nft', 'ethtool', 'tcpreplay', 'tcpdump', 'taskset', 'conntrack'];

/** Programs that a gateway runs, with the iptables of a backend. */
export function neededCommands(backend: Backend): string[] {
  return [...ALWAYS_NEEDED, `iptables-${backend}-restore`, `iptables-${backend}-save`];
}

/** Throws unless everything a gateway needs is there. */
export function requireKernelTools(backend: Backend): void {
  if (process.platform !== 'linux')
    throw new NatreplayError('VERIFY_NEEDS_LINUX', 'only Linux can be asked what Linux does');
  if (process.getuid?.() !== 0) {
    throw new NatreplayError('VERIFY_NEEDS_ROOT', 'network namespaces need root', { advice: 'run it with sudo' });
  }
  const missing = neededCommands(backend).filter((name) => !hasCommand(name));
  if (missing.length === 0) return;
  throw new NatreplayError('VERIFY_TOOL_MISSING', `not installed: ${missing.join(', ')}`, {
    advice: 'install iproute2, iptables, nftables, ethtool, tcpreplay, tcpdump, util-linux and conntrack',
  });
}

export class Gateway {
  /** Settings of the host file that this kernel does not have or that do not belong to a namespace. */
  readonly unset: readonly string[];
  readonly #options: GatewayOptions;
  readonly #layout: Layout;
  readonly #ipv6: boolean;
  readonly #namespaces: Namespaces;
  readonly #interfaces: ReadonlyMap<string, GatewayInterface>;
  /** Selector by interface and source address. */
  readonly #senders: ReadonlyMap<string, string>;
  readonly #markSource: Uint8Array;
  readonly #window: number;
  readonly #wireTap = new Collector('on the wires');
  readonly #hostTap = new Collector('at the host');
  #wireNames: ReadonlyMap<number, string> = new Map();
  #hostNames: ReadonlyMap<number, string> = new Map();
  #taps: readonly Tap[] = [];
  #injector: Injector | undefined;
  #injectorOptions: InjectorOptions | undefined;
  #sendsForHost = false;
  #sent = 0;

  private constructor(options: GatewayOptions, layout: Layout, namespaces: Namespaces, ipv6: boolean, unset: string[]) {
    this.#options = options;
    this.#layout = layout;
    this.#ipv6 = ipv6;
    this.#namespaces = namespaces;
    this.#interfaces = new Map(layout.interfaces.map((i) => [i.name, i]));
    this.#senders = new Map(layout.senders.map(({ iface, mac, selector }) => [`${iface} ${mac}`, selector]));
    this.#markSource = macBytes(layout.markSelector);
    this.#window = largestMtu(layout) > JUMBO_MTU ? JUMBO_WINDOW_PACKETS : WINDOW_PACKETS;
    this.unset = unset;
  }

  /** Builds the namespaces, loads the rules and starts listening. Throws NatreplayError, leaving nothing behind. */
  static async open(options: GatewayOptions): Promise<Gateway> {
    requireKernelTools(options.backend);
    const ipv6 = options.ipv6 ?? usesIpv6(options);
    const layout = planLayout(options.host, options.mtu, options.senders);
    const namespaces = await Namespaces.create();
    try {
      const unset = await furnish(options, layout, namespaces, ipv6);
      await loadRules(options, namespaces);
      await loadNeighbours(options, layout, namespaces.gateway);
      const gateway = new Gateway(options, layout, namespaces, ipv6, unset);
      await gateway.#listen(layout);
      return gateway;
    } catch (error) {
      await namespaces.remove();
      throw error;
    }
  }

  async #listen(layout: Layout): Promise<void> {
    const { gateway, wires } = this.#namespaces;
    const wireIndexes = await interfaceIndexes(wires);
    const hostIndexes = await interfaceIndexes(gateway);
    this.#wireNames = new Map(layout.interfaces.map((i) => [wireIndexes.get(i.wire) ?? -1, i.name]));
    this.#hostNames = new Map([...hostIndexes].map(([name, index]) => [index, name]));
    const cpus = allowedCpus();
    const sender = cpus.at(-1) ?? 0;
    const others = cpus.slice(0, -1);
    const pin = (to: readonly number[]): string[] => (to.length === 0 ? [] : ['taskset', '-c', to.join(',')]);
    const onFailure = (error: Error): void => this.#fail(error);
    // Frames are seen a first time where they enter the namespace; that is not an output.
    const notInjected = `not ifindex ${wireIndexes.get(SPLIT) ?? -1}`;
    const tap = { prefix: pin(others), onFailure };
    this.#taps = await Promise.all([
      Tap.start({
        ...tap,
        namespace: wires,
        args: ['-i', 'any', '-y', 'LINUX_SLL2', '-Q', 'in', ...ringArguments(layout), notInjected],
        linkType: LINKTYPE_LINUX_SLL2,
        onRecord: ({ bytes, time }) => this.#wireTap.add(readCooked(bytes), time),
      }),
      Tap.start({
        ...tap,
        namespace: gateway,
        args: ['-i', `nflog:${LOG_GROUP}`],
        linkType: LINKTYPE_NFLOG,
        onRecord: ({ bytes, time }) => this.#hostTap.add(readLogged(bytes), time),
      }),
    ]);
    this.#injectorOptions = { namespace: wires, prefix: pin([sender]), onFailure };
    this.#injector = Injector.ofFrames(this.#injectorOptions);
  }

  /** The injector, one that sends for the host too if packets need it: from the first of those on. */
  #injectorFor(packets: readonly KernelPacket[]): Injector {
    const options = this.#injectorOptions;
    if (this.#injector === undefined || options === undefined)
      throw new NatreplayError('VERIFY_CLOSED', 'the gateway is closed', { exitCode: 3 });
    if (this.#sendsForHost || packets.every(({ iface }) => iface !== FROM_HOST)) return this.#injector;
    if (!hasCommand(HOST_COMMAND)) {
      throw new NatreplayError('VERIFY_TOOL_MISSING', `not installed: ${HOST_COMMAND}, by which the host sends`, {
        advice: 'install python3, or leave out what the host itself sends',
      });
    }
    this.#injector.stop();
    this.#injector = Injector.ofHost({ ...options, gateway: this.#namespaces.gateway });
    this.#sendsForHost = true;
    return this.#injector;
  }

  /** Packets sent so far: the number of the next one. */
  get sent(): number {
    return this.#sent;
  }

  /** Sends packets in order and returns what became of them. `input` counts on from earlier calls. */
  async send(packets: readonly KernelPacket[]): Promise<SendResult> {
    const injector = this.#injectorFor(packets);
    for (let from = 0; from < packets.length; ) {
      const records: Uint8Array[] = [];
      let bytes = 0;
      let next = from;
      for (; next < packets.length && next - from < this.#window; next++) {
        const packet = packets[next] as KernelPacket;
        bytes += packet.frame.length;
        if (bytes > WINDOW_BYTES && next > from) break;
        records.push(this.#record(packet), markerRecord(this.#sent + next - from, this.#markSource));
      }
      this.#sent += next - from;
      from = next;
      for (let i = 0; i < LOG_BATCH; i++) records.push(markerRecord(FLUSH, this.#markSource));
      injector.send(records);
      await Promise.all([this.#wireTap.reach(this.#sent), this.#hostTap.reach(this.#sent)]);
    }
    return this.#collect();
  }

  #record(packet: KernelPacket): Uint8Array {
    if (packet.iface === FROM_HOST) return hostRecord(ipPacket(packet.frame));
    const iface = this.#interfaces.get(packet.iface);
    if (iface === undefined) {
      throw new NatreplayError(
        'VERIFY_NO_INTERFACE',
        `the host has no interface '${packet.iface}' that packets can arrive at`,
        {
          advice: 'packets of ports of a bond cannot be sent through the kernel',
        },
      );
    }
    if (packet.frame.length < 14)
      throw new NatreplayError('VERIFY_SHORT_FRAME', 'a frame is shorter than an Ethernet header');
    // Broadcasts and multicasts stay what they are: the kernel goes by the frame's destination (pkt_type).
    // Bridges go by it altogether.
    const kept = ((packet.frame[0] ?? 0) & 1) !== 0 || iface.bridge !== undefined;
    const destination = kept ? packet.frame.subarray(0, 6) : macBytes(iface.mac);
    const sender = this.#senders.get(`${packet.iface} ${macText(packet.frame.subarray(6, 12))}`);
    return injectedRecord(packet.frame, destination, macBytes(sender ?? iface.selector));
  }

  #collect(): SendResult {
    const outputs: KernelOutput[] = [];
    for (const { input, seen } of this.#wireTap.take()) {
      const name = this.#wireNames.get(seen.ifindex);
      const iface = name === undefined ? undefined : this.#interfaces.get(name);
      if (iface === undefined || (seen.protocol !== ETHERTYPE_IPV4 && seen.protocol !== ETHERTYPE_IPV6)) continue;
      const frame = ethernetFrame(seen.packet, seen.protocol, macBytes(iface.mac));
      outputs.push({ input, iface: iface.name, bridge: iface.bridge, frame });
    }
    const delivered: KernelDelivery[] = [];
    for (const { input, seen } of this.#hostTap.take()) {
      delivered.push({ input, iface: this.#hostNames.get(seen.ifindex) ?? '', packet: Uint8Array.from(seen.packet) });
    }
    this.#hostTap.takeTimes();
    return { outputs: withoutCopies(outputs), delivered, times: this.#wireTap.takeTimes() };
  }

  /** `iptables-save -c` text. */
  counters(): Promise<string> {
    return this.#inside('reading the counters', [`iptables-${this.#options.backend}-save`, '-c']);
  }

  /** `ip6tables-save -c` text. */
  counters6(): Promise<string> {
    return this.#inside('reading the counters', [`ip6tables-${this.#options.backend}-save`, '-c']);
  }

  /** `conntrack -L` text, both families when IPv6 is in use. */
  async conntrack(): Promise<string> {
    const ipv4 = await this.#inside('listing connections', ['conntrack', '-L', '-f', 'ipv4']);
    if (!this.#ipv6) return ipv4;
    return ipv4 + (await this.#inside('listing connections', ['conntrack', '-L', '-f', 'ipv6']));
  }

  #inside(what: string, argv: readonly string[]): Promise<string> {
    return runChecked(what, Namespaces.inside(this.#namespaces.gateway, argv));
  }

  #fail(error: Error): void {
    this.#wireTap.fail(error);
    this.#hostTap.fail(error);
  }

  /**
   * Forgets every connection, and what bridges learnt, and loads other rules, which must have the tables of the first:
   * the kernel keeps what is in a table that is not named. Throws NatreplayError.
   */
  async reload(rules: string, rules6?: string): Promise<void> {
    const options = { ...this.#options, rules, rules6 };
    await loadRules(options, this.#namespaces);
    await loadNeighbours(options, this.#layout, this.#namespaces.gateway);
    await this.#inside('forgetting connections', ['conntrack', '-F']);
  }

  /** Ends a `send` that is under way, with this error. */
  abort(reason: unknown): void {
    this.#fail(
      reason instanceof Error ? reason : new NatreplayError('VERIFY_STOPPED', String(reason), { exitCode: 3 }),
    );
  }

  /** Ends every process and removes the namespaces. Safe to call twice. */
  async close(): Promise<void> {
    this.#injector?.stop();
    this.#injector = undefined;
    for (const tap of this.#taps) tap.stop();
    this.#taps = [];
    await this.#namespaces.remove();
  }
}

function largestMtu(layout: Layout): number {
  return Math.max(0, ...layout.interfaces.map((i) => i.mtu));
}

/** tcpdump's snaplen and buffer (KiB), so that a slot holds any packet and the ring holds RING_SLOTS of them. */
function ringArguments(layout: Layout): string[] {
  const mtu = largestMtu(layout);
  const snaplen = mtu + 64;
  const slot = 2 ** Math.ceil(Math.log2(snaplen + 128));
  const slots = mtu > JUMBO_MTU ? JUMBO_RING_SLOTS : RING_SLOTS;
  return ['-s', String(snaplen), '-B', String(Math.max(4096, Math.ceil((slots * slot) / 1024)))];
}

function usesIpv6(options: GatewayOptions): boolean {
  if (options.rules6 !== undefined || options.host.ip6tables !== undefined) return true;
  return options.host.addr.some((link) =>
    link.addr_info?.some((entry) => entry.family === 'inet6' && entry.scope !== 'link' && entry.scope !== 'host'),
  );
}

async function interfaceIndexes(namespace: string): Promise<Map<string, number>> {
  const text = await runChecked('listing interfaces', ['ip', '-netns', namespace, '-j', 'link']);
  const links = JSON.parse(text) as readonly { readonly ifname: string; readonly ifindex: number }[];
  return new Map(links.map((link) => [link.ifname, link.ifindex]));
}

/** CPUs that this process may run on, from `Cpus_allowed_list` (`0-3,8`). */
function allowedCpus(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  return list.split(',').flatMap((part) => {
    const [first = Number.NaN, last = first] = part.split('-').map(Number);
    return Number.isNaN(first) ? [] : Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}
