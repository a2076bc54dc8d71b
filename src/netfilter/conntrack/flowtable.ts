/**
 * The connection table, in typed arrays.
 *
 *   index     open addressing, 4 bytes a slot: reference (entry * 2 + direction + 1) << 6 | tag (bits of its hash)
 *   entries   128 bytes an IPv4 entry, two cache lines side by side (processors fetch such pairs together, and they
 *             share a page): both tuples and what a packet of either direction needs; TCP windows and the like
 *   sources   heads of the lists by original source (kernel: nf_nat_bysource), which port selection walks
 *
 * A translated packet's new addresses are the other direction's tuple turned round, so a row holds everything.
 * The tag tells without a further cache miss whether a slot's entry can be the one that is looked for: of 64 others one
 * looks like it. Deletion shifts the rest of the cluster back, whose hashes it makes anew: no tombstones, no pauses.
 *
 * 10 million connections: entries 1,280 MB, index 134 MB, sources 67 MB.
 *
 * Hot path: `find4` allocates nothing; about two cache misses, fewer when the lines were touched before.
 */
import { tupleHash } from '../../packet/hash.js';
import { swap16, swap32, type Tuple } from '../../packet/tuple.js';
import { ENTRIES_START, reservedMemory, type Workspace } from '../../workspace.js';

/** Directions (kernel: IP_CT_DIR_*). */
export const ORIGINAL = 0;
export const REPLY = 1;

/** Bits of an entry's status (kernel: IPS_*), kept in the upper half of the META_STATE word. */
export const SEEN_REPLY = 1 << 16;
export const ASSURED = 1 << 17;
export const CONFIRMED = 1 << 18;
export const SRC_NAT = 1 << 19;
export const DST_NAT = 1 << 20;
export const SRC_NAT_DONE = 1 << 21;
export const DST_NAT_DONE = 1 << 22;
/** The way of original packets through the host is known and constant; the next bit (24) says it of replies. */
export const FAST_ORIGINAL = 1 << 23;
export const IN_USE = 1 << 25;
export const DYING = 1 << 26;
/**
 * Original packets came in by another interface than that towards their sender, so those that do not state theirs are not
 * on this way; the next bit (28) says it of replies.
 */
export const STATED_ORIGINAL = 1 << 27;

/** Words behind the tuples, counted from `meta`. */
/** Protocol (bits 0-7), TCP state (8-15), status. */
export const META_STATE = 0;
/** Expiry, milliseconds of capture time, wrapping. */
export const META_EXPIRES = 1;
export const META_MARK = 2;
/** Ingress (low half) and egress (high half) interface of a direction; the two words follow each other. */
export const META_PATH = 3;
/** Folded checksum deltas of a direction: IP header (low half), layer 4 (high half); two words. */
export const META_DELTA = 5;
/** Rule that made the destination and the source translation, -1 if none. */
export const META_DNAT_RULE = 7;
export const META_SNAT_RULE = 8;
/** The entry's zone, as a zone word. */
export const META_ZONE = 9;

/**
 * A zone word: the number of a conntrack zone (`-j CT --zone`) in the low half, and a bit for each direction that it is
 * valid for; the other direction is in zone 0. A word of 0 is zone 0 both ways, which is what nearly everything has.
 */
export const zoneWord = (zone: number, directions: number): number => zone | (directions << 16);
export const zoneOf = (word: number, direction: number): number =>
  ((word >>> (16 + direction)) & 1) === 0 ? 0 : word & 0xffff;

/** Words of protocol state, the last of an entry, and the two of them that link the list by source. */
const STATE_WORDS = 16;
const STATE_NEXT = 14;
const STATE_PREVIOUS = 15;

/** Words of an IPv4 entry, as a shift. */
export const ENTRY4_SHIFT = 5;

const PAGE = 65536;
const MAX_PAGES = 65536;
/** Bits of a tuple's hash that its slot holds: the lowest, since the highest say where the slot is. */
const TAG = 63;
const MIN_SLOTS = 1024;
/** Entries that fit the 26 bits of a reference. */
const MAX_ENTRIES = (1 << 25) - 2;
/** Entries that fit a workspace. */
const MAX_WORKSPACE_ENTRIES = (MAX_PAGES * PAGE - ENTRIES_START) / 128;

/**
 * A block of memory that grows in place: pages are reserved once and become real when they are written. Where that much
 * address space is not to be had (`ulimit -v`), what is there is copied whenever the block grows.
 */
class Arena {
  words: Int32Array;

  /** `start`: the byte at which the block begins; it ends with the memory. */
  constructor(
    private readonly memory: WebAssembly.Memory | undefined = reservedMemory(1, MAX_PAGES),
    private readonly start = 0,
  ) {
    this.words = this.memory === undefined ? sharedInts(PAGE / 4) : new Int32Array(this.memory.buffer, start);
  }

  /** Makes room for `count` words. */
  reserve(count: number): void {
    if (count <= this.words.length) return;
    if (this.memory === undefined) {
      const grown = sharedInts(Math.max(count, this.words.length * 2));
      grown.set(this.words);
      this.words = grown;
      return;
    }
    const pages = Math.ceil((count * 4) / PAGE);
    const have = this.words.length / (PAGE / 4);
    const most = MAX_PAGES - this.start / PAGE;
    const wanted = Math.min(most, Math.max(pages, have + Math.ceil(have / 8)));
    this.memory.grow(wanted - have);
    this.words = new Int32Array(this.memory.buffer, this.start);
  }
}

export class FlowTable {
  /** Words of an address: 1 (IPv4) or 4 (IPv6). */
  readonly addressWords: 1 | 4;
  /** Words of one tuple and of a whole entry; offset of the META_* words in it. */
  readonly tupleWords: number;
  readonly entryWords: number;
  readonly meta: number;
  /** Offset of the protocol's state in an entry. */
  readonly stateOffset: number;

  /** Entry e starts at words[e * entryWords]. Replaced when the table grows: never keep it across an allocation. */
  words: Int32Array;
  /** Connections that are linked, and the most there ever were. */
  count = 0;
  peak = 0;
  /** Entries ever handed out: 0..used-1 are, or were, in use. */
  used = 0;
  /** Entries ever linked and unlinked: who has looked references up before can tell whether they still hold. */
  links = 0;
  unlinks = 0;
  /** Slots looked at by lookups, a deterministic figure. */
  probes = 0;

  private readonly entryArena: Arena;
  private index: Int32Array;
  /** A hash's slot is what is left of it after this many bits, from the top. */
  slotShift: number;
  private slotMask: number;
  private sources: Int32Array;
  private sourceShift: number;
  private freeHead = -1;
  /** An entry with a zone was linked: from then on lookups hold zones against each other. */
  private zoned = false;
  private readonly key: Int32Array;

  /** `workspace`: where it lies, for a table that WebAssembly is to see; each workspace has room for one. */
  constructor(
    addressWords: 1 | 4,
    private readonly workspace?: Workspace | undefined,
  ) {
    this.addressWords = addressWords;
    this.entryArena = workspace === undefined ? new Arena() : new Arena(workspace.memory, ENTRIES_START);
    this.tupleWords = 2 * addressWords + 1;
    this.meta = 2 * this.tupleWords;
    this.stateOffset = addressWords === 1 ? 16 : 32;
    this.entryWords = this.stateOffset + STATE_WORDS;
    this.words = this.entryArena.words;
    this.index = this.newIndex(MIN_SLOTS);
    this.slotMask = MIN_SLOTS - 1;
    this.slotShift = 32 - Math.log2(MIN_SLOTS);
    this.sources = this.newSources(MIN_SLOTS);
    this.sourceShift = this.slotShift;
    this.key = new Int32Array(this.tupleWords);
  }

  /** Reads the index slot where a lookup of this hash begins: the first of the cache lines that it needs. */
  touchIndex(hash: number): number {
    return this.index[hash >>> this.slotShift] as number;
  }

  /** Reads the cache lines of the entry in a slot; what it returns keeps the reads from being optimised away. */
  touchEntry(slot: number): number {
    if (slot === 0) return 0;
    const entry = ((slot >>> 6) - 1) >> 1;
    return (this.words[entry * this.entryWords] as number) ^ (this.words[this.stateAt(entry)] as number);
  }

  /**
   * Reference (entry * 2 + direction) of an IPv4 tuple, -1 if there is none. Words as in PacketColumns. Zones are not
   * compared: FAST_* bits are set by packets of zone 0 alone, so what is found in another zone takes the slow path.
   */
  find4(source: number, destination: number, ports: number, protocol: number, hash: number): number {
    const { index, words, slotMask } = this;
    const tag = hash & TAG;
    let slot = hash >>> this.slotShift;
    for (let distance = 0; ; distance++) {
      const value = index[slot] as number;
      if (value === 0) {
        this.probes += distance + 1;
        return -1;
      }
      if ((value & TAG) === tag) {
        const reference = (value >>> 6) - 1;
        const entry = (reference >> 1) << ENTRY4_SHIFT;
        const at = entry + ((reference & 1) === 0 ? 0 : 3);
        if (
          words[at] === source &&
          words[at + 1] === destination &&
          words[at + 2] === ports &&
          ((words[entry + 6] as number) & 0xff) === protocol
        ) {
          this.probes += distance + 1;
          return reference;
        }
      }
      slot = (slot + 1) & slotMask;
    }
  }

  /** As find4, for a tuple in host order of either family. `zone`: zone word of the packet. */
  find(tuple: Tuple, zone = 0): number {
    this.setKey(tuple);
    const original = zoneOf(zone, ORIGINAL);
    const reply = zoneOf(zone, REPLY);
    if (original === reply) return this.findKey(tuple.protocol, original, -1);
    const found = this.findKey(tuple.protocol, original, ORIGINAL);
    return found >= 0 ? found : this.findKey(tuple.protocol, reply, REPLY);
  }

  /** As `find`, but only what is in the packet's zone of that direction (kernel: nf_conntrack_tuple_taken and confirm). */
  findOnSide(tuple: Tuple, zone: number, direction: number): number {
    this.setKey(tuple);
    const wanted = zoneOf(zone, direction);
    return this.findKey(tuple.protocol, wanted, wanted === zoneOf(zone, 1 - direction) ? -1 : direction);
  }

  /** `direction`: the only one of an entry that will do, -1 for either. */
  private findKey(protocol: number, zone: number, direction: number): number {
    const { index, words, key, slotMask, tupleWords } = this;
    // Entries may all be of zone 0 when the packet is not.
    const zoned = this.zoned || zone !== 0 || direction >= 0;
    const hash = mixZone(this.hashWords(key, 0, protocol), zone);
    let slot = hash >>> this.slotShift;
    for (;;) {
      this.probes++;
      const value = index[slot] as number;
      if (value === 0) return -1;
      if ((value & TAG) === (hash & TAG)) {
        const reference = (value >>> 6) - 1;
        const entry = (reference >> 1) * this.entryWords;
        const at = entry + (reference & 1) * tupleWords;
        let same = ((words[entry + this.meta] as number) & 0xff) === protocol;
        for (let k = 0; same && k < tupleWords; k++) same = words[at + k] === key[k];
        // Where no entry is in a zone, a packet may be.
        if (same && (zoned || zone !== 0 || direction >= 0))
          same =
            zoneOf(words[entry + this.meta + META_ZONE] as number, reference & 1) === zone &&
            (direction < 0 || direction === (reference & 1));
        if (same) return reference;
      }
      slot = (slot + 1) & slotMask;
    }
  }

  /** Where the state of an entry's protocol starts in `words`. */
  stateAt(entry: number): number {
    return entry * this.entryWords + this.stateOffset;
  }

  /** A fresh entry, not linked yet, its words zero. -1 when the table can hold no more. */
  allocate(): number {
    let entry = this.freeHead;
    if (entry >= 0) {
      this.freeHead = this.words[entry * this.entryWords] as number;
    } else {
      if (this.used >= (this.workspace === undefined ? MAX_ENTRIES : MAX_WORKSPACE_ENTRIES)) return -1;
      entry = this.used++;
      this.entryArena.reserve(this.used * this.entryWords);
      this.words = this.entryArena.words;
    }
    const base = entry * this.entryWords;
    for (let k = 0; k < this.entryWords; k++) this.words[base + k] = 0;
    this.words[base + this.meta + META_STATE] = IN_USE;
    this.words[base + this.meta + META_DNAT_RULE] = -1;
    this.words[base + this.meta + META_SNAT_RULE] = -1;
    return entry;
  }

  /** Gives an unlinked entry back. */
  release(entry: number): void {
    const base = entry * this.entryWords;
    this.words[base + this.meta + META_STATE] = 0;
    this.words[base] = this.freeHead;
    this.freeHead = entry;
  }

  /** Puts both tuples into the index and the entry into its list by source, and marks it CONFIRMED. */
  link(entry: number): void {
    // First: growing puts every entry that is CONFIRMED into the new index, so this one must not be among them yet.
    if ((this.count + 1) * 2 > this.index.length * MAX_LOAD) this.grow();
    const at = entry * this.entryWords + this.meta;
    this.words[at] = (this.words[at] as number) | CONFIRMED;
    if (this.words[at + META_ZONE] !== 0) this.zoned = true;
    if (this.zoned) {
      this.insertFirst(entry * 2);
      this.insertFirst(entry * 2 + 1);
    } else {
      // Where both tuples are the same, a packet is taken for a reply (kernel: added to the head of the chain last).
      this.insert(this.referenceHash(entry * 2 + 1), entry * 2 + 1);
      this.insert(this.referenceHash(entry * 2), entry * 2);
    }
    this.linkSource(entry, this.sourceSlot(entry));
    this.count++;
    this.links++;
    if (this.count > this.peak) this.peak = this.count;
  }

  /** The reverse of `link`. */
  unlink(entry: number): void {
    this.removeReference(entry * 2);
    this.removeReference(entry * 2 + 1);
    this.unlinkSource(entry);
    this.count--;
    this.unlinks++;
    const at = entry * this.entryWords + this.meta;
    this.words[at] = (this.words[at] as number) & ~CONFIRMED;
  }

  /** First entry whose original source address, port and protocol are the tuple's; newest first; -1 if none. */
  firstBySource(tuple: Tuple): number {
    this.setKey(tuple);
    return (this.sources[this.sourceHash(this.key, 0, tuple.protocol) >>> this.sourceShift] as number) - 1;
  }

  /** Next entry of the same list (which may hold other sources too: compare). */
  nextBySource(entry: number): number {
    return (this.words[this.stateAt(entry) + STATE_NEXT] as number) - 1;
  }

  /**
   * Entries that have a tuple in bucket number `bucket` of a table with `buckets` of them: what the kernel, whose hash is
   * another, would find by chance just as often. Not for the hot path.
   */
  inBucket(bucket: number, buckets: number): number[] {
    const found: number[] = [];
    const last = Math.floor((((bucket + 1) * 2 ** 32) / buckets - 1) / 2 ** this.slotShift);
    let slot = Math.floor((bucket * 2 ** 32) / buckets / 2 ** this.slotShift);
    for (; slot <= last || this.index[slot & this.slotMask] !== 0; slot++) {
      const value = this.index[slot & this.slotMask] as number;
      if (value === 0) continue;
      const reference = (value >>> 6) - 1;
      if (bucketOf(this.referenceHash(reference), buckets) === bucket) found.push(reference >> 1);
    }
    return found;
  }

  /** Bucket of a tuple in such a table. */
  bucket(tuple: Tuple, buckets: number): number {
    this.setKey(tuple);
    return bucketOf(this.hashWords(this.key, 0, tuple.protocol), buckets);
  }

  readTuple(entry: number, direction: number, tuple: Tuple): Tuple {
    const { words, addressWords } = this;
    let at = entry * this.entryWords + direction * this.tupleWords;
    for (let k = 0; k < addressWords; k++) {
      tuple.source[k] = swap32(words[at + k] as number);
      tuple.destination[k] = swap32(words[at + addressWords + k] as number);
    }
    for (let k = addressWords; k < 4; k++) {
      tuple.source[k] = 0;
      tuple.destination[k] = 0;
    }
    at += 2 * addressWords;
    const ports = words[at] as number;
    tuple.sourcePort = swap16(ports & 0xffff);
    tuple.destinationPort = swap16(ports >>> 16);
    tuple.protocol = (words[entry * this.entryWords + this.meta] as number) & 0xff;
    tuple.family = addressWords === 1 ? 4 : 6;
    return tuple;
  }

  writeTuple(entry: number, direction: number, tuple: Tuple): void {
    this.setKey(tuple);
    const at = entry * this.entryWords + direction * this.tupleWords;
    for (let k = 0; k < this.tupleWords; k++) this.words[at + k] = this.key[k] as number;
  }

  private setKey(tuple: Tuple): void {
    const { key, addressWords } = this;
    for (let k = 0; k < addressWords; k++) {
      key[k] = swap32(tuple.source[k] as number);
      key[addressWords + k] = swap32(tuple.destination[k] as number);
    }
    key[2 * addressWords] = swap16(tuple.sourcePort) | (swap16(tuple.destinationPort) << 16);
  }

  private hashWords(words: Int32Array, at: number, protocol: number): number {
    if (this.addressWords === 1)
      return tupleHash(words[at] as number, words[at + 1] as number, words[at + 2] as number, protocol);
    let source = 0;
    let destination = 0;
    for (let k = 0; k < 4; k++) {
      source = Math.imul(source, 31) + (words[at + k] as number);
      destination = Math.imul(destination, 31) + (words[at + 4 + k] as number);
    }
    return tupleHash(source, destination, words[at + 8] as number, protocol);
  }

  /** Hash of the source half of a tuple. */
  private sourceHash(words: Int32Array, at: number, protocol: number): number {
    let source = 0;
    for (let k = 0; k < this.addressWords; k++) source = Math.imul(source, 31) + (words[at + k] as number);
    return tupleHash(source, 0, (words[at + 2 * this.addressWords] as number) & 0xffff, protocol);
  }

  private insert(hash: number, reference: number): void {
    let slot = hash >>> this.slotShift;
    while (this.index[slot] !== 0) slot = (slot + 1) & this.slotMask;
    this.index[slot] = ((reference + 1) << 6) | (hash & TAG);
  }

  /**
   * As `insert`, before every other reference of the same tuple and zone. Zones let two connections have one: as the reply
   * of the one and the original of the other, whose own reply is in another zone (kernel: nf_conntrack_confirm compares
   * the zones of one direction). The newest is found then, as at the head of the kernel's chain.
   */
  private insertFirst(reference: number): void {
    const { index, slotMask } = this;
    const hash = this.referenceHash(reference);
    let inserted = ((reference + 1) << 6) | (hash & TAG);
    let slot = hash >>> this.slotShift;
    for (let value = index[slot] as number; value !== 0; value = index[slot] as number) {
      if ((value & TAG) === (hash & TAG) && this.isSame((inserted >>> 6) - 1, (value >>> 6) - 1)) {
        index[slot] = inserted;
        inserted = value;
        // References that were looked up before may have changed.
        this.unlinks++;
      }
      slot = (slot + 1) & slotMask;
    }
    index[slot] = inserted;
  }

  /** Two references have the same tuple in the same zone. */
  private isSame(a: number, b: number): boolean {
    const { words, tupleWords, meta } = this;
    const [first, second] = [(a >> 1) * this.entryWords, (b >> 1) * this.entryWords];
    if ((((words[first + meta] as number) ^ (words[second + meta] as number)) & 0xff) !== 0) return false;
    const [zoneA, zoneB] = [words[first + meta + META_ZONE] as number, words[second + meta + META_ZONE] as number];
    if (zoneOf(zoneA, a & 1) !== zoneOf(zoneB, b & 1)) return false;
    for (let k = 0; k < tupleWords; k++)
      if (words[first + (a & 1) * tupleWords + k] !== words[second + (b & 1) * tupleWords + k]) return false;
    return true;
  }

  /** Hash by which one direction of an entry is found. */
  private referenceHash(reference: number): number {
    const base = (reference >> 1) * this.entryWords;
    const protocol = (this.words[base + this.meta] as number) & 0xff;
    const hash = this.hashWords(this.words, base + (reference & 1) * this.tupleWords, protocol);
    return this.zoned ? mixZone(hash, zoneOf(this.words[base + this.meta + META_ZONE] as number, reference & 1)) : hash;
  }

  private removeReference(reference: number): void {
    const { index, slotMask } = this;
    let slot = this.referenceHash(reference) >>> this.slotShift;
    while ((index[slot] as number) >>> 6 !== reference + 1) slot = (slot + 1) & slotMask;
    // Shift back what follows in the cluster, as far as each may move towards its home (Knuth 6.4, algorithm R).
    let hole = slot;
    for (let next = (slot + 1) & slotMask; index[next] !== 0; next = (next + 1) & slotMask) {
      const value = index[next] as number;
      const home = this.referenceHash((value >>> 6) - 1) >>> this.slotShift;
      if (((next - home) & slotMask) < ((next - hole) & slotMask)) continue;
      index[hole] = value;
      hole = next;
    }
    index[hole] = 0;
  }

  private grow(): void {
    const slots = this.index.length * 2;
    const before = this.zoned ? this.index.slice() : undefined;
    this.index = this.newIndex(slots);
    this.slotMask = slots - 1;
    this.slotShift--;
    if (before === undefined) this.insertAll();
    else this.insertInOrder(before);
    this.growSources(slots / 2, this.slotShift + 1);
  }

  private insertAll(): void {
    for (let entry = 0; entry < this.used; entry++) {
      const base = entry * this.entryWords;
      const state = this.words[base + this.meta] as number;
      if ((state & CONFIRMED) === 0) continue;
      this.insert(this.referenceHash(entry * 2 + 1), entry * 2 + 1);
      this.insert(this.referenceHash(entry * 2), entry * 2);
    }
  }

  /** What an index held, cluster by cluster: what is the same stays in its order. */
  private insertInOrder(before: Int32Array): void {
    const start = before.indexOf(0);
    for (let k = 0; k < before.length; k++) {
      const value = before[(start + k) & (before.length - 1)] as number;
      const reference = (value >>> 6) - 1;
      if (value !== 0) this.insert(this.referenceHash(reference), reference);
    }
  }

  /** Moves the lists by source to a larger table, each from its oldest entry on, so that newest stays first. */
  private growSources(slots: number, shift: number): void {
    const heads = this.workspace === undefined ? this.sources : this.sources.slice();
    this.sources = this.newSources(slots);
    this.sourceShift = shift;
    for (let slot = 0; slot < heads.length; slot++) {
      let entry = (heads[slot] as number) - 1;
      if (entry < 0) continue;
      for (let next = this.nextBySource(entry); next >= 0; next = this.nextBySource(entry)) entry = next;
      while (entry >= 0) {
        const newer = (this.words[this.stateAt(entry) + STATE_PREVIOUS] as number) - 1;
        this.linkSource(entry, this.sourceSlot(entry));
        entry = newer;
      }
    }
  }

  /** An index of its own or, in a workspace, in the place of the one before. */
  private newIndex(slots: number): Int32Array {
    return this.workspace === undefined ? sharedInts(slots) : this.workspace.index(slots).fill(0);
  }

  private newSources(slots: number): Int32Array {
    return this.workspace === undefined ? sharedInts(slots) : this.workspace.sources(slots).fill(0);
  }

  private sourceSlot(entry: number): number {
    const base = entry * this.entryWords;
    return this.sourceHash(this.words, base, (this.words[base + this.meta] as number) & 0xff) >>> this.sourceShift;
  }

  private linkSource(entry: number, slot: number): void {
    const head = this.sources[slot] as number;
    const at = this.stateAt(entry);
    this.words[at + STATE_NEXT] = head;
    this.words[at + STATE_PREVIOUS] = 0;
    if (head !== 0) this.words[this.stateAt(head - 1) + STATE_PREVIOUS] = entry + 1;
    this.sources[slot] = entry + 1;
  }

  private unlinkSource(entry: number): void {
    const at = this.stateAt(entry);
    const next = this.words[at + STATE_NEXT] as number;
    const previous = this.words[at + STATE_PREVIOUS] as number;
    if (next !== 0) this.words[this.stateAt(next - 1) + STATE_PREVIOUS] = previous;
    if (previous !== 0) this.words[this.stateAt(previous - 1) + STATE_NEXT] = next;
    else this.sources[this.sourceSlot(entry)] = next;
  }
}

/** Tuples per slot at the most: above it clusters grow long, below it memory is wasted. */
const MAX_LOAD = 0.625;

/** Zones share one index; tuples of zone 0 lie where they would without any. */
const mixZone = (hash: number, zone: number): number => hash ^ Math.imul(zone, 0x9e3779b1);

/** Kernel: reciprocal_scale. */
const bucketOf = (hash: number, buckets: number): number => Math.floor(((hash >>> 0) / 2 ** 32) * buckets);

const sharedInts = (count: number): Int32Array => new Int32Array(new SharedArrayBuffer(count * 4));
