/**
 * Sets with elements of their own: every `hash:` and `bitmap:` type. A packet is turned into the key of an element and
 * looked up; where the elements are networks, once for each prefix length that there is, longest first (kernel:
 * ip_set_hash_gen.h, ip_set_bitmap_gen.h).
 */
import { addressBits } from '../../host/address.js';
import type { Family } from '../../host/types.js';
import type { PacketContext } from '../context.js';
import { HZ } from '../state/clock.js';
import type { SharedState } from '../state/shared.js';
import { Elements, SKB_WORDS } from './elements.js';
import type { Layout, Part } from './layout.js';
import { interfaceName, macWords, plainPort, portWord } from './packetkey.js';
import { PrefixLengths } from './prefixlengths.js';
import {
  compareCounter,
  type Directions,
  type IpSet,
  type SetAddition,
  type SetOptions,
  type SetQuestion,
  type SkbInfo,
} from './set.js';

/** Results of looking an element up. */
const NONE = 0;
const MATCH = 1;
/** An element that is an exception. */
const NOMATCH = 2;

/** An interface's word of a key: its number, and whether it is a bridge port (`physdev:`). */
const ifaceWord = (number: number, port: boolean): number => (number << 1) | (port ? 1 : 0);

export class ElementSet implements IpSet {
  readonly type: string;
  readonly dimensions: number;
  readonly elements: Elements;
  /** One for each part that is a network. */
  readonly lengths: readonly PrefixLengths[];
  /** Of the element that is looked for. */
  readonly key: Int32Array;
  /** Names of interfaces in elements, by their numbers. */
  private readonly interfaces = new Map<string, number>();
  /** Of hash:net,iface: how many elements a network has, whatever their interfaces. */
  private readonly networks: Elements | undefined;
  /** Of bitmap:ip,mac: the station of each element, none for one whose first packet brings it. */
  private readonly stations: Map<number, readonly [number, number]> | undefined;
  private readonly nets: readonly Part[];
  private readonly addressWords: number;
  private readonly bits: number;
  private readonly station = new Int32Array(2);

  constructor(
    readonly name: string,
    readonly layout: Layout,
    readonly family: Family,
    readonly options: SetOptions,
    private readonly shared: SharedState,
  ) {
    this.type = layout.type;
    this.dimensions = layout.parts.length;
    const { timeout, counters, skbinfo } = options;
    const columns = { timeouts: timeout !== undefined, counters, skbinfo };
    this.elements = new Elements(layout.keyWords, columns);
    this.key = new Int32Array(layout.keyWords);
    this.addressWords = family === 4 ? 1 : 4;
    this.bits = addressBits(family);
    this.nets = layout.parts.filter(({ kind }) => kind === 'net');
    this.lengths = this.nets.map(() => new PrefixLengths(this.bits));
    if (layout.parts.some(({ kind }) => kind === 'iface'))
      this.networks = new Elements(this.addressWords + 1, { timeouts: false, counters: true, skbinfo: false });
    if (layout.bitmap && layout.parts.some(({ kind }) => kind === 'mac')) this.stations = new Map();
  }

  get count(): number {
    return this.elements.count;
  }

  test(packet: PacketContext, question: SetQuestion, info?: SkbInfo): boolean {
    if (!this.isFor(packet, question.dimensions) || !this.load(packet, question.directions, false)) return false;
    const found = this.lookUp(packet, question, info);
    return found === (question.returnNomatch && this.nets.length > 0 ? NOMATCH : MATCH);
  }

  add(packet: PacketContext, { dimensions, directions, exist, timeout }: SetAddition): boolean {
    if (!this.isFor(packet, dimensions) || !this.load(packet, directions, true)) return false;
    const { elements, shared } = this;
    const now = shared.clock.now(packet);
    let element = elements.find(this.key);
    if (element >= 0 && !exist && !this.isExpired(element, now)) return false;
    const { journal } = shared;
    if (element >= 0) {
      if (journal.active) journal.note(packet, elements.saved(element));
    } else {
      if (!this.makeRoom(packet, now)) return false;
      element = this.insert();
      if (journal.active) {
        const key = this.key.slice();
        journal.note(packet, () => {
          this.key.set(key);
          this.erase(elements.find(key));
        });
      }
    }
    elements.nomatch[element] = 0;
    if (elements.packets !== undefined) elements.packets[element] = 1;
    if (elements.bytes !== undefined) elements.bytes[element] = packet.totalLength;
    elements.skbinfo?.fill(0, element * SKB_WORDS, (element + 1) * SKB_WORDS);
    this.stations?.set(element, [this.station[0] as number, this.station[1] as number]);
    this.setTimeout(element, timeout ?? this.options.timeout ?? 0, now);
    return true;
  }

  remove(packet: PacketContext, dimensions: number, directions: Directions): boolean {
    if (!this.isFor(packet, dimensions) || !this.load(packet, directions, true)) return false;
    const { elements, shared, key } = this;
    const element = elements.find(key);
    if (element < 0 || this.isExpired(element, shared.clock.now(packet))) return false;
    this.noteRemoval(packet, element);
    this.erase(element);
    return true;
  }

  /** Adds the element whose key is in `key`, unless it is there. Its columns are zero, or what they were. */
  insert(): number {
    const { elements, key } = this;
    const known = elements.find(key);
    if (known >= 0) return known;
    this.nets.forEach(({ at }, k) => {
      this.lengths[k]?.add(key[at + this.addressWords] as number);
    });
    this.countNetwork(1);
    return elements.add(key);
  }

  /** Takes out an element whose key is in `key`. */
  erase(element: number): void {
    this.nets.forEach(({ at }, k) => {
      this.lengths[k]?.remove(this.key[at + this.addressWords] as number);
    });
    this.countNetwork(-1);
    this.stations?.delete(element);
    this.elements.remove(element);
  }

  /** Seconds from jiffy `now` on; 0: for ever. */
  setTimeout(element: number, seconds: number, now: number): void {
    const { timeouts } = this.elements;
    if (timeouts !== undefined) timeouts[element] = seconds === 0 ? 0 : Math.max(1, now + seconds * HZ);
  }

  /** Writes a network into `key`, cut to its prefix length. */
  storeNetwork(at: number, words: Uint32Array, length: number): void {
    this.loadWords(words, at);
    this.shorten(at, length);
  }

  /** Writes a station's address into `key` or, of bitmap:ip,mac, where `keepStation` finds it. */
  storeStation(at: number, high: number, low: number): void {
    const into = this.stations === undefined ? this.key : this.station;
    const from = this.stations === undefined ? at : 0;
    into[from] = high;
    into[from + 1] = low;
  }

  /** Of bitmap:ip,mac: the element states none. */
  noStation(): void {
    this.station.fill(0);
  }

  /** Of bitmap:ip,mac: the element's station is the one that was stored. */
  keepStation(element: number): void {
    const [high = 0, low = 0] = this.station;
    if (high !== 0 || low !== 0) this.stations?.set(element, [high, low]);
  }

  /** The word that stands for an interface in keys. */
  interfaceWord(name: string, port: boolean): number {
    let number = this.interfaces.get(name);
    if (number === undefined) {
      number = this.interfaces.size;
      this.interfaces.set(name, number);
    }
    return ifaceWord(number, port);
  }

  private isFor({ family }: PacketContext, dimensions: number): boolean {
    return dimensions >= this.dimensions && (this.layout.family ?? family) === family;
  }

  private isExpired(element: number, now: number): boolean {
    const until = this.elements.timeouts?.[element] ?? 0;
    return until !== 0 && now > until;
  }

  /**
   * Fills `key`, networks as long as an address; `changing`: as long as the longest prefix there is, which is what is added
   * and deleted. False where the packet has no such thing.
   */
  private load(packet: PacketContext, directions: Directions, changing: boolean): boolean {
    const { key } = this;
    let net = 0;
    for (const { kind, at, dimension } of this.layout.parts) {
      const source = ((directions >>> dimension) & 1) !== 0;
      switch (kind) {
        case 'ip':
          if (!this.loadAddress(packet, source, at)) return false;
          break;
        case 'net': {
          this.loadWords(source ? packet.source : packet.destination, at);
          key[at + this.addressWords] = this.bits;
          const length = changing ? (this.lengths[net]?.longest ?? this.bits) : this.bits;
          if (length === 0) return false;
          if (length !== this.bits) this.shorten(at, length);
          net++;
          break;
        }
        case 'port': {
          const word = this.layout.bitmap ? this.bitmapPort(packet, source) : portWord(packet, source);
          if (word < 0) return false;
          key[at] = word;
          break;
        }
        case 'mac':
          if (!macWords(packet, source, this.stations === undefined ? key : this.station, this.stations ? 0 : at))
            return false;
          break;
        case 'mark':
          key[at] = packet.mark & this.options.markMask;
          break;
        case 'iface': {
          const name = interfaceName(packet, source);
          if (name === '') return false;
          const number = changing ? undefined : (this.interfaces.get(name) ?? -1);
          key[at] = number === undefined ? this.interfaceWord(name, false) : number < 0 ? -1 : ifaceWord(number, false);
          break;
        }
      }
    }
    return true;
  }

  private loadWords(words: Uint32Array, at: number): void {
    for (let k = 0; k < this.addressWords; k++) this.key[at + k] = words[k] as number;
  }

  /** Under the set's mask; hash:ip has no element for the address 0. */
  private loadAddress(packet: PacketContext, source: boolean, at: number): boolean {
    const { key, options, layout, addressWords } = this;
    const words = source ? packet.source : packet.destination;
    const { mask, range } = options;
    if (range !== undefined) {
      const address = words[0] as number;
      if (address < range[0] || address > range[1]) return false;
    }
    let any = 0;
    for (let k = 0; k < addressWords; k++) {
      const word = mask === undefined ? (words[k] as number) : (words[k] as number) & (mask[k] as number);
      key[at + k] = word;
      any |= word;
    }
    return any !== 0 || layout.type !== 'hash:ip';
  }

  private bitmapPort(packet: PacketContext, source: boolean): number {
    const port = plainPort(packet, source);
    const [first, last] = this.options.range ?? [0, 0xffff];
    return port >= first && port <= last ? port : -1;
  }

  /** Cuts the network at `at` of the key to a prefix length. */
  private shorten(at: number, length: number): void {
    const { key, addressWords } = this;
    for (let k = 0; k < addressWords; k++) {
      const bits = Math.min(32, Math.max(0, length - 32 * k));
      key[at + k] = bits === 0 ? 0 : (key[at + k] as number) & (0xffffffff << (32 - bits));
    }
    key[at + addressWords] = length;
  }

  private lookUp(packet: PacketContext, question: SetQuestion, info: SkbInfo | undefined): number {
    const { nets, elements, key } = this;
    const [first, second] = nets;
    if (first === undefined) {
      const element = elements.find(key);
      if (element < 0 || !this.hasStation(packet, element)) return NONE;
      return this.judge(packet, element, question, info);
    }
    // The kernel looks at prefix lengths from the longest on.
    const [ofFirst, ofSecond] = this.lengths;
    for (const length of ofFirst?.present ?? []) {
      this.shorten(first.at, length);
      if (second === undefined) {
        const found = this.lookUpKey(packet, question, info);
        if (found !== NONE) return found;
        if (this.networks !== undefined && elements.find(key) < 0 && this.hasNetwork()) return NONE;
        continue;
      }
      const source = ((question.directions >>> second.dimension) & 1) !== 0;
      this.loadWords(source ? packet.source : packet.destination, second.at);
      for (const shorter of ofSecond?.present ?? []) {
        this.shorten(second.at, shorter);
        const found = this.lookUpKey(packet, question, info);
        if (found !== NONE) return found;
      }
    }
    return NONE;
  }

  private lookUpKey(packet: PacketContext, question: SetQuestion, info: SkbInfo | undefined): number {
    const element = this.elements.find(this.key);
    return element < 0 ? NONE : this.judge(packet, element, question, info);
  }

  /** Timeout, counters, skbinfo and `nomatch` of an element that was found (kernel: ip_set_match_extensions). */
  private judge(packet: PacketContext, element: number, question: SetQuestion, info: SkbInfo | undefined): number {
    const { elements, shared } = this;
    if (elements.timeouts !== undefined && this.isExpired(element, shared.clock.now(packet))) return NONE;
    const { packets, bytes } = elements;
    if (packets !== undefined && bytes !== undefined) {
      if (question.updateCounters) {
        if (shared.journal.active) shared.journal.note(packet, elements.saved(element));
        packets[element] = (packets[element] as number) + 1;
        bytes[element] = (bytes[element] as number) + packet.totalLength;
      }
      if (!compareCounter(packets[element] as number, question.packets)) return NONE;
      if (!compareCounter(bytes[element] as number, question.bytes)) return NONE;
    }
    if (info !== undefined && elements.skbinfo !== undefined) {
      const at = element * SKB_WORDS;
      info.mark = elements.skbinfo[at] as number;
      info.mask = elements.skbinfo[at + 1] as number;
      info.priority = elements.skbinfo[at + 2] as number;
      info.queue = elements.skbinfo[at + 3] as number;
    }
    return elements.nomatch[element] === 1 ? NOMATCH : MATCH;
  }

  /** Of bitmap:ip,mac: an element without a station takes that of the first packet. */
  private hasStation(packet: PacketContext, element: number): boolean {
    const { stations, station, shared } = this;
    if (stations === undefined) return true;
    const known = stations.get(element);
    if (known !== undefined) return known[0] === station[0] && known[1] === station[1];
    stations.set(element, [station[0] as number, station[1] as number]);
    if (shared.journal.active) shared.journal.note(packet, () => stations.delete(element));
    return true;
  }

  /** Of a full set, what has timed out goes first; then, if the set is told to, any other element. */
  private makeRoom(packet: PacketContext, now: number): boolean {
    const { elements, options } = this;
    if (elements.count < options.maxElements) return true;
    const wanted = this.key.slice();
    for (const element of elements.all()) if (this.isExpired(element, now)) this.evict(packet, element);
    if (elements.count >= options.maxElements && options.forceAdd) {
      for (const element of elements.all()) {
        this.evict(packet, element);
        break;
      }
    }
    this.key.set(wanted);
    return elements.count < options.maxElements;
  }

  /** Changes `key`. */
  private evict(packet: PacketContext, element: number): void {
    for (let k = 0; k < this.key.length; k++) this.key[k] = this.elements.word(element, k);
    this.noteRemoval(packet, element);
    this.erase(element);
  }

  private noteRemoval(packet: PacketContext, element: number): void {
    const { elements, shared } = this;
    if (!shared.journal.active) return;
    const key = this.key.slice();
    const columns = elements.columnsOf(element);
    const station = this.stations?.get(element);
    shared.journal.note(packet, () => {
      this.key.set(key);
      const again = this.insert();
      elements.setColumns(again, columns);
      if (station !== undefined) this.stations?.set(again, station);
    });
  }

  private countNetwork(by: 1 | -1): void {
    const { networks } = this;
    const counts = networks?.packets;
    if (networks === undefined || counts === undefined) return;
    const network = this.key.subarray(0, this.addressWords + 1);
    let at = networks.find(network);
    if (at < 0) at = networks.add(network);
    const count = ((networks.packets as Float64Array)[at] as number) + by;
    if (count === 0) networks.remove(at);
    else (networks.packets as Float64Array)[at] = count;
  }

  /** Whether the network in `key` has an element, with whatever interface. */
  private hasNetwork(): boolean {
    return this.networks !== undefined && this.networks.find(this.key.subarray(0, this.addressWords + 1)) >= 0;
  }
}
